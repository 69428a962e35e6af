"""Errands as a contestant, beside its peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from errands import Errands

PORTION = 1000  # jobs of one addition


class Ours:
    """Errands, on the store of the URL.

    Args:
        slots: How many jobs run side by side; 50 if it is not told.
    """

    def __init__(self, slots: int = 50) -> None:
        self._slots = slots

    async def prepare(self, url: str) -> None:
        async with Errands(url):
            return

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        self.errands = Errands(url, slots=self._slots, grace=0)

        @self.errands.task(name="noop")
        async def noop(number: int) -> int:
            lap(number)
            return number

        self._noop = noop
        await self.errands.__aenter__()

    async def add(self, number: int) -> None:
        await self.errands.add_task(self._noop, number)

    async def fill(self, number: int) -> None:
        for first in range(0, number, PORTION):
            batch = range(first, min(first + PORTION, number))
            await self.errands.add_tasks((self._noop, each) for each in batch)

    async def work(self) -> None:
        try:
            async with self.errands.working():
                await asyncio.Event().wait()
        finally:
            await self.errands.__aexit__(None, None, None)

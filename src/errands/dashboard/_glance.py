"""A glance: what costs a big store more than one page may, and is shown as of a moment ago."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from errands import ErrandsError, State

logger = logging.getLogger("errands.dashboard")

T = TypeVar("T")
Counts = Mapping[tuple[str, State], int]

REST = 60.0  # for so many times what the question took, its answer is good
PATIENCE = 0.05  # seconds that a page waits for an answer; then it shows the one before, if any


class Glance(Generic[T]):
    """Asks a question so seldom that it takes a sixtieth of the time at the most.

    Args:
        ask: The question to the store.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        """Ask nothing yet."""
        self._ask = ask
        self._answer: T | None = None
        self._good_until = 0.0
        self._asking: asyncio.Task[T] | None = None

    async def answer(self) -> T | None:
        """The answer; `None` while nobody knows yet."""
        if time.monotonic() < self._good_until:
            return self._answer
        if self._asking is None:
            self._asking = asyncio.create_task(self._renew(), name="dashboard glance")
            self._asking.add_done_callback(self._asked)
        done, _ = await asyncio.wait([self._asking], timeout=PATIENCE)
        return next(iter(done)).result() if done else self._answer

    def forget(self) -> None:
        """Ask again for the next page: somebody has changed something."""
        self._good_until = 0.0

    async def _renew(self) -> T:
        began = time.monotonic()
        answer = self._answer = await self._ask()
        ended = time.monotonic()
        self._good_until = ended + REST * (ended - began)
        return answer

    def _asked(self, task: asyncio.Task[T]) -> None:
        self._asking = None
        if not task.cancelled() and isinstance(task.exception(), ErrandsError):
            logger.warning("the store could not be asked: %s", task.exception())

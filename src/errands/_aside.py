"""Requests without a lifespan: those that overlap share one opening, and the last one ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from ._finish import finish


class Aside:
    """Holds something open for as long as anybody is inside.

    Args:
        work: Opens it, for the length of a block.
    """

    def __init__(self, work: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        """Nobody is inside yet."""
        self._work = work
        self._inside = 0
        self._stack, self._lock = AsyncExitStack(), asyncio.Lock()

    @property
    def is_used(self) -> bool:
        """Whether anybody is inside."""
        return self._inside > 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Be inside. Who is cancelled on the way in or out leaves nothing half open."""
        if not self._inside and not self._lock.locked():
            self._lock = asyncio.Lock()  # the last one may be of an event loop that is over
        is_inside = asyncio.Event()
        try:
            await finish(self._enter(is_inside))
        except asyncio.CancelledError:
            if is_inside.is_set():
                await finish(self._leave())
            raise
        try:
            yield
        finally:
            await finish(self._leave())

    async def _enter(self, is_inside: asyncio.Event) -> None:
        async with self._lock:
            if not self._inside:
                await self._stack.enter_async_context(self._work())
            self._inside += 1
            is_inside.set()

    async def _leave(self) -> None:
        async with self._lock:
            self._inside -= 1
            if not self._inside:
                await self._stack.aclose()

"""Requests without a lifespan: those that overlap share one opening, and the last one ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager


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
        """Be inside."""
        if not self._inside and not self._lock.locked():
            self._lock = asyncio.Lock()  # the last one may be of an event loop that is over
        async with self._lock:
            if not self._inside:
                await self._stack.enter_async_context(self._work())
            self._inside += 1
        try:
            yield
        finally:
            async with self._lock:
                self._inside -= 1
                if not self._inside:
                    await self._stack.aclose()

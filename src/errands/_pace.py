"""A pace: how long to wait between two looks at what another process changes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

GROWTH = 1.5  # each wait is so many times the one before


class Pace:
    """Waits, each time for longer.

    Args:
        first: Seconds of the first wait.
        longest: Seconds of the longest.
    """

    def __init__(self, first: float, longest: float) -> None:
        """Wait for nothing yet."""
        self._first, self._longest, self._next = first, longest, first

    def begin_anew(self) -> None:
        """With the first wait: something has changed, so more may."""
        self._next = self._first

    async def wait(self, news: asyncio.Event) -> None:
        """Wait, until there is news at the most."""
        pause, self._next = self._next, min(self._next * GROWTH, self._longest)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await news.wait()

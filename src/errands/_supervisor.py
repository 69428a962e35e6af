"""The supervisor: keeps loops running, and gives up on one that will not stay up.

It knows nothing of jobs; anything that is to run for as long as the process does can be put
under it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from ._clock import Clock
from .errors import LoopGaveUp, StoreUnavailable

logger = logging.getLogger("errands.supervisor")

T = TypeVar("T")
Loop = Callable[[], Awaitable[None]]

QUIET = 30.0  # seconds between two log lines about one store that is away


async def supervise(
    loops: Mapping[str, Loop], clock: Clock, *, restarts: int = 20, within: float = 120.0
) -> None:
    """Run every loop until cancelled, and start it anew when it fails.

    Raises:
        LoopGaveUp: in a group, once a loop failed more than `restarts` times in `within`
            seconds.
    """
    async with asyncio.TaskGroup() as group:
        for name, loop in loops.items():
            group.create_task(_keep_up(name, loop, clock, restarts, within), name=f"errands {name}")


async def _keep_up(name: str, loop: Loop, clock: Clock, restarts: int, within: float) -> None:
    falls: deque[float] = deque(maxlen=restarts + 1)
    while True:
        try:
            return await loop()
        except Exception as error:  # whatever it was
            falls.append(time.monotonic())
            if len(falls) > restarts and falls[-1] - falls[0] < within:
                message = f"{name} failed {len(falls)} times in {within:g} s"
                logger.critical("%s; it is given up", message)
                raise LoopGaveUp(message) from error
            wait = min(0.1 * 2 ** len(falls), 5.0)
            logger.exception("%s failed; starting it again in %.1f s", name, wait)
            await clock.sleep(wait)


class Patience:
    """Asks an unavailable store again and again, and says so once in a while."""

    def __init__(self, clock: Clock, *, longest: float = 5.0) -> None:
        """Wait at most `longest` seconds between two tries."""
        self._clock, self._longest = clock, longest
        self._told = -QUIET
        self._waiting = 0

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for the store to be back."""
        return self._waiting > 0

    async def until_done(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, as soon as there is one.

        The waits double from 0.1 s and are drawn between half and all of their length, so
        that many workers do not come back together.
        """
        try:
            return await ask()
        except StoreUnavailable as error:
            self.tell(error)
        self._waiting += 1
        try:
            return await self._until_back(ask)
        finally:
            self._waiting -= 1

    def tell(self, error: StoreUnavailable) -> None:
        """Log that the store is away, unless that was done a short while ago."""
        if time.monotonic() - self._told >= QUIET:
            self._told = time.monotonic()
            logger.warning(
                "the store is unavailable, and is asked again until it is back: %s", error
            )

    async def _until_back(self, ask: Callable[[], Awaitable[T]]) -> T:
        wait = 0.1
        while True:
            await self._clock.sleep(wait * random.uniform(0.5, 1.0))
            try:
                return await ask()
            except StoreUnavailable as error:
                self.tell(error)
            wait = min(2 * wait, self._longest)

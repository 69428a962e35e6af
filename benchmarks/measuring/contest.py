"""A contest of queues: each is given no-op jobs to store, or to run, and is timed alike."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from typing import Protocol

import uvloop

CALLERS = 100
WARM_UP = 300
LONGEST = 60.0  # seconds that a contender has for what it was given
PATIENCE = 2.0  # seconds in which it may stop


class Laps:
    """Counts the jobs that were run, from whatever thread.

    The clock starts once a tenth has run, so that nobody's start is held against it.
    """

    def __init__(self, number: int) -> None:
        self.number, self._first = number, max(1, number // 10)
        self._counter = itertools.count(1)  # atomic
        self._loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        self._begin = self._end = 0.0

    def lap(self, number: int) -> None:
        count = next(self._counter)
        if count == self._first:
            self._begin = time.perf_counter()
        elif count == self.number:
            self._end = time.perf_counter()
            self._loop.call_soon_threadsafe(self.over.set)

    async def rate(self) -> float:
        """Jobs per second, once the last has run."""
        async with asyncio.timeout(LONGEST):
            await self.over.wait()
        return (self.number - self._first) / (self._end - self._begin)


class Peer(Protocol):
    """A queue with one task, which calls `lap` and answers with its number."""

    async def prepare(self, url: str) -> None:
        """Make its tables, where there are none."""

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        """Connect."""

    async def add(self, number: int) -> None:
        """Store one job, and return when it is stored."""

    async def fill(self, number: int) -> None:
        """Store so many jobs, in the quickest way that there is."""

    async def work(self) -> None:
        """Run jobs until cancelled."""


def drains(url: str, make: Callable[[], Peer], number: int) -> float:
    """Jobs per second of those that are there before the clock starts."""
    return _run(_drains(url, make(), number))


def adds(url: str, make: Callable[[], Peer], number: int) -> float:
    """Jobs that are stored per second, by many callers each of which waits for its own."""
    return _run(_adds(url, make(), number))


def _run(contest: Coroutine[None, None, float]) -> float:
    """As `uvloop.run`, but whoever does not stop is left behind, for the process to end with."""
    loop = uvloop.new_event_loop()
    rate = loop.run_until_complete(contest)
    if left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait(left, timeout=PATIENCE))
    return rate


async def _drains(url: str, peer: Peer, number: int) -> float:
    laps = Laps(number)
    await peer.prepare(url)
    await peer.open(url, laps.lap)
    await peer.fill(number)
    working = asyncio.create_task(peer.work())
    over = asyncio.create_task(laps.rate())
    await asyncio.wait({working, over}, return_when=asyncio.FIRST_COMPLETED)
    if working.done() and not over.done():
        working.result()
    rate = await over
    working.cancel()
    await asyncio.wait({working}, timeout=PATIENCE)
    return rate


async def _adds(url: str, peer: Peer, number: int) -> float:
    await peer.prepare(url)
    await peer.open(url, lambda number: None)

    async def caller(first: int, last: int) -> None:
        for each in range(first, last, CALLERS):
            await peer.add(each)

    await asyncio.gather(*(caller(each, WARM_UP) for each in range(CALLERS)))
    begin = time.perf_counter()
    await asyncio.gather(*(caller(each, number) for each in range(CALLERS)))
    return number / (time.perf_counter() - begin)

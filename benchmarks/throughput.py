"""From add to done: no-op jobs per second on SQLite, flushed, results kept, in one process.

"Add to done" adds jobs while they are run, and ends when the last result is kept. "Drain" adds
them before the clock starts. huey runs plain functions in threads, and forgets a job whose
process dies while it runs; Errands runs coroutines, and also plain functions in threads.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import uvloop
from measuring import (
    Column,
    Promise,
    heading,
    interleaved,
    scaled,
    show,
    verdicts,
)
from measuring.peers import Huey, raw_loop

from errands import Errands
from errands.testing import drain

CALLERS = 100
WARM_UP = 200


def huey(
    folder: Path, number: int, workers: int, *, results: bool = True, before: bool = False
) -> float:
    peer = Huey(folder, results=results)
    if before:
        peer.add(number)
        peer.expect(number)
        with peer.working(workers):
            peer.wait()
        return (number - 1) / (peer.last - peer.first)  # its start is not held against it
    with peer.working(workers):
        peer.expect(WARM_UP)
        peer.add(WARM_UP)
        peer.wait()
        peer.expect(number)
        begin = time.perf_counter()
        peer.add(number)
        peer.wait()
        return number / (time.perf_counter() - begin)


class Site:
    """An Errands with no-op tasks that tell when enough of them have run."""

    def __init__(self, folder: Path) -> None:
        self.errands = Errands(f"sqlite:///{folder}/errands.db")
        self.over = asyncio.Event()
        self.left = 0
        loop = asyncio.get_running_loop()

        @self.errands.task(name="noop")
        async def noop(number: int) -> int:
            self.left -= 1
            if not self.left:
                self.over.set()
            return number

        @self.errands.task(name="plain")
        def plain(number: int) -> int:
            loop.call_soon_threadsafe(self.count)
            return number

        self.noop, self.plain = noop, plain

    def count(self) -> None:
        self.left -= 1
        if not self.left:
            self.over.set()

    async def done(self) -> None:
        """All have run, and every outcome is stored."""
        await self.over.wait()
        self.over.clear()
        await drain(self.errands)

    async def one_by_one(self, number: int, *, is_plain: bool = False) -> None:
        """Have many callers at once, each of which waits until its job is stored."""
        task = self.plain if is_plain else self.noop

        async def caller(first: int) -> None:
            for each in range(first, number, CALLERS):
                await self.errands.add_task(task, each)

        self.left = number
        await asyncio.gather(*(caller(first) for first in range(CALLERS)))

    async def in_batches(self, number: int, batch: int) -> None:
        self.left = number
        for first in range(0, number, batch):
            batched = range(first, min(first + batch, number))
            await self.errands.add_tasks((self.noop, each) for each in batched)

    async def check(self, number: int) -> None:
        assert {("default", "done"): number} == await self.errands.count()


async def add_to_done(
    folder: Path, number: int, batch: int = 0, *, is_plain: bool = False
) -> float:
    site = Site(folder)
    async with site.errands.working():
        await site.one_by_one(WARM_UP, is_plain=is_plain)
        await site.done()
        begin = time.perf_counter()
        if batch:
            await site.in_batches(number, batch)
        else:
            await site.one_by_one(number, is_plain=is_plain)
        await site.done()
        took = time.perf_counter() - begin
        await site.check(number + WARM_UP)
    return number / took


async def drained(folder: Path, number: int) -> float:
    site = Site(folder)
    async with site.errands:
        await site.in_batches(number, 1000)
    begin = time.perf_counter()
    async with site.errands.working():
        await site.done()
        took = time.perf_counter() - begin
        await site.check(number)
    return number / took


def on_asyncio(folder: Path, number: int, batch: int = 0, *, is_plain: bool = False) -> float:
    return asyncio.run(add_to_done(folder, number, batch, is_plain=is_plain))


def on_uvloop(folder: Path, number: int) -> float:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(add_to_done(folder, number))


def drained_on_asyncio(folder: Path, number: int) -> float:
    return asyncio.run(drained(folder, number))


ONE, TEN = "huey, add to done, 1 worker", "huey, add to done, 10 workers"
DRAIN_ONE, DRAIN_TEN = "huey, drain, 1 worker", "huey, drain, 10 workers"
BARE = "huey, drain, 1 worker, no results"
CALLED = f"Errands, add to done, {CALLERS} callers"
ON_UVLOOP = "    on uvloop"
PLAIN = "    plain function in a thread"
BATCHED = "Errands, add to done, add_tasks of 100"
DRAINED = "Errands, drain"
RAW_10, RAW_100 = "raw claim and finish, batches of 10", "raw claim and finish, batches of 100"


def main() -> None:
    heading(__doc__)
    few, many, most = scaled(600), scaled(5_000), scaled(20_000)
    rates = interleaved(
        {
            ONE: partial(huey, number=few, workers=1),
            TEN: partial(huey, number=few, workers=10),
            DRAIN_ONE: partial(huey, number=few, workers=1, before=True),
            DRAIN_TEN: partial(huey, number=few, workers=10, before=True),
            BARE: partial(huey, number=few, workers=1, results=False, before=True),
            CALLED: partial(on_asyncio, number=many),
            ON_UVLOOP: partial(on_uvloop, number=many),
            PLAIN: partial(on_asyncio, number=many, is_plain=True),
            BATCHED: partial(on_asyncio, number=many, batch=100),
            DRAINED: partial(drained_on_asyncio, number=many),
            RAW_10: partial(raw_loop, number=most, batch=10),
            RAW_100: partial(raw_loop, number=most, batch=100),
        }
    )
    show([Column(unit="jobs/s", samples=rates)])
    best = [max(rates[name][turn] for name in (ONE, TEN)) for turn in range(len(rates[ONE]))]
    drain_best = [
        max(rates[name][turn] for name in (DRAIN_ONE, DRAIN_TEN)) for turn in range(len(best))
    ]
    verdicts(
        [
            Promise.ratio("add to done: Errands / huey's best", rates[CALLED], best, 5),
            Promise.ratio("drain: Errands / huey's best", rates[DRAINED], drain_best, 5),
            Promise.ratio("Errands' add to done / huey's drain", rates[CALLED], drain_best, 5),
            Promise.ratio("    the same, huey keeping no results", rates[CALLED], rates[BARE]),
            Promise.ratio("drain: share of raw in batches of 10", rates[DRAINED], rates[RAW_10]),
            Promise.ratio("drain: share of raw in batches of 100", rates[DRAINED], rates[RAW_100]),
            Promise.ratio("add to done: share of raw in 10", rates[CALLED], rates[RAW_10]),
            Promise.ratio("add to done: share of raw in 100", rates[CALLED], rates[RAW_100]),
        ]
    )


if __name__ == "__main__":
    main()

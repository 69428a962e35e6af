"""Limits: no-op jobs per second with a limit for each key against those without, on SQLite.

The jobs are of a thousand customers, at most two of each at once, in one process. "Add to done"
adds them while they run, with 100 callers; "drain" adds them before the clock starts. Without a
limit a job may be born claimed; with one it has to be claimed. In "one customer" all jobs are of
the same one, so that two run at once and each end lets another start.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from measuring import Column, Promise, heading, interleaved, scaled, show, verdicts

from errands import Errands, Limit, Rate
from errands.testing import drain

CALLERS = 100
WARM_UP = 200
CUSTOMERS = 1000


class Site:
    """An application with one task, and how many of its jobs have still to run.

    Args:
        kind: Which limits the task has.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.errands = Errands(f"sqlite:///{folder}/errands.db")
        self.left, self.over = 0, asyncio.Event()
        limits = {
            "none": {},
            "each": {"concurrency": Limit(2, per="customer")},
            "paced": {"rate": Rate("1000000/m", per="customer")},
        }[kind]
        self.noop = self.errands.task(name="noop", **limits)(self._noop)

    async def _noop(self, number: int, customer: int) -> int:
        self.left -= 1
        if not self.left:
            self.over.set()
        return number

    async def done(self) -> None:
        await self.over.wait()
        self.over.clear()
        await drain(self.errands)

    async def one_by_one(self, number: int) -> None:
        """Have many callers at once, each of which waits until its job is stored."""

        async def caller(first: int) -> None:
            for each in range(first, number, CALLERS):
                await self.errands.add_task(self.noop, each, each % CUSTOMERS)

        self.left = number
        await asyncio.gather(*(caller(first) for first in range(CALLERS)))

    async def in_batches(self, number: int, customers: int) -> None:
        self.left = number
        for first in range(0, number, 1000):
            some = range(first, min(first + 1000, number))
            await self.errands.add_tasks((self.noop, each, each % customers) for each in some)


async def add_to_done(folder: Path, number: int, kind: str) -> float:
    site = Site(folder, kind)
    async with site.errands.working():
        await site.one_by_one(WARM_UP)
        await site.done()
        begin = time.perf_counter()
        await site.one_by_one(number)
        await site.done()
        return number / (time.perf_counter() - begin)


async def drained(folder: Path, number: int, kind: str, customers: int) -> float:
    site = Site(folder, kind)
    async with site.errands:
        await site.in_batches(number, customers)
    begin = time.perf_counter()
    async with site.errands.working():
        await site.done()
        return number / (time.perf_counter() - begin)


def added(folder: Path, number: int, kind: str) -> float:
    return asyncio.run(add_to_done(folder, number, kind))


def emptied(folder: Path, number: int, kind: str, customers: int = CUSTOMERS) -> float:
    return asyncio.run(drained(folder, number, kind, customers))


ADDED, ADDED_EACH = "add to done, no limit", "add to done, 2 per customer"
ADDED_PACED = "add to done, a rate per customer"
DRAINED, DRAINED_EACH = "drain, no limit", "drain, 2 per customer"
DRAINED_PACED = "drain, a rate per customer"
ONE = "drain, 2 per customer, one customer"


def main() -> None:
    heading(__doc__)
    many = scaled(5_000)
    rates = interleaved(
        {
            ADDED: partial(added, number=many, kind="none"),
            ADDED_EACH: partial(added, number=many, kind="each"),
            ADDED_PACED: partial(added, number=many, kind="paced"),
            DRAINED: partial(emptied, number=many, kind="none"),
            DRAINED_EACH: partial(emptied, number=many, kind="each"),
            DRAINED_PACED: partial(emptied, number=many, kind="paced"),
            ONE: partial(emptied, number=scaled(1_000), kind="each", customers=1),
        }
    )
    show([Column(unit="jobs/s", samples=rates)])
    verdicts(
        [
            Promise.ratio(
                "add to done: 2 per customer / none", rates[ADDED_EACH], rates[ADDED], 0.85
            ),
            Promise.ratio(
                "drain: 2 per customer / none", rates[DRAINED_EACH], rates[DRAINED], 0.85
            ),
            Promise.ratio("add to done: a rate / none", rates[ADDED_PACED], rates[ADDED]),
            Promise.ratio("drain: a rate / none", rates[DRAINED_PACED], rates[DRAINED]),
        ]
    )


if __name__ == "__main__":
    main()

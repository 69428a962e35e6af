"""Adding: durable jobs stored per second by one caller that awaits each, and by 100 at once.

Nothing is run meanwhile. SQLite, flushed. huey and the plain insert block the thread that adds;
an `await` of Errands leaves the event loop free, and hands the job to a thread and back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from measuring import (
    ROUNDS,
    Column,
    Promise,
    heading,
    interleaved,
    percentile,
    scaled,
    show,
    verdicts,
)
from measuring.peers import TABLE, Huey, connect

from errands import Errands

WARM_UP = 200
INSERT = "insert into jobs (task, payload, state, free_at, version) values (?, ?, 'queued', ?, 0)"


@dataclass(frozen=True)
class Pace:
    """How quick it was: jobs per second, and milliseconds of one addition."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, waits: Sequence[float], took: float) -> Pace:
        p50, p99 = (percentile(waits, p) * 1000 for p in (50, 99))
        return cls(len(waits) / took, p50, p99)


def insert(folder: Path, number: int) -> Pace:
    """One caller of apsw, one row a transaction."""
    db = connect(folder / "raw.db")
    db.execute(TABLE)

    def add(each: int) -> None:
        db.execute(INSERT, ("noop", f'{{"number":{each}}}', each))

    pace = one_caller(add, number)
    db.close()
    return pace


def huey(folder: Path, number: int) -> Pace:
    return one_caller(Huey(folder).noop, number)


def one_caller(add: object, number: int) -> Pace:
    assert callable(add)
    for each in range(WARM_UP):
        add(each)
    waits = []
    begin = time.perf_counter()
    for each in range(number):
        before = time.perf_counter()
        add(each)
        waits.append(time.perf_counter() - before)
    return Pace.of(waits, time.perf_counter() - begin)


def errands(folder: Path, number: int, callers: int) -> Pace:
    return asyncio.run(added(folder, number, callers))


async def added(folder: Path, number: int, callers: int) -> Pace:
    errands = Errands(f"sqlite:///{folder}/errands.db")

    @errands.task(name="noop")
    async def noop(number: int) -> int:
        return number

    waits: list[float] = []

    async def caller(first: int) -> None:
        for each in range(first, number, callers):
            before = time.perf_counter()
            await errands.add_task(noop, each)
            waits.append(time.perf_counter() - before)

    async with errands:
        await errands.add_tasks((noop, each) for each in range(WARM_UP))
        for each in range(WARM_UP):
            await errands.add_task(noop, each)
        begin = time.perf_counter()
        await asyncio.gather(*(caller(first) for first in range(callers)))
        pace = Pace.of(waits, time.perf_counter() - begin)
        assert {("default", "queued"): number + 2 * WARM_UP} == await errands.count()
    return pace


RAW, HUEY = "apsw, a plain insert", "huey, 1 caller"
ONE, MANY = "Errands, 1 caller", "Errands, 100 callers"


def main() -> None:
    heading(__doc__)
    few, many = scaled(2_000), scaled(10_000)
    paces = interleaved(
        {
            RAW: partial(insert, number=few),
            HUEY: partial(huey, number=few),
            ONE: partial(errands, number=few, callers=1),
            MANY: partial(errands, number=many, callers=100),
        },
        rounds=2 * ROUNDS + 1,  # short ones: a flush that had to wait spoils one of them
    )
    rates = {name: [pace.rate for pace in turns] for name, turns in paces.items()}
    medians = {name: [pace.p50 for pace in turns] for name, turns in paces.items()}
    worst = {name: [pace.p99 for pace in turns] for name, turns in paces.items()}
    show(
        [
            Column(unit="adds/s", samples=rates),
            Column(unit="p50, ms", samples=medians, form=".2f"),
            Column(unit="p99, ms", samples=worst, form=".2f"),
        ]
    )
    verdicts(
        [
            Promise.ratio("1 caller: Errands / huey", rates[ONE], rates[HUEY], 1),
            Promise.ratio("1 caller: Errands / a plain insert", rates[ONE], rates[RAW]),
            Promise.ratio("100 callers: Errands / huey's 1", rates[MANY], rates[HUEY], 20),
        ]
    )


if __name__ == "__main__":
    main()

"""Growth: no-op jobs per second from add to done with nothing in the file, and with a million.

The million waits behind, at a lower priority, for a worker that knows its task, as in a rolling
deploy; in another queue; or for tomorrow, at a higher priority. Drain: the first jobs out of a
million, against those out of no more than are measured. `$N` stands for another number.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from functools import partial
from pathlib import Path

from measuring import (
    ROUNDS,
    Column,
    Promise,
    Samples,
    apart,
    heading,
    scaled,
    show,
    verdicts,
)
from measuring.backlog import DAY, fill
from throughput import CALLERS

from errands import Errands

N = int(os.environ.get("N", "1_000_000"))
WARM_UP = 100


def add_to_done(folder: Path, number: int) -> float:
    return asyncio.run(_run(folder, number, adds=True))


def drain(folder: Path, number: int) -> float:
    return asyncio.run(_run(folder, number, adds=False))


async def _run(folder: Path, number: int, *, adds: bool) -> float:
    """Jobs per second, of those that are told apart by their end."""
    errands = Errands(f"sqlite:///{folder}/errands.db", queues=["default"], grace=0)
    ran, wanted, over = 0, WARM_UP, asyncio.Event()

    @errands.task(name="noop")
    async def noop(number: int) -> int:
        nonlocal ran
        ran += 1
        if ran == wanted:
            over.set()
        return number

    async def caller(many: int) -> None:
        for each in range(many):
            await errands.add_task(noop, each)

    async with errands.working():
        if adds:
            await caller(WARM_UP)
        await over.wait()
        over.clear()
        wanted = ran + number
        begin = time.perf_counter()
        if adds:
            await asyncio.gather(*(caller(number // CALLERS) for _ in range(CALLERS)))
        await over.wait()
        return number / (time.perf_counter() - begin)


EMPTY = "add to done, nothing waits"
BEHIND, ELSEWHERE = "    behind, of an unknown task", "    in another queue"
TOMORROW = "    for tomorrow, before"
FEW, MANY = "drain, no more than are measured", "drain, out of all"


def main() -> None:
    heading(__doc__)
    number = scaled(3_000) // CALLERS * CALLERS
    fillings = {
        EMPTY: partial(fill, number=0),
        BEHIND: partial(fill, number=N, task="unknown", priority=-1),
        ELSEWHERE: partial(fill, number=N, queue="elsewhere"),
        TOMORROW: partial(fill, number=N, priority=1, later=DAY),
        MANY: partial(fill, number=N),
    }
    rates: Samples[float] = {name: [] for name in (EMPTY, BEHIND, ELSEWHERE, TOMORROW, FEW, MANY)}
    with tempfile.TemporaryDirectory(prefix="errands-bench-") as there:
        folders = {name: Path(there) / str(place) for place, name in enumerate(fillings)}
        for name, filling in fillings.items():
            folders[name].mkdir()
            filling(folders[name])
        print(f"{N:,} jobs wait")
        for turn in range(ROUNDS):
            few = Path(there) / f"few {turn}"
            few.mkdir()
            fill(few, number + 2 * WARM_UP)
            rates[FEW].append(apart(drain, few, number))
            for name, folder in folders.items():
                rates[name].append(apart(drain if name == MANY else add_to_done, folder, number))
    show([Column(unit="jobs/s", samples=rates)])
    verdicts(
        [
            *(
                Promise.ratio(
                    f"{EMPTY} / {name.strip()}", rates[EMPTY], rates[name], 1.5, at_most=True
                )
                for name in (BEHIND, ELSEWHERE, TOMORROW)
            ),
            Promise.ratio(
                "drain: no more / out of all", rates[FEW], rates[MANY], 1.5, at_most=True
            ),
        ]
    )


if __name__ == "__main__":
    main()

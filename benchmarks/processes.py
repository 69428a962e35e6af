"""Processes: jobs per second of four on one file against one, and the least share of the four.

Drain: the jobs are there before; the processes compete for each claim. Add to done: each adds
and runs, with 100 callers in all. A share is what a process ran over a fourth of all.
Together they run side by side for ten seconds, or as `$SCALE` has it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from measuring import Column, Promise, heading, show, verdicts
from measuring._rounds import SCALE
from measuring.backlog import fill

from errands import Errands

TOGETHER, ALONE, HALF = 10 * SCALE, 2.5 * SCALE, 4 * SCALE
BACKLOG = round(400_000 * max(SCALE, 0.25))  # more than anybody runs in that time
CALLERS = 100  # of all processes together
PROCESSES = 4


def work(folder: Path, seconds: float, callers: int, pipe: Connection) -> None:
    """One process: say when it is ready, begin when told, say how many jobs it ran."""
    pipe.send(asyncio.run(_work(folder, seconds, callers, pipe)))


async def _work(folder: Path, seconds: float, callers: int, pipe: Connection) -> int:
    errands = Errands(f"sqlite:///{folder}/errands.db", grace=0)
    ran, over = 0, False

    @errands.task(name="noop")
    async def noop(number: int) -> int:
        nonlocal ran
        ran += not over
        return number

    async def caller() -> None:
        while not over:
            await errands.add_task(noop, 1)

    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    async with errands.working():
        adding = [asyncio.create_task(caller()) for _ in range(callers)]
        await asyncio.sleep(seconds / 10)  # warm-up
        before = ran
        await asyncio.sleep(seconds)
        count, over = ran - before, True
        await asyncio.gather(*adding)
    return count


def side_by_side(processes: int, seconds: float, *, adds: bool) -> list[float]:
    """Jobs per second of each of so many processes on one file."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="errands-bench-") as folder:
        fill(Path(folder), 0 if adds else BACKLOG)
        pipes = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            callers = CALLERS // processes if adds else 0
            context.Process(target=work, args=(Path(folder), seconds, callers, theirs)).start()
            theirs.close()
            pipes.append(ours)
        for pipe in pipes:
            pipe.recv()
        begin = time.monotonic()
        for pipe in pipes:
            pipe.send("begin")
        rates = [pipe.recv() / seconds for pipe in pipes]
        assert time.monotonic() - begin < 3 * seconds + 20
        for child in multiprocessing.active_children():
            child.join()
    return rates


def main() -> None:
    heading(__doc__)
    drains = [side_by_side(1, ALONE, adds=False), side_by_side(1, ALONE, adds=False)]
    drained = side_by_side(PROCESSES, TOGETHER, adds=False)
    alone = [side_by_side(1, ALONE, adds=True), side_by_side(1, ALONE, adds=True)]
    added = side_by_side(PROCESSES, HALF, adds=True)
    show(
        [
            Column(
                unit="jobs/s",
                samples={
                    "drain, 1 process": [sum(rates) for rates in drains],
                    "drain, 4 processes": [sum(drained)],
                    "    each of the 4": drained,
                    "add to done, 1 process": [sum(rates) for rates in alone],
                    "add to done, 4 processes": [sum(added)],
                    "    each of them": added,
                },
            )
        ]
    )
    once, again = sum(map(sum, drains)) / 2, sum(map(sum, alone)) / 2
    verdicts(
        [
            Promise.ratio("drain: 4 processes / 1", [sum(drained)], [once], 1),
            Promise(what="drain: the least share", samples=[share(drained)], target=0.5),
            Promise.ratio("add to done: 4 processes / 1", [sum(added)], [again], 1),
            Promise(what="add to done: the least share", samples=[share(added)], target=0.5),
        ]
    )


def share(rates: Sequence[float]) -> float:
    """The least of them, over what each would have if all had the same."""
    return min(rates) / (sum(rates) / len(rates))


if __name__ == "__main__":
    main()

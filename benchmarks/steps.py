"""Steps: what one no-op job costs, in microseconds, from its making to its outcome.

Each step is timed by itself, on parts that nobody else uses at that time. The steps of the
store are whole calls: rows, statements, the flush of the commit, the way to the writer and
back; how much of that a job has to bear depends on how many share it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from measuring import ROUNDS, heading, interleaved, scaled
from throughput import CALLERS, on_asyncio

from errands import Claim, Job, new_id
from errands._clock import Clock
from errands._options import DEFAULT
from errands._run import Run
from errands._runner import run
from errands._task import Task
from errands.executors.thread import Threads
from errands.stores.sqlite import SQLiteStore

BATCHES = (1, 10, 100)
LEASE = timedelta(seconds=15)
TIMES = 5  # that each step is measured; the median counts


async def noop(number: int) -> int:
    return number


@dataclass(frozen=True)
class Step:
    """One row: the microseconds of one job, for each size of a batch, or whatever the size.

    Attributes:
        is_part: Whether it is contained in the next row that is not.
        is_taken: Whether a job takes it that is added where it runs.
    """

    name: str
    costs: Sequence[float]
    is_part: bool = False
    is_taken: bool = True


def alone(name: str, act: Callable[[], object], *, is_part: bool = False) -> Step:
    """A step that no other job shares."""
    number = scaled(3_000)

    def once() -> float:
        begin = time.perf_counter()
        for _ in range(number):
            act()
        return (time.perf_counter() - begin) / number * 1e6

    return Step(name, [statistics.median(once() for _ in range(TIMES))], is_part)


async def awaited(name: str, act: Callable[[], Awaitable[object]]) -> Step:
    """The same of something that is awaited."""
    number = scaled(3_000)
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        for _ in range(number):
            await act()
        took.append((time.perf_counter() - begin) / number * 1e6)
    return Step(name, [statistics.median(took)])


async def started(name: str) -> Step:
    """A task of asyncio for each job, all at once, as the worker starts them."""
    loop, context, number = asyncio.get_running_loop(), copy_context(), scaled(3_000)
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        tasks = [
            loop.create_task(noop(each), name="noop", context=context.copy())
            for each in range(number)
        ]
        for task in tasks:
            await task
        took.append((time.perf_counter() - begin) / number * 1e6)
    return Step(name, [statistics.median(took)])


def making(task: Task, clock: Clock) -> list[Step]:
    now = clock.now()

    def make() -> Job:
        return DEFAULT.job(task, (5,), {}, clock.now(), 1 << 20)

    job = make()
    return [
        alone(
            "arguments to JSON, and a look back", lambda: task.codec.dump((5,), {}), is_part=True
        ),
        alone("the time", clock.now, is_part=True),
        alone("the id", lambda: new_id(now), is_part=True),
        alone("make the job", make),
        alone("claim it at birth", lambda: job.claimed("worker", now, LEASE)),
    ]


async def running(task: Task, clock: Clock) -> list[Step]:
    job = DEFAULT.job(task, (5,), {}, clock.now(), 1 << 20).claimed("worker", clock.now(), LEASE)
    threads = Threads(1)

    async def whole() -> Job:
        return await run(Run(job, lambda _: None), task, (), threads, clock)

    return [
        await started("start a task of asyncio"),
        alone("arguments from JSON", lambda: task.codec.load(job.payload), is_part=True),
        alone("result to JSON", lambda: task.codec.dump_result(5), is_part=True),
        alone("the outcome", lambda: job.done("5", clock.now()), is_part=True),
        await awaited("run it", whole),
    ]


async def storing(task: Task, clock: Clock, folder: Path) -> list[Step]:
    adds: list[float] = []
    claims: list[float] = []
    saves: list[float] = []
    async with SQLiteStore(f"sqlite:///{folder}/steps.db") as store:
        for size in BATCHES:
            took = [await _stored(store, task, clock, size) for _ in range(scaled(100))]
            adds.append(statistics.median(add for add, _, _ in took) / size * 1e6)
            claims.append(statistics.median(claim for _, claim, _ in took) / size * 1e6)
            saves.append(statistics.median(save for _, _, save in took) / size * 1e6)
    return [
        Step("store.add", adds),
        Step("store.claim, for jobs that are not born here", claims, is_taken=False),
        Step("store.save, the outcome", saves),
    ]


async def _stored(
    store: SQLiteStore, task: Task, clock: Clock, size: int
) -> tuple[float, float, float]:
    now = clock.now()
    jobs = [DEFAULT.job(task, (each,), {}, now, 1 << 20) for each in range(size)]
    claim = Claim(
        worker="worker", queues=None, tasks=["noop"], limit=size, now=clock.now(), lease=LEASE
    )
    begin = time.perf_counter()
    await store.add(jobs)
    added = time.perf_counter()
    claimed = await store.claim(claim)
    taken = time.perf_counter()
    done = [job.done("5", clock.now()) for job in claimed]
    before = time.perf_counter()
    assert len(await store.save(done)) == size
    return added - begin, taken - added, time.perf_counter() - before


def steps(folder: Path) -> list[Step]:
    """All steps, measured in this process."""

    async def measure() -> list[Step]:
        task, clock = Task(name="noop", function=noop), Clock()
        made, ran = making(task, clock), await running(task, clock)
        [add, claim, save] = await storing(task, clock, folder)
        return [*made, add, claim, *ran, save]

    return asyncio.run(measure())


def main() -> None:
    heading(__doc__)
    turns = interleaved({"steps": steps})["steps"]
    rates = interleaved({"rate": partial(on_asyncio, number=scaled(5_000))})["rate"]
    width = 48
    print(f"\n{'microseconds a job':{width}}{'alone':>10}{'of 10':>10}{'of 100':>10}")
    named = 0.0
    for rows in zip(*turns, strict=True):
        step = rows[0]
        by_batch = zip(*(row.costs for row in rows), strict=True)
        costs = [statistics.median(costs) for costs in by_batch]
        name = f"    {step.name}" if step.is_part else step.name
        print(f"{name:{width}}" + "".join(f"{cost:>10.1f}" for cost in costs))
        named += costs[-1] if step.is_taken and not step.is_part else 0
    whole = 1e6 / statistics.median(rates)
    print(f"\n{f'add to done, {CALLERS} callers: all in all':{width}}{whole:>30.1f}")
    print(f"{'    the steps above, of 100, without the claim':{width}}{named:>30.1f}")
    print(f"{'    loop, futures, waits between threads':{width}}{whole - named:>30.1f}")
    print(f"\nMedians of {ROUNDS} processes; what is set in is a part of the row that follows.\n")


if __name__ == "__main__":
    main()

"""Memory: bytes of this process for each of 100,000 tasks that wait.

Local tasks wait in the bag of one request, as they do in Starlette's BackgroundTasks; or each,
added by a request of its own, for the one free thread. Durable jobs wait in the SQLite file: for
tomorrow, or for a slot while 50 others run. Counted is what the whole process has resident, so
that SQLite is in it. A few thousand are there before the count begins: the price of the first.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio.to_thread
from measuring import Column, Promise, heading, interleaved, scaled, show, verdicts
from starlette.background import BackgroundTasks as StarletteTasks

from errands import Errands

NUMBER = scaled(100_000)
FIRST = NUMBER // 10  # that are not counted
BATCH = 1_000

Fill = Callable[[range], Awaitable[object]]


async def noop(number: int) -> int:
    return number


async def weighed(fill: Fill) -> float:
    """Bytes for each of the tasks that `fill` makes to wait, and keeps by what it returns."""
    first = await fill(range(FIRST))
    gc.collect()
    before = resident()
    kept = await fill(range(NUMBER))
    gc.collect()
    after = resident()
    del first, kept
    return (after - before) / NUMBER


def resident() -> float:
    """Bytes of this process that are in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024
    raise RuntimeError("/proc/self/status names no VmRSS")


async def starlette_one(folder: Path) -> float:
    async def fill(numbers: range) -> object:
        background = StarletteTasks()
        for each in numbers:
            background.add_task(noop, each)
        return background

    return await weighed(fill)


async def errands_one(folder: Path) -> float:
    errands = Errands(f"sqlite:///{folder}/errands.db", max_pending=2 * NUMBER)

    async def fill(numbers: range) -> object:
        background = errands.background()
        for each in numbers:
            background.add_task(noop, each)
        return background

    async with errands.working():
        return await weighed(fill)


async def starlette_each(folder: Path) -> float:
    gate = threading.Event()
    anyio.to_thread.current_default_thread_limiter().total_tokens = 1

    def wait(number: int) -> None:
        gate.wait()

    tasks = []

    async def fill(numbers: range) -> object:
        for each in numbers:
            background = StarletteTasks()
            background.add_task(wait, each)
            tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0.1)  # each begins, and queues up for the thread
        return None

    bytes_ = await weighed(fill)
    for task in tasks:
        task.cancel()
    gate.set()
    await asyncio.wait(tasks)
    return bytes_


async def errands_each(folder: Path) -> float:
    errands = Errands(f"sqlite:///{folder}/errands.db", threads=1, max_pending=2 * NUMBER, grace=0)
    gate = threading.Event()

    def wait(number: int) -> None:
        gate.wait()

    async def fill(numbers: range) -> object:
        for each in numbers:
            background = errands.background()
            background.add_task(wait, each)
            await background.close(wait=False)
        await asyncio.sleep(0.1)  # as above
        return None

    async with errands.working():
        bytes_ = await weighed(fill)
        gate.set()
        return bytes_


async def for_tomorrow(folder: Path) -> float:
    errands = Errands(f"sqlite:///{folder}/errands.db")
    kept = errands.task(name="noop")(noop)
    adding = errands.options(after=86_400)

    async def fill(numbers: range) -> object:
        for start in range(0, len(numbers), BATCH):
            await adding.add_tasks((kept, each) for each in numbers[start : start + BATCH])
        return None

    async with errands.working():
        return await weighed(fill)


async def for_a_slot(folder: Path) -> float:
    errands = Errands(f"sqlite:///{folder}/errands.db", slots=50, grace=0)
    kept = errands.task(name="noop")(noop)
    running = asyncio.Semaphore(0)

    @errands.task(name="occupy")
    async def occupy() -> None:
        running.release()
        await asyncio.Event().wait()

    async def fill(numbers: range) -> object:
        for start in range(0, len(numbers), BATCH):
            await errands.add_tasks((kept, each) for each in numbers[start : start + BATCH])
        return None

    async with errands.working():
        await errands.add_tasks([(occupy,)] * 50)
        for _ in range(50):
            await running.acquire()
        return await weighed(fill)


WAYS = {
    "local, Starlette, one request": starlette_one,
    "local, Errands, one request": errands_one,
    "local, Starlette, a request each": starlette_each,
    "local, Errands, a request each": errands_each,
    "durable, Errands, for tomorrow": for_tomorrow,
    "durable, Errands, for a slot": for_a_slot,
}
STARLETTE_ONE, ONE, STARLETTE_EACH, EACH, TOMORROW, SLOT = WAYS


def weight(folder: Path, way: str) -> float:
    logging.disable()  # what is dropped at the end is meant to be
    return asyncio.run(WAYS[way](folder))


def main() -> None:
    heading(__doc__)
    weights = interleaved({name: partial(weight, way=name) for name in WAYS}, rounds=1)
    show([Column(unit="bytes", samples=weights)])
    one = Promise.ratio("one request: Errands / Starlette", weights[ONE], weights[STARLETTE_ONE])
    each = Promise.ratio("a request each: same", weights[EACH], weights[STARLETTE_EACH])
    worst = [max(*weights[TOMORROW], *weights[SLOT])]
    durable = Promise(what="durable, bytes", samples=worst, target=20, at_most=True, form=".1f")
    verdicts([one, each, durable])


if __name__ == "__main__":
    main()

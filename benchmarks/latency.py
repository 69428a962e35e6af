"""Pickup: from the call that adds a durable job to the start of its function, on an idle worker.

The commit is part of it: SQLite, flushed. Between two jobs there is a pause, so that the worker
sleeps when the next one comes. huey looks again and again: by default it waits 0.1 s, then
longer and longer; here also with one look each millisecond.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from measuring import (
    Column,
    Promise,
    heading,
    interleaved,
    percentile,
    scaled,
    show,
    verdicts,
)
from measuring.peers import Huey

from errands import Errands

SEED = 7


def pauses(number: int) -> Sequence[float]:
    """Seconds between two jobs, the same in each turn."""
    dice = random.Random(SEED)
    return [dice.uniform(0.008, 0.02) for _ in range(number)]


class Site:
    """An Errands with one task that notes how long after its addition it started."""

    def __init__(self, folder: Path) -> None:
        self.errands = Errands(f"sqlite:///{folder}/errands.db")
        self.started: list[float] = []

        @self.errands.task(name="note")
        async def note(asked: float) -> None:
            self.started.append(time.monotonic() - asked)

        self.note = note

    async def add(self, number: int) -> None:
        for pause in pauses(number):
            await asyncio.sleep(pause)
            await self.errands.add_task(self.note, time.monotonic())

    async def noted(self, number: int) -> list[float]:
        """The waits, once there are so many; the first of them are warm-up."""
        async with asyncio.timeout(60):
            while len(self.started) < number:  # noqa: ASYNC110  # nothing is measured any more
                await asyncio.sleep(0.05)
        return self.started[number // 10 :]


def same_process(folder: Path, number: int) -> list[float]:
    async def measure() -> list[float]:
        site = Site(folder)
        async with site.errands.working():
            await site.add(number)
            return await site.noted(number)

    return asyncio.run(measure())


def other_process(folder: Path, number: int) -> list[float]:
    async def measure() -> list[float]:
        site = Site(folder)
        async with site.errands.working(), adding(add_elsewhere, folder, number):
            return await site.noted(number)

    return asyncio.run(measure())


def add_elsewhere(folder: Path, number: int) -> None:
    async def add() -> None:
        site = Site(folder)
        async with site.errands:
            await site.add(number)

    asyncio.run(add())


@asynccontextmanager
async def adding(add: Callable[..., None], *args: Any) -> AsyncIterator[None]:
    """Have `add` called in another process."""
    process = multiprocessing.get_context("spawn").Process(target=add, args=args)
    process.start()
    try:
        yield
    finally:
        await asyncio.to_thread(process.join)


def huey(folder: Path, number: int, **options: float) -> list[float]:
    peer = Huey(folder)
    with peer.working(1, **options):
        for pause in pauses(number):
            before = len(peer.started)
            time.sleep(pause)
            peer.note(time.monotonic())
            while len(peer.started) == before:
                time.sleep(0.001)
        return peer.started[number // 10 :]


SAME, OTHER = "Errands, same process", "Errands, other process"
QUICK, DEFAULT = "huey, same process, a look each ms", "huey, same process, its default"


def main() -> None:
    heading(__doc__)
    waits = interleaved(
        {
            SAME: partial(same_process, number=scaled(150)),
            OTHER: partial(other_process, number=scaled(150)),
            QUICK: partial(huey, number=scaled(60)),
            DEFAULT: partial(
                huey, number=scaled(20), initial_delay=0.1, backoff=1.15, max_delay=10.0
            ),
        }
    )
    p50s = {n: [percentile(turn, 50) * 1000 for turn in turns] for n, turns in waits.items()}
    p99s = {n: [percentile(turn, 99) * 1000 for turn in turns] for n, turns in waits.items()}
    show(
        [
            Column(unit="p50, ms", samples=p50s, form=".2f"),
            Column(unit="p99, ms", samples=p99s, form=".2f"),
        ]
    )
    verdicts(
        [
            Promise(what="same process, p50 in ms", samples=p50s[SAME], target=1, at_most=True),
            Promise(what="other process, p50 in ms", samples=p50s[OTHER], target=10, at_most=True),
            Promise.ratio("same process, p50: huey's best / Errands", p50s[QUICK], p50s[SAME]),
            Promise.ratio("same process, p50: huey's default / Errands", p50s[DEFAULT], p50s[SAME]),
        ]
    )


if __name__ == "__main__":
    main()

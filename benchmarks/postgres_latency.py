"""Pickup on PostgreSQL: from the call that adds a job in one process to its start in another.

The commit is part of it. Between two jobs there is a pause, so that the worker sleeps when the
next one comes, and has to be told.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Mapping
from functools import partial

import uvloop
from latency import pauses
from measuring import (
    Column,
    Promise,
    Samples,
    heading,
    percentile,
    scaled,
    show,
    verdicts,
)
from measuring.contest import Peer
from measuring.ours import Ours
from measuring.pg_peers import PgQueuer, Procrastinate
from measuring.postgres import interleaved_on, postgres

LONGEST = 60.0  # seconds that all of them may take
START = 1.0  # seconds until a worker is idle


def waits(url: str, make: Callable[[], Peer], number: int) -> list[float]:
    """Seconds of each job but for the first tenth, which warm up."""
    return uvloop.run(_waits(url, make, number))


async def _waits(url: str, make: Callable[[], Peer], number: int) -> list[float]:
    peer, started, over = make(), list[float](), asyncio.Event()

    def lap(asked: int) -> None:
        started.append((time.monotonic_ns() - asked) / 1e9)
        if len(started) == number:
            over.set()

    await peer.prepare(url)
    await peer.open(url, lap)
    working = asyncio.create_task(peer.work())
    await asyncio.sleep(START)
    adding = multiprocessing.get_context("spawn").Process(target=add, args=(url, make, number))
    adding.start()
    async with asyncio.timeout(LONGEST):
        await over.wait()
    await asyncio.to_thread(adding.join)
    working.cancel()
    await asyncio.wait({working}, timeout=START)
    return started[number // 10 :]


def add(url: str, make: Callable[[], Peer], number: int) -> None:
    uvloop.run(_add(url, make(), number))


async def _add(url: str, peer: Peer, number: int) -> None:
    await peer.open(url, lambda asked: None)
    for pause in pauses(number):
        await asyncio.sleep(pause)
        await peer.add(time.monotonic_ns())


OURS = "Errands, other process"
CONTENDERS: Mapping[str, Callable[[], Peer]] = {
    OURS: Ours,
    "pgqueuer, other process": PgQueuer,
    "procrastinate, other process": Procrastinate,
}


def main() -> None:
    heading(__doc__)
    number = scaled(150)
    with postgres() as server:
        seconds: Samples[list[float]] = interleaved_on(
            server,
            {name: partial(waits, make=make, number=number) for name, make in CONTENDERS.items()},
        )
    p50s = {n: [percentile(turn, 50) * 1000 for turn in turns] for n, turns in seconds.items()}
    p99s = {n: [percentile(turn, 99) * 1000 for turn in turns] for n, turns in seconds.items()}
    show(
        [
            Column(unit="p50, ms", samples=p50s, form=".2f"),
            Column(unit="p99, ms", samples=p99s, form=".2f"),
        ]
    )
    verdicts([Promise(what="Errands: p50 in ms", samples=p50s[OURS], target=3, at_most=True)])


if __name__ == "__main__":
    main()

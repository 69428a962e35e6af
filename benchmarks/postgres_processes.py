"""Processes: jobs per second that four workers get out of one PostgreSQL, against what one gets.

The jobs are there before: each turn has a copy of the same database. The workers are processes
of their own, and the server has the same cores. All of them start at once, and what counts is
what they run in the same seconds. The peers have one round, as nothing is owed of them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection

import uvloop
from measuring import ROUNDS, Column, Promise, Samples, apart, heading, show, verdicts
from measuring._rounds import SCALE
from measuring.contest import Peer
from measuring.ours import Ours
from measuring.pg_peers import PgQueuer, Procrastinate
from measuring.postgres import PostgresServer, database, postgres

PROCESSES = 4
WARM_UP, SECONDS = 0.7, 2.0 * SCALE


def fill(url: str, make: Callable[[], Peer], number: int) -> None:
    async def filled() -> None:
        peer = make()
        await peer.prepare(url)
        await peer.open(url, lambda number: None)
        await peer.fill(number)

    uvloop.run(filled())


def work(url: str, make: Callable[[], Peer], pipe: Connection) -> None:
    """One process: say when it is ready, begin when told, say how many jobs it ran; go on."""
    uvloop.run(_work(url, make(), pipe))


async def _work(url: str, peer: Peer, pipe: Connection) -> None:
    ran = 0

    def lap(number: int) -> None:
        nonlocal ran
        ran += 1

    await peer.open(url, lap)
    pipe.send("ready")
    await asyncio.to_thread(pipe.recv)
    working = asyncio.create_task(peer.work())
    await asyncio.sleep(WARM_UP)
    before = ran
    await asyncio.sleep(SECONDS)
    pipe.send(ran - before)
    await working


def side_by_side(
    server: PostgresServer, filled: str, make: Callable[[], Peer], processes: int
) -> tuple[float, int]:
    """Jobs per second of so many processes together, and how many there have to be."""
    context = multiprocessing.get_context("spawn")
    workers, pipes = [], []
    with database(server, filled) as url:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            workers.append(context.Process(target=work, args=(url, make, theirs)))
            workers[-1].start()
            theirs.close()
            pipes.append(ours)
        try:
            for pipe in pipes:
                pipe.recv()
            for pipe in pipes:
                pipe.send("begin")
            counts = [pipe.recv() for pipe in pipes]
        finally:
            for worker in workers:
                worker.kill()  # it works yet, so that nobody had the server for himself
                worker.join()
    assert min(counts) > 0
    return sum(counts) / SECONDS, round(sum(counts) / SECONDS * (WARM_UP + SECONDS))


def rounds(server: PostgresServer, name: str, number: int, rates: Samples[float]) -> None:
    """So many rounds of one contender: alone, and then side by side."""
    make, backlog = CONTENDERS[name]
    with database(server) as filled:
        apart(fill, filled, make, round(backlog * SCALE))
        for _ in range(number):
            for processes in (1, PROCESSES):
                rate, needed = side_by_side(server, filled, make, processes)
                assert needed < backlog * SCALE, f"{name}: the jobs ran out"
                rates.setdefault(f"{name}, {processes}", []).append(rate)


OURS = "Errands"
# How many jobs are more than all of its workers run in that time.
CONTENDERS: Mapping[str, tuple[Callable[[], Peer], int]] = {
    OURS: (Ours, 120_000),
    "pgqueuer": (PgQueuer, 50_000),
    "pgqueuer, batches of 1000": (partial(PgQueuer, 1000), 90_000),
    "procrastinate": (partial(Procrastinate, 10), 8_000),
}


def main() -> None:
    heading(__doc__)
    rates: Samples[float] = {}
    with postgres() as server:
        for name in CONTENDERS:
            rounds(server, name, ROUNDS if name == OURS else 1, rates)
    show([Column(unit="jobs/s", samples=rates)])
    verdicts(
        [
            Promise.ratio(
                f"{name}: {PROCESSES} processes / 1",
                rates[f"{name}, {PROCESSES}"],
                rates[f"{name}, 1"],
                1.8 if name == OURS else None,
            )
            for name in CONTENDERS
        ]
    )


if __name__ == "__main__":
    main()

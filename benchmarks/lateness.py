"""Lateness: from when a delayed job, or a schedule's tick, is due to the start of its function.

One idle process each, and an instant every fifth of a second. Errands keeps all of it in SQLite
or PostgreSQL, flushed; so does huey in SQLite, which looks at its schedule once a second, its
least, and procrastinate in PostgreSQL, which looks every five, as it does if it is not told.
APScheduler keeps nothing: its jobs are in memory, and end with the process.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from measuring import Column, Promise, heading, interleaved, percentile, scaled, show, verdicts
from measuring.peers import Huey

from errands import Errands, Every, current_job, every

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # its server is that of the tests

import postgres_server

DURABLE = {"fsync": "on", "autovacuum": "on"}  # as `initdb` leaves them
INTERVAL = 0.2  # seconds
WARM = 5  # instants that do not count
SEED = 7


Server = postgres_server.PostgresServer | None


class Notes:
    """How late each was, until there are enough."""

    def __init__(self, number: int) -> None:
        self.late: list[float] = []
        self._number = WARM + number
        self._is_full = threading.Event()

    def note(self, due: float) -> None:
        """Say that what was due at this time, in seconds since 1970, starts now."""
        self.late.append(time.time() - due)
        if len(self.late) == self._number:
            self._is_full.set()

    def wait(self) -> list[float]:
        """All but the first few."""
        if not self._is_full.wait(120):
            raise TimeoutError("there were too few in 120 s")
        return self.late[WARM : self._number]


def ticks(folder: Path, number: int, spec: Every, server: Server = None) -> list[float]:
    async def measure() -> list[float]:
        errands, notes = Errands(store_in(folder, server)), Notes(number)

        @errands.schedule(spec)
        async def tick() -> None:
            notes.note(current_job().due_at.timestamp())

        async with errands.working():
            return await asyncio.to_thread(notes.wait)

    return asyncio.run(measure())


def delayed(folder: Path, number: int, server: Server = None) -> list[float]:
    async def measure() -> list[float]:
        errands, notes = Errands(store_in(folder, server)), Notes(number)

        @errands.task
        async def note() -> None:
            notes.note(current_job().due_at.timestamp())

        async with errands.working():
            for wait in waits(number):
                await errands.options(after=wait).add_task(note)
            return await asyncio.to_thread(notes.wait)

    return asyncio.run(measure())


def huey(folder: Path, number: int) -> list[float]:
    peer, notes = Huey(folder), Notes(number)

    def note(due: float) -> None:
        notes.note(due)

    task = peer.huey.task(name="late")(note)
    with peer.working(1, scheduler_interval=1):
        for wait in waits(number):
            due = time.time() + wait
            task.schedule((due,), eta=datetime.fromtimestamp(due, UTC))
        return notes.wait()


def procrastinate(folder: Path, number: int, server: Server) -> list[float]:
    peer: Any = import_module("procrastinate")
    assert server is not None

    async def measure() -> list[float]:
        connector = peer.PsycopgConnector(conninfo=server.new_database())
        app, notes = peer.App(connector=connector), Notes(number)

        @app.task(name="late")
        async def note(due: float) -> None:
            notes.note(due)

        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
            for wait in waits(number):
                due = datetime.now(UTC) + timedelta(seconds=wait)
                await note.configure(schedule_at=due).defer_async(due=due.timestamp())
            try:
                return await asyncio.to_thread(notes.wait)
            finally:
                worker.cancel()
                await asyncio.wait({worker})

    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    return asyncio.run(measure())


def apscheduler(folder: Path, number: int) -> list[float]:
    schedulers: Any = import_module("apscheduler.schedulers.asyncio")
    begin = datetime.now(UTC) + timedelta(seconds=INTERVAL)

    async def measure() -> list[float]:
        scheduler, notes = schedulers.AsyncIOScheduler(timezone=UTC), Notes(number)

        async def tick() -> None:
            late = (time.time() - begin.timestamp()) % INTERVAL
            notes.note(time.time() - late)

        scheduler.add_job(tick, "interval", seconds=INTERVAL, start_date=begin)
        scheduler.start()
        try:
            return await asyncio.to_thread(notes.wait)
        finally:
            scheduler.shutdown()

    return asyncio.run(measure())


def store_in(folder: Path, server: Server) -> str:
    """The URL of an empty store."""
    return f"sqlite:///{folder}/errands.db" if server is None else server.new_database()


def waits(number: int) -> list[float]:
    """Seconds after which each is due, somewhere in its fifth of a second."""
    dice = random.Random(SEED)
    return [1 + INTERVAL * (each + dice.random()) for each in range(WARM + number)]


TICK, SKIP, DELAYED = "tick", "tick, overlap=skip", "delayed job"
PLACES = ("SQLite", "PostgreSQL")


def contenders(server: Server) -> dict[str, Callable[[Path], list[float]]]:
    """Ours on both stores, and the peers."""
    number, few = scaled(100), scaled(20)
    ours: dict[str, Callable[[Path], list[float]]] = {}
    for place, at in zip(PLACES, (None, server), strict=True):
        spec, skipping = every(seconds=INTERVAL), every(seconds=INTERVAL, overlap="skip")
        ours |= {
            f"Errands, {place}, {TICK}": partial(ticks, number=number, spec=spec, server=at),
            f"Errands, {place}, {SKIP}": partial(ticks, number=number, spec=skipping, server=at),
            f"Errands, {place}, {DELAYED}": partial(delayed, number=number, server=at),
        }
    return ours | {
        "APScheduler, memory, tick": partial(apscheduler, number=number),
        "huey, SQLite, delayed job": partial(huey, number=few),
        "procrastinate, PostgreSQL, delayed job": partial(procrastinate, number=few, server=server),
    }


def main() -> None:
    heading(__doc__)
    postgres_server.SETTINGS.update(DURABLE)
    with postgres_server.running_server() as server:
        print(f"PostgreSQL {server.execute('show server_version')[0][0]}, flushed")
        late = interleaved(contenders(server))
    p50s = {n: [percentile(turn, 50) * 1000 for turn in turns] for n, turns in late.items()}
    p99s = {n: [percentile(turn, 99) * 1000 for turn in turns] for n, turns in late.items()}
    show(
        [
            Column(unit="p50, ms", samples=p50s, form=".2f"),
            Column(unit="p99, ms", samples=p99s, form=".2f"),
        ]
    )
    ours = [name for name in late if name.startswith("Errands")]
    verdicts(
        [
            Promise(what=f"{name}: {what} in ms", samples=samples[name], target=most, at_most=True)
            for what, samples, most in (("p50", p50s, 5), ("p99", p99s, 50))
            for name in ours
        ]
    )


if __name__ == "__main__":
    main()

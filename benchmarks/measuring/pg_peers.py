"""The peers on PostgreSQL: pgqueuer, procrastinate and SAQ, each as its manual has it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import psycopg
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from procrastinate import App, PsycopgConnector
from saq import Queue, Worker

PORTION = 1000  # jobs of one addition, where a peer can add many at once
POOL = 10  # connections of a pool; more do not help on four cores
CALLERS = 100
logging.getLogger("saq").setLevel(logging.WARNING)
logging.getLogger("procrastinate").setLevel(logging.WARNING)


async def analyze(url: str) -> None:
    """What autovacuum does within a minute; pgqueuer and procrastinate are slow before it."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("vacuum analyze")


class PgQueuer:
    """pgqueuer deletes a job at its end and logs its status; it neither fences nor keeps results.

    Args:
        batch: How many it fetches at once; 10 if it is not told.
    """

    def __init__(self, batch: int | None = None) -> None:
        self._options: dict[str, Any] = {} if batch is None else {"batch_size": batch}

    async def prepare(self, url: str) -> None:
        connection = await asyncpg.connect(url)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        self._url = url
        self._queries = Queries(AsyncpgDriver(await asyncpg.connect(url)))
        self._adding = Queries(AsyncpgPoolDriver(await asyncpg.create_pool(url, max_size=POOL)))
        self._manager = QueueManager(self._queries)

        @self._manager.entrypoint("noop")
        async def noop(job: Any) -> None:
            lap(int(job.payload))

    async def add(self, number: int) -> None:
        await self._adding.enqueue("noop", b"%d" % number)

    async def fill(self, number: int) -> None:
        for first in range(0, number, PORTION):
            many = min(PORTION, number - first)
            payloads = [b"%d" % each for each in range(first, first + many)]
            await self._queries.enqueue(["noop"] * many, payloads, [0] * many)
        await analyze(self._url)

    async def work(self) -> None:
        await self._manager.run(dequeue_timeout=timedelta(seconds=5), **self._options)


class Procrastinate:
    """procrastinate fetches one job at a time, with a function in the database.

    Args:
        concurrency: How many run side by side; 1 if it is not told.
    """

    def __init__(self, concurrency: int = CALLERS) -> None:
        self._concurrency = concurrency

    async def prepare(self, url: str) -> None:
        async with App(connector=PsycopgConnector(conninfo=url)).open_async() as app:
            await app.schema_manager.apply_schema_async()

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        self._url = url
        self._app = App(connector=PsycopgConnector(conninfo=url, min_size=POOL, max_size=POOL))
        await self._app.open_async()

        @self._app.task(name="noop")
        async def noop(number: int) -> int:
            lap(number)
            return number

        self._noop = noop

    async def add(self, number: int) -> None:
        await self._noop.defer_async(number=number)

    async def fill(self, number: int) -> None:
        for first in range(0, number, PORTION):
            last = min(number, first + PORTION)
            await self._noop.batch_defer_async(*({"number": n} for n in range(first, last)))
        await analyze(self._url)

    async def work(self) -> None:
        await self._app.run_worker_async(
            concurrency=self._concurrency, install_signal_handlers=False
        )


class Saq:
    """SAQ, on PostgreSQL or on Redis, as the URL says, ten jobs at a time, as it does by itself."""

    def __init__(self, concurrency: int = 10) -> None:
        self._concurrency = concurrency

    async def prepare(self, url: str) -> None:
        """It does so when it connects."""

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        self._url = url
        pool = {"min_size": POOL, "max_size": POOL} if url.startswith("postgres") else {}
        self._queue = Queue.from_url(url, **pool)
        await self._queue.connect()

        async def noop(context: Any, *, number: int) -> int:
            lap(number)
            return number

        self._worker: Any = Worker(self._queue, [("noop", noop)], concurrency=self._concurrency)
        self._worker.SIGNALS = []

    async def add(self, number: int) -> None:
        await self._queue.enqueue("noop", number=number)

    async def fill(self, number: int) -> None:
        await by_callers(self.add, number)
        if self._url.startswith("postgres"):
            await analyze(self._url)

    async def work(self) -> None:
        await self._worker.start()


async def by_callers(add: Callable[[int], Any], number: int) -> None:
    """Add one by one, with many callers at once."""

    async def caller(first: int) -> None:
        for each in range(first, number, CALLERS):
            await add(each)

    await asyncio.gather(*(caller(first) for first in range(CALLERS)))

"""The peers on Redis: taskiq, dramatiq and arq, each as its manual has it; SAQ is in `pg_peers`.

No job of theirs is written to the disk by the time it is taken for stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import dramatiq
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker as ArqWorker
from arq.worker import func
from dramatiq.brokers.redis import RedisBroker
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from .pg_peers import CALLERS, by_callers

THREADS = 32  # of dramatiq; its pool of connections has no more than 100
POLL = 0.01  # seconds; arq's default is half a second, with which it runs 200 jobs a second
for name in ("arq", "dramatiq", "taskiq"):
    logging.getLogger(name).setLevel(logging.ERROR)


class Taskiq:
    """taskiq on a stream, which hands out 100 jobs at once, with results kept."""

    async def prepare(self, url: str) -> None:
        """It does so when it starts."""

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        self._broker = RedisStreamBroker(url).with_result_backend(RedisAsyncResultBackend(url))

        @self._broker.task(task_name="noop")
        async def noop(number: int) -> int:
            lap(number)
            return number

        self._noop = noop
        await self._broker.startup()

    async def add(self, number: int) -> None:
        await self._noop.kiq(number)

    async def fill(self, number: int) -> None:
        await by_callers(self.add, number)

    async def work(self) -> None:
        await run_receiver_task(self._broker, max_async_tasks=CALLERS)


class Dramatiq:
    """dramatiq runs plain functions in threads; it keeps no results if it is not told to."""

    async def prepare(self, url: str) -> None:
        """There is nothing to be made."""

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        self._broker = RedisBroker(url=url)
        dramatiq.set_broker(self._broker)

        @dramatiq.actor(actor_name="noop")
        def noop(number: int) -> int:
            lap(number)
            return number

        self._noop = noop

    async def add(self, number: int) -> None:
        await asyncio.to_thread(self._noop.send, number)

    async def fill(self, number: int) -> None:
        for each in range(number):
            self._noop.send(each)

    async def work(self) -> None:
        worker = dramatiq.Worker(self._broker, worker_threads=THREADS, worker_timeout=100)
        worker.start()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(worker.stop)


class Arq:
    """arq looks for jobs again and again; it keeps results for an hour."""

    async def prepare(self, url: str) -> None:
        """There is nothing to be made."""

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        async def noop(context: Any, number: int) -> int:
            lap(number)
            return number

        self._settings = RedisSettings.from_dsn(url)
        self._pool = await create_pool(self._settings)
        self._noop = func(noop, name="noop")

    async def add(self, number: int) -> None:
        await self._pool.enqueue_job("noop", number)

    async def fill(self, number: int) -> None:
        await by_callers(self.add, number)

    async def work(self) -> None:
        worker = ArqWorker(
            [self._noop], redis_settings=self._settings, max_jobs=CALLERS, poll_delay=POLL,
            handle_signals=False,
        )  # fmt: skip  # a call
        try:
            await worker.async_run()
        finally:
            with suppress(Exception):
                await worker.close()

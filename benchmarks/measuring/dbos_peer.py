"""A peer on PostgreSQL: DBOS, apart from the others, since it takes as long as they to import."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dbos import DBOS

from .pg_peers import POOL, analyze, by_callers


class Dbos:
    """DBOS: a workflow without steps, in a queue that is looked at every 10 ms."""

    async def prepare(self, url: str) -> None:
        """It does so when it is launched."""

    async def open(self, url: str, lap: Callable[[int], None]) -> None:
        DBOS(
            config={
                "name": "bench", "system_database_url": url, "log_level": "ERROR",
                "sys_db_pool_size": 2 * POOL,
            }
        )  # fmt: skip  # a row

        @DBOS.workflow(name="noop")
        async def noop(number: int) -> int:
            lap(number)
            return number

        self._noop = noop
        DBOS.launch()
        self._url = url

    async def add(self, number: int) -> None:
        await DBOS.enqueue_workflow_async("noop", self._noop, number)

    async def fill(self, number: int) -> None:
        await by_callers(self.add, number)
        await analyze(self._url)

    async def work(self) -> None:
        await DBOS.register_queue_async("noop", polling_interval_sec=0.01)
        await asyncio.Event().wait()

"""The share: takes free services of the cluster, about as many as each other process.

Nobody leads. A process takes its share of what is free at once, and what is beyond that only
when no other has taken it for a moment. So the services of one that has died are spread, and
are up again as soon. Who has more than its share gives some back, if they have just begun.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from math import ceil

from ._clock import Clock
from ._job import Job
from ._runs import Runs, within
from ._service import QUEUE
from ._store import Claim, Store
from ._supervisor import Loop, Patience

logger = logging.getLogger("errands.service")

POLL = 1.0  # seconds between two looks at an idle store: the safety net under the wake-ups
PATIENCE = 0.3  # seconds for which a free service is left to processes that have fewer
YOUNG = timedelta(seconds=60)  # a service that has run for so long stays where it is


class Share:
    """Has free services started, as many as this process is to have.

    Args:
        runs: Where they run; it has a slot for each service.
        services: How many services there are that this process could run.
        wanted: What to ask the store for, if so many may come.
        freed: Set when one has ended here.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        patience: Patience,
        runs: Runs,
        worker: str,
        services: int,
        wanted: Callable[[int], Claim],
        freed: asyncio.Event,
    ) -> None:
        """Take nothing yet."""
        self._store, self._clock, self._patience, self._runs = store, clock, patience, runs
        self._worker, self._services, self._wanted = worker, services, wanted
        self._news, self._stopped, self._no_claim = freed, asyncio.Event(), asyncio.Event()
        self._no_claim.set()
        self._given: dict[str, tuple[Job, frozenset[str]]] = {}  # by name, and to whom

    @property
    def loops(self) -> dict[str, Loop]:
        """What is to be supervised."""
        return {"claims of services": self._take, "share of services": self._level}

    def ring(self) -> None:
        """Look again: a service may be free."""
        self._news.set()

    async def stop(self, seconds: float) -> None:
        """Take no more, and wait so long at the most for what is just being claimed."""
        self._stopped.set()
        self._news.set()
        await within(self._no_claim, seconds)

    async def _take(self) -> None:
        while not self._stopped.is_set():
            self._news.clear()
            pause = POLL
            if self._runs.free > 0:
                due = await self._patience.until_done(
                    lambda: self._store.next_free(self._wanted(1))
                )
                pause = (due - self._clock.now()).total_seconds() if due else POLL
            if pause <= 0:
                await self._claim()
            else:
                await self._wait(self._news, min(pause, POLL))

    async def _claim(self) -> None:
        """Take our share of what is free; or all of it, if nobody wants it for a while."""
        room = await self._patience.until_done(self._room)
        if room <= 0:
            await self._wait(self._stopped, PATIENCE * random.uniform(0.5, 1.0))
            room = await self._patience.until_done(self._room)
        limit = min(room, self._runs.free) if room > 0 else self._runs.free
        if self._stopped.is_set() or limit <= 0:
            return
        self._runs.occupy(limit)
        self._no_claim.clear()
        claimed: list[Job] = []
        try:
            claimed = await self._patience.until_done(
                lambda: self._store.claim(self._wanted(limit))
            )
        finally:
            for job in claimed:
                self._runs.start(job)
            self._runs.vacate(limit - len(claimed))
            self._no_claim.set()

    async def _level(self) -> None:
        """Give back what is beyond our share: a process has come that may not have any."""
        while True:
            await self._clock.sleep(POLL)
            if self._held > 1 and not self._stopped.is_set():
                await self._patience.until_done(self._give_back)

    async def _give_back(self) -> None:
        others, now = await self._others(), self._clock.now()
        running = sorted(self._runs.jobs, key=lambda job: job.started_at or now, reverse=True)
        young = [job for job in running if now - (job.started_at or now) < YOUNG]
        for job in young[: max(self._held - self._share_beside(others), 0)]:
            before, to = self._given.get(job.task, (None, frozenset[str]()))
            if before is not None and (before.version == job.version or others <= to):
                continue  # it ends just now; or they had the chance, and did not want it
            self._given[job.task] = job, others
            logger.info("service %s goes to another process, which has fewer", job.task)
            self._runs.give_back(job)

    @property
    def _held(self) -> int:
        return self._services - self._runs.free

    async def _room(self) -> int:
        return self._share_beside(await self._others()) - self._held

    def _share_beside(self, others: frozenset[str]) -> int:
        return ceil(self._services / (len(others) + 1))

    async def _others(self) -> frozenset[str]:
        """The other workers that live, and may run services as far as anybody can tell."""
        now = self._clock.now()
        return frozenset(
            beat.worker
            for beat in await self._store.workers()
            if beat.worker != self._worker
            and beat.is_alive(now)
            and (beat.queues is None or QUEUE in beat.queues)
        )

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until the event, or for so many seconds."""
        over = asyncio.Event()
        timer = self._clock.call_later(seconds, over.set)
        waits = [asyncio.ensure_future(each.wait()) for each in (event, over)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            for wait in waits:
                wait.cancel()

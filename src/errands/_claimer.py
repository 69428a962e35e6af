"""The claimer: takes free jobs while there are free slots, and else sleeps until there is news.

Where more jobs are free than slots, and the store is far, two claims are under way, each for
half of the slots: it looks for the next jobs while those of the claim before are run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import replace
from datetime import datetime

from ._clock import Clock
from ._job import Job
from ._runs import Runs, within
from ._store import Claim, Store
from ._supervisor import Patience

Sift = Callable[[list[Job]], Awaitable[list[Job]]]

POLL = 1.0  # seconds between two looks at an idle store: the safety net under the wake-ups


class Claimer:
    """Has free jobs started.

    Args:
        runs: Where they run.
        wanted: What to ask the store for, one after the other, if so many jobs may come in all.
        freed: Set when a slot is free again.
        sift: Says which of the jobs that were claimed are to start; it sees to the others.

    Attributes:
        is_idle: Whether nothing is free, as far as the store has told.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        patience: Patience,
        runs: Runs,
        wanted: Callable[[int], Sequence[Claim]],
        freed: asyncio.Event,
        sift: Sift | None = None,
    ) -> None:
        """Claim nothing yet."""
        self._store, self._clock, self._patience = store, clock, patience
        self._runs, self._wanted, self._freed = runs, wanted, freed
        self._sift = sift
        self._wake, self._no_claim = asyncio.Event(), asyncio.Event()
        self._no_claim.set()
        self._under_way: list[Claim] = []
        self._sifting = asyncio.Lock()
        self._is_rung = self._is_stopping = self._is_flush = self.is_idle = False

    def ring(self) -> None:
        """Look again: something may have become free."""
        self._is_rung = True
        self._wake.set()

    async def run(self) -> None:
        """Claim until stopped."""
        while not self._is_stopping:
            self._wake.clear()
            self._freed.clear()
            self._is_rung = False
            free = self._runs.free
            if free <= 0:
                await self._freed.wait()
            elif await self._claim_up_to(free) < free:
                await self._wait_for_work()
            elif 1 < self._store.claims_at_once <= self._runs.slots:
                self._is_flush = True
                async with asyncio.TaskGroup() as flows:
                    for _ in range(self._store.claims_at_once):
                        flows.create_task(self._flow(), name="errands claims")

    async def stop(self, seconds: float) -> None:
        """Claim no more, and wait so long at the most for what is just being claimed."""
        self._is_stopping = True
        self._wake.set()
        self._freed.set()
        await within(self._no_claim, seconds)

    async def _flow(self) -> None:
        """Claim for our part of the slots again and again, until a claim gets less than that."""
        while self._is_flush and not self._is_stopping:
            self._freed.clear()
            free = min(-(-self._runs.slots // self._store.claims_at_once), self._runs.free)
            if free <= 0:
                await self._freed.wait()
            elif await self._claim_up_to(free) < free:
                self._is_flush = False
                self._freed.set()

    async def _claim_up_to(self, free: int) -> int:
        """Claim and start jobs, and say how many there were."""
        self._runs.occupy(free)  # nobody else is to use these slots meanwhile
        self._no_claim.clear()
        claims = self._wanted(free)
        self._under_way += claims
        left = free
        try:
            for claim in claims:
                if left:
                    left -= await self._claim(replace(claim, limit=min(claim.limit, left)))
        finally:
            for claim in claims:
                self._under_way.remove(claim)
            if not self._under_way:
                self._no_claim.set()
            self._runs.vacate(left)
        return free - left

    def coming(self, tasks: Set[str]) -> int:
        """How many jobs of these tasks may come by the claims that are under way."""
        return sum(claim.limit for claim in self._under_way if not tasks.isdisjoint(claim.tasks))

    async def _claim(self, claim: Claim) -> int:
        """Claim and start jobs in slots that were occupied, and say how many there were."""
        claimed = await self._patience.until_done(
            lambda: self._store.claim(replace(claim, now=self._clock.now()))
        )
        async with self._sifting:  # it is to see what the claim before has started
            starting = await self._sift(claimed) if self._sift else claimed
            for job in starting:
                self._runs.start(job)
        self._runs.vacate(len(claimed) - len(starting))
        return len(claimed)

    async def _next_free(self) -> datetime | None:
        found = [
            await self._patience.until_done(lambda: self._store.next_free(claim))  # noqa: B023  # awaited in this turn
            for claim in self._wanted(1)
        ]
        return min((due for due in found if due is not None), default=None)

    async def _wait_for_work(self) -> None:
        """Sleep until there is news, or until a job's time has come."""
        self.is_idle = True
        try:
            while not (self._is_rung or self._is_stopping):
                due = await self._next_free()
                pause = (due - self._clock.now()).total_seconds() if due else POLL
                if pause <= 0 or self._is_rung:
                    return
                timer = self._clock.call_later(min(pause, POLL), self._wake.set)
                await self._wake.wait()
                timer.cancel()
                self._wake.clear()
                if due is not None and due <= self._clock.now():
                    return  # without asking the store once more
        finally:
            self.is_idle = False

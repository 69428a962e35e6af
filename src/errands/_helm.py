"""The helm: what operators ask of one worker, and what it does about it.

Which queues and tasks are paused the store knows itself at each claim. The rest is seen to
here: jobs to be cancelled, jobs whose key is paused, and how many slots there are.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from ._clock import Clock
from ._job import Job
from ._order import Order
from ._runs import Runs
from ._store import Store
from ._supervisor import Patience

LOOK = 1.0  # seconds between two looks: the safety net under the bell
SPACING = 0.1  # seconds between two looks, however often the bell is rung
AGAIN = timedelta(seconds=2)  # after which a job whose key is paused is looked at again


class Helm:
    """Obeys the orders for one worker.

    Args:
        runs: What runs here, in slots.
        slots: How many there are unless somebody asks for others.

    Attributes:
        slots: How many there are now.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        patience: Patience,
        worker: str,
        runs: Runs,
        slots: int,
    ) -> None:
        """Know of no order yet."""
        self._store, self._clock, self._patience = store, clock, patience
        self._worker, self._runs, self._own_slots = worker, runs, slots
        self._all_runs = [runs]
        self._orders: dict[tuple[str, str], Order] = {}
        self._rung, self._looking = asyncio.Event(), asyncio.Lock()
        self.slots = slots

    def steer(self, runs: Runs) -> None:
        """Cancel what is asked for among these, too: they have no slots of ours."""
        self._all_runs.append(runs)

    def ring(self) -> None:
        """Look soon: there may be an order."""
        self._rung.set()

    async def run(self) -> None:
        """Look and obey, without end; in real time, whatever the clock shows."""
        while True:
            self._rung.clear()
            await self.look()
            await asyncio.sleep(SPACING)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK - SPACING):
                    await self._rung.wait()

    async def look(self) -> None:
        """Read the orders, and obey them."""
        async with self._looking:  # what was read before is not to come after it
            await self._look()

    def is_paused(self, job: Job) -> bool:
        """Whether the job is not to start, as far as we know."""
        return bool(self._orders) and (
            ("queue", job.queue) in self._orders
            or ("task", job.task) in self._orders
            or self._has_paused_key(job)
        )

    async def sift(self, claimed: list[Job]) -> list[Job]:
        """Those that are to start; jobs with a paused key have gone back by then."""
        if not self._orders:
            return claimed
        later = [job for job in claimed if self._has_paused_key(job)]
        if later:
            until = self._clock.now() + AGAIN
            back = [job.postponed(until) for job in later]
            await self._patience.until_done(lambda: self._store.save(back))
        return [job for job in claimed if not self._has_paused_key(job)]

    async def _look(self) -> None:
        orders = await self._patience.until_done(self._store.orders)
        self._orders = {(order.kind, order.name): order for order in orders}
        asked = self._orders.get(("slots", self._worker))
        self.slots = self._own_slots if asked is None or asked.value is None else asked.value
        is_resting = ("worker", self._worker) in self._orders
        self._runs.resize(0 if is_resting else self.slots)
        if any(runs.is_busy for runs in self._all_runs):
            ids = await self._patience.until_done(lambda: self._store.cancelling(self._worker))
            for runs in self._all_runs:
                runs.cancel(ids)

    def _has_paused_key(self, job: Job) -> bool:
        return job.key is not None and ("key", job.key) in self._orders

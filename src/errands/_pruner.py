"""The pruner: forgets jobs that finished, and workers that went, long ago."""

from __future__ import annotations

from datetime import timedelta

from ._clock import Clock
from ._store import Store
from ._supervisor import Patience

PAUSE = 60.0  # seconds between two looks
BATCH = 1000  # rows in one transaction, so that nobody waits long for it
OF_WORKERS = ("worker", "slots")  # kinds of orders
DAY = timedelta(days=1)  # for which workers that are gone are shown


class Pruner:
    """Looks once a minute for jobs that have been kept for long enough."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        keep: timedelta,
        patience: Patience,
        *,
        pause: float = PAUSE,
    ) -> None:
        """Keep finished jobs for `keep`; look every `pause` seconds."""
        self._store, self._clock, self._keep, self._pause = store, clock, keep, pause
        self._patience = patience

    async def run(self) -> None:
        """Prune until cancelled."""
        while True:
            while await self._patience.until_done(self._batch) == BATCH:
                pass
            await self._patience.until_done(self._workers)
            await self._patience.until_done(self._orders)
            await self._clock.sleep(self._pause)

    async def _batch(self) -> int:
        return await self._store.prune(self._clock.now() - self._keep, BATCH)

    async def _workers(self) -> int:
        return await self._store.prune_workers(self._clock.now() - DAY)

    async def _orders(self) -> None:
        """Forget what was asked of workers that are not there any more."""
        orders = [each for each in await self._store.orders() if each.kind in OF_WORKERS]
        if orders:
            there = {each.worker for each in await self._store.workers()}
            gone = [(each.kind, each.name) for each in orders if each.name not in there]
            await self._store.remove_orders(gone)

"""What a store in PostgreSQL keeps beside jobs: workers, orders, history, schedules, a secret."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from ..._heartbeat import Heartbeat
from ..._history import Tally
from ..._order import Order, OrderKind
from ..._schedule import Schedule
from . import _history, _orders, _schedules, _secret, _workers
from ._server import OpenServer


class Records(OpenServer):
    """The part of `PostgresStore` that is not about jobs."""

    async def beat(self, heartbeat: Heartbeat) -> None:
        """See `Store.beat`."""
        await self._looking.call(_workers.beat, heartbeat)

    async def workers(self) -> list[Heartbeat]:
        """See `Store.workers`."""
        return await self._looking.call(_workers.workers, None)

    async def prune_workers(self, before: datetime) -> int:
        """See `Store.prune_workers`."""
        return await self._looking.call(_workers.prune_workers, before)

    async def orders(self) -> list[Order]:
        """See `Store.orders`."""
        return await self._looking.call(_orders.orders, None)

    async def put_orders(self, orders: Sequence[Order]) -> None:
        """See `Store.put_orders`."""
        await self._saving.call(_orders.put, orders)
        self._ring()

    async def remove_orders(self, orders: Collection[tuple[OrderKind, str]]) -> None:
        """See `Store.remove_orders`."""
        await self._saving.call(_orders.remove, orders)
        self._ring()

    async def add_history(self, tallies: Sequence[Tally]) -> None:
        """See `Store.add_history`."""
        await self._looking.call(_history.add, tallies, is_once=True)

    async def history(self, step: timedelta, since: datetime) -> list[Tally]:
        """See `Store.history`."""
        return await self._looking.call(_history.history, (step, since))

    async def prune_history(self, step: timedelta, before: datetime) -> int:
        """See `Store.prune_history`."""
        return await self._looking.call(_history.prune, (step, before))

    async def schedules(self) -> list[Schedule]:
        """See `Store.schedules`."""
        return await self._looking.call(_schedules.schedules, None)

    async def put_schedules(self, schedules: Sequence[Schedule]) -> set[str]:
        """See `Store.put_schedules`."""
        return await self._saving.call(_schedules.put, schedules)

    async def remove_schedules(self, names: Collection[str]) -> None:
        """See `Store.remove_schedules`."""
        await self._saving.call(_schedules.remove, names)

    async def secret(self) -> bytes:
        """See `Store.secret`."""
        return await self._saving.call(_secret.secret, None)

    async def keep_secret(self, secret: bytes, *, is_over: bool) -> None:
        """See `Store.keep_secret`."""
        await self._saving.call(_secret.keep, (secret, is_over))

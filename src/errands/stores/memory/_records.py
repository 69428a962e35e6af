"""What the store in memory keeps beside the jobs: workers, schedules, orders, a secret."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from ..._heartbeat import Heartbeat
from ..._history import Key, Tally, merged
from ..._order import Order, OrderKind
from ..._schedule import Schedule
from .._bell import Bell
from .._secret import new_secret


class Records:
    """The part of `MemoryStore` that is not about jobs.

    Args:
        bell: Told when there is a new order.
    """

    def __init__(self, bell: Bell) -> None:
        """Start empty."""
        self._bell = bell
        self._workers: dict[str, Heartbeat] = {}
        self._schedules: dict[str, Schedule] = {}
        self._history: dict[Key, Tally] = {}
        self._orders: dict[tuple[OrderKind, str], Order] = {}
        self._secret: bytes | None = None

    async def beat(self, heartbeat: Heartbeat) -> None:
        """See `Store.beat`."""
        self._workers[heartbeat.worker] = heartbeat

    async def workers(self) -> list[Heartbeat]:
        """See `Store.workers`."""
        newest_last = sorted(self._workers.values(), key=lambda w: (w.started_at, w.worker))
        return newest_last[::-1]

    async def prune_workers(self, before: datetime) -> int:
        """See `Store.prune_workers`."""
        old = [w.worker for w in self._workers.values() if (w.gone_at or w.seen_at) < before]
        for worker in old:
            del self._workers[worker]
        return len(old)

    async def schedules(self) -> list[Schedule]:
        """See `Store.schedules`."""
        return [self._schedules[name] for name in sorted(self._schedules)]

    async def put_schedules(self, schedules: Sequence[Schedule]) -> set[str]:
        """See `Store.put_schedules`."""
        for schedule in schedules:
            there = self._schedules.get(schedule.name)
            if (0 if there is None else there.version) == schedule.version - 1:
                self._schedules[schedule.name] = schedule
        return {each.name for each in schedules if self._schedules.get(each.name) == each}

    async def remove_schedules(self, names: Collection[str]) -> None:
        """See `Store.remove_schedules`."""
        for name in names:
            self._schedules.pop(name, None)

    async def orders(self) -> list[Order]:
        """See `Store.orders`."""
        return [self._orders[each] for each in sorted(self._orders)]

    async def put_orders(self, orders: Sequence[Order]) -> None:
        """See `Store.put_orders`."""
        self._orders.update({(order.kind, order.name): order for order in orders})
        self._bell.ring()

    async def remove_orders(self, orders: Collection[tuple[OrderKind, str]]) -> None:
        """See `Store.remove_orders`."""
        for each in orders:
            self._orders.pop(each, None)
        self._bell.ring()

    async def secret(self) -> bytes:
        """See `Store.secret`."""
        if self._secret is None:
            self._secret = new_secret()
        return self._secret

    async def keep_secret(self, secret: bytes, *, is_over: bool) -> None:
        """See `Store.keep_secret`."""
        if is_over or self._secret is None:
            self._secret = secret

    async def add_history(self, tallies: Sequence[Tally]) -> None:
        """See `Store.add_history`."""
        self._history = merged([*self._history.values(), *tallies])

    async def history(self, step: timedelta, since: datetime) -> list[Tally]:
        """See `Store.history`."""
        found = [each for each in self._history.values() if each.step == step and each.at >= since]
        return sorted(found, key=lambda tally: tally.key)

    async def prune_history(self, step: timedelta, before: datetime) -> int:
        """See `Store.prune_history`."""
        old = [key for key, t in self._history.items() if t.step == step and t.at < before]
        for key in old:
            del self._history[key]
        return len(old)

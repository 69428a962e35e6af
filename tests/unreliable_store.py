"""A store that fails now and then, by a seed: any store, with faults in each of its calls.

Which fault a call meets is a function of the seed, the method and how often that method was
called before: the same seed fails in the same places again, in whatever process.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeVar

from errands import (
    Claim,
    Group,
    Heartbeat,
    Job,
    LimitUse,
    OnConflict,
    Order,
    OrderKind,
    Query,
    Schedule,
    State,
    Store,
    Tally,
)
from errands.errors import StoreUnavailable

T = TypeVar("T")


class Fault(StrEnum):
    """What befalls a call."""

    NONE = "none"
    BEFORE = "fails before its effect"
    AFTER = "fails after its effect"
    SLOW = "is slow"
    CANCELLED_BEFORE = "is cancelled before its effect"
    CANCELLED_DURING = "is cancelled during its effect"
    CANCELLED_AFTER = "is cancelled after its effect"
    HANGS = "does not go on before it is told to"  # never drawn, only planned


FAILS = frozenset({Fault.BEFORE, Fault.AFTER})
CANCELS = (Fault.CANCELLED_BEFORE, Fault.CANCELLED_DURING, Fault.CANCELLED_AFTER)
COMMON = (Fault.BEFORE, Fault.BEFORE, Fault.AFTER, Fault.AFTER, Fault.SLOW)
FAULTS: Mapping[str, Sequence[Fault]] = {
    "add": (*COMMON, *CANCELS),  # by users, who may be cancelled; all others are loops of ours
    "open": (Fault.BEFORE, Fault.SLOW),  # who fails to open has let go of everything
    "ring": (Fault.BEFORE,),  # the bell is not heard
}

_user: ContextVar[asyncio.Task[object] | None] = ContextVar("unreliable_user", default=None)


class Injected(NamedTuple):
    """One fault that took place, or would have, had there been somebody to cancel."""

    method: str
    number: int
    fault: Fault


class Version(NamedTuple):
    """One version of one job."""

    id: str
    version: int


def fault_of(seed: object, method: str, number: int, rate: float) -> Fault:
    """What befalls the `number`th call of a method, counted from 1.

    Args:
        rate: The share of the calls that something befalls, between 0 and 1.
    """
    draw = random.Random(f"{seed} {method} {number}")  # text seeds alike in every process
    if draw.random() >= rate:
        return Fault.NONE
    return draw.choice(FAULTS.get(method, COMMON))


async def as_user(call: Callable[[], Awaitable[T]]) -> T:
    """Call in a task of its own, one that the store may cancel while it adds."""

    async def run() -> T:
        _user.set(asyncio.current_task())
        return await call()

    return await asyncio.create_task(run(), name="user")


@dataclass
class Ledger:
    """What really happened in one store, whoever was told; shared by the wrappers around it.

    Attributes:
        writes: Every version of a job, as each caller wrote it.
        unanswered: Versions that were written for a caller who was not told.
        removed: Ids of jobs whose removal was acknowledged.
        refused: Ids of jobs whose leases were to be renewed, and were not.
    """

    writes: dict[Version, list[Job]] = field(default_factory=dict)
    unanswered: set[Version] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def write(self, jobs: Sequence[Job]) -> None:
        """Note versions that are written."""
        for job in jobs:
            self.writes.setdefault(Version(job.id, job.version), []).append(job)


class UnreliableStore:
    """Passes every call on to another store, unless a fault befalls it.

    Args:
        inner: The store that does the work.
        seed: What the faults are drawn from.
        rate: The share of the calls that something befalls; 0 makes it as reliable as `inner`.
        ledger: Where to note what happened.

    Attributes:
        plan: Faults that are not drawn, by method and number.
        is_away: Whether every call fails before its effect.
        hangs: Set once a call hangs, until `goes_on` is set.
        injected: The faults so far, in their order.
        calls: How often each method was called.
        under_way: How many calls have not returned.
    """

    def __init__(
        self, inner: Store, seed: object = 0, *, rate: float = 0.0, ledger: Ledger | None = None
    ) -> None:
        """Open nothing yet."""
        self.inner, self.seed, self.rate = inner, seed, rate
        self.claims_at_once = inner.claims_at_once
        self.ledger = ledger or Ledger()
        self.plan: dict[tuple[str, int], Fault] = {}
        self.is_away = False
        self.hangs, self.goes_on = asyncio.Event(), asyncio.Event()
        self.injected: list[Injected] = []
        self.calls: Counter[str] = Counter()
        self.under_way = 0
        self._lock = threading.Lock()  # `extend` comes from another thread

    def calm(self) -> None:
        """Let nothing befall anybody from now on."""
        self.rate, self.is_away = 0.0, False

    # The store

    async def __aenter__(self) -> Self:
        """Open the other one."""
        await self._call("open", self.inner.__aenter__)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the other one: whoever closes gives up whatever could fail."""
        await self.inner.__aexit__(*exc)

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """See `Store.add`."""
        born = [job for job in jobs if job.state is State.RUNNING]

        async def add() -> list[Job]:
            self.ledger.write(born)  # now, for a cancelled caller never sees the answer
            return await self.inner.add(jobs, on_conflict)

        self.ledger.unanswered |= _versions(born)
        kept = await self._call("add", add)
        self.ledger.unanswered -= _versions(born)
        return kept

    async def add_within(
        self, connection: Any, jobs: Sequence[Job], on_conflict: OnConflict = "keep"
    ) -> list[Job]:
        """See `Store.add_within`."""
        return await self._call(
            "add_within", lambda: self.inner.add_within(connection, jobs, on_conflict)
        )

    async def claim(self, claim: Claim) -> list[Job]:
        """See `Store.claim`."""

        async def take() -> list[Job]:
            claimed = await self.inner.claim(claim)
            self.ledger.write(claimed)
            self.ledger.unanswered |= _versions(claimed)
            return claimed

        claimed = await self._call("claim", take)
        self.ledger.unanswered -= _versions(claimed)
        return claimed

    async def next_free(self, claim: Claim) -> datetime | None:
        """See `Store.next_free`."""
        return await self._call("next_free", lambda: self.inner.next_free(claim))

    async def save(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save`."""

        async def save() -> set[str]:
            saved = await self.inner.save(jobs)
            self.ledger.write([job for job in jobs if job.id in saved])
            return saved

        return await self._call("save", save)

    async def save_within(self, connection: Any, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save_within`."""
        return await self._call("save_within", lambda: self.inner.save_within(connection, jobs))

    async def report(self, jobs: Collection[Job]) -> None:
        """See `Store.report`."""
        await self._call("report", lambda: self.inner.report(jobs))

    def extend(self, jobs: Collection[str], worker: str, until: datetime) -> set[str]:
        """See `Store.extend`."""
        fault = self._draw("extend")
        try:
            if fault is Fault.BEFORE:
                self.ledger.refused.update(jobs)
                raise self._error("extend", fault)
            if fault is Fault.SLOW:
                time.sleep(0.001)
            held = self.inner.extend(jobs, worker, until)
            if fault is Fault.AFTER:
                raise self._error("extend", fault)
        finally:
            self._return()
        return held

    async def remove(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.remove`."""
        removed = await self._call("remove", lambda: self.inner.remove(jobs))
        self.ledger.removed |= removed
        return removed

    async def get(self, job_id: str) -> Job | None:
        """See `Store.get`."""
        return await self._call("get", lambda: self.inner.get(job_id))

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """See `Store.states`."""
        return await self._call("states", lambda: self.inner.states(ids))

    async def children(self, job_id: str, after: str | None, limit: int) -> Mapping[str, State]:
        """See `Store.children`."""
        return await self._call("children", lambda: self.inner.children(job_id, after, limit))

    async def group(self, name: str) -> Group:
        """See `Store.group`."""
        return await self._call("group", lambda: self.inner.group(name))

    async def groups(self, before: str | None, limit: int) -> list[str]:
        """See `Store.groups`."""
        return await self._call("groups", lambda: self.inner.groups(before, limit))

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        return await self._call("find", lambda: self.inner.find(query))

    async def count(self) -> Mapping[tuple[str, State], int]:
        """See `Store.count`."""
        return await self._call("count", self.inner.count)

    async def backlog(self, queue: str, most: int) -> int:
        """See `Store.backlog`."""
        return await self._call("backlog", lambda: self.inner.backlog(queue, most))

    async def places(self, before: datetime) -> set[tuple[str, str]]:
        """See `Store.places`."""
        return await self._call("places", lambda: self.inner.places(before))

    async def waiting_since(self, before: datetime) -> Mapping[str, datetime]:
        """See `Store.waiting_since`."""
        return await self._call("waiting_since", lambda: self.inner.waiting_since(before))

    async def limits_in_use(self, limit: int, most: int) -> list[LimitUse]:
        """See `Store.limits_in_use`."""
        return await self._call("limits_in_use", lambda: self.inner.limits_in_use(limit, most))

    async def prune(self, before: datetime, limit: int) -> int:
        """See `Store.prune`."""
        return await self._call("prune", lambda: self.inner.prune(before, limit))

    async def enlist(self, worker: str) -> None:
        """See `Store.enlist`."""
        await self._call("enlist", lambda: self.inner.enlist(worker))

    async def unblock(self, claim: Claim) -> int:
        """See `Store.unblock`."""
        return await self._call("unblock", lambda: self.inner.unblock(claim))

    async def rescue(self, now: datetime) -> int:
        """See `Store.rescue`."""
        return await self._call("rescue", lambda: self.inner.rescue(now))

    async def beat(self, heartbeat: Heartbeat) -> None:
        """See `Store.beat`."""
        await self._call("beat", lambda: self.inner.beat(heartbeat))

    async def workers(self) -> list[Heartbeat]:
        """See `Store.workers`."""
        return await self._call("workers", self.inner.workers)

    async def prune_workers(self, before: datetime) -> int:
        """See `Store.prune_workers`."""
        return await self._call("prune_workers", lambda: self.inner.prune_workers(before))

    async def request_cancel(self, ids: Collection[str]) -> set[str]:
        """See `Store.request_cancel`."""
        return await self._call("request_cancel", lambda: self.inner.request_cancel(ids))

    async def cancelling(self, worker: str) -> set[str]:
        """See `Store.cancelling`."""
        return await self._call("cancelling", lambda: self.inner.cancelling(worker))

    async def orders(self) -> list[Order]:
        """See `Store.orders`."""
        return await self._call("orders", self.inner.orders)

    async def put_orders(self, orders: Sequence[Order]) -> None:
        """See `Store.put_orders`."""
        await self._call("put_orders", lambda: self.inner.put_orders(orders))

    async def remove_orders(self, orders: Collection[tuple[OrderKind, str]]) -> None:
        """See `Store.remove_orders`."""
        await self._call("remove_orders", lambda: self.inner.remove_orders(orders))

    async def add_history(self, tallies: Sequence[Tally]) -> None:
        """See `Store.add_history`."""
        await self._call("add_history", lambda: self.inner.add_history(tallies))

    async def history(self, step: timedelta, since: datetime) -> list[Tally]:
        """See `Store.history`."""
        return await self._call("history", lambda: self.inner.history(step, since))

    async def prune_history(self, step: timedelta, before: datetime) -> int:
        """See `Store.prune_history`."""
        return await self._call("prune_history", lambda: self.inner.prune_history(step, before))

    async def schedules(self) -> list[Schedule]:
        """See `Store.schedules`."""
        return await self._call("schedules", self.inner.schedules)

    async def put_schedules(self, schedules: Sequence[Schedule]) -> set[str]:
        """See `Store.put_schedules`."""
        return await self._call("put_schedules", lambda: self.inner.put_schedules(schedules))

    async def remove_schedules(self, names: Collection[str]) -> None:
        """See `Store.remove_schedules`."""
        await self._call("remove_schedules", lambda: self.inner.remove_schedules(names))

    async def secret(self) -> bytes:
        """See `Store.secret`."""
        return await self._call("secret", self.inner.secret)

    async def keep_secret(self, secret: bytes, *, is_over: bool) -> None:
        """See `Store.keep_secret`."""
        await self._call("keep_secret", lambda: self.inner.keep_secret(secret, is_over=is_over))

    async def now(self) -> datetime:
        """See `Store.now`."""
        return await self._call("now", self.inner.now)

    def listen(self, ring: Callable[[], object]) -> Callable[[], None]:
        """See `Store.listen`; now and then the bell is not heard."""

        def ring_perhaps() -> None:
            fault = self._draw("ring")
            self._return()
            if fault is Fault.NONE:
                ring()

        return self.inner.listen(ring_perhaps)

    # The faults

    async def _call(self, method: str, effect: Callable[[], Awaitable[T]]) -> T:
        """Do what the method does, with whatever befalls it."""
        fault = self._draw(method)
        try:
            if fault is Fault.BEFORE:
                raise self._error(method, fault)
            if fault is Fault.SLOW:
                await _dawdle(self.calls[method])
            if fault is Fault.HANGS:
                self.hangs.set()
                await self.goes_on.wait()
            if fault is Fault.CANCELLED_BEFORE:
                await _cancel()
            if fault is Fault.CANCELLED_DURING:
                asyncio.get_running_loop().call_soon(_cancel_user)
            answer = await effect()
            if fault is Fault.CANCELLED_AFTER:
                await _cancel()
            if fault is Fault.AFTER:
                raise self._error(method, fault)
        finally:
            self._return()
        return answer

    def _draw(self, method: str) -> Fault:
        with self._lock:
            self.under_way += 1
            self.calls[method] += 1
            number = self.calls[method]
            drawn = fault_of(self.seed, method, number, self.rate)
            fault = Fault.BEFORE if self.is_away else self.plan.get((method, number), drawn)
            if fault is not Fault.NONE:
                self.injected.append(Injected(method, number, fault))
        return fault

    def _return(self) -> None:
        with self._lock:
            self.under_way -= 1

    def _error(self, method: str, fault: Fault) -> StoreUnavailable:
        return StoreUnavailable(f"{method}, call {self.calls[method]}, {fault}; seed {self.seed}")


def _versions(jobs: Sequence[Job]) -> set[Version]:
    return {Version(job.id, job.version) for job in jobs}


async def _dawdle(number: int) -> None:
    for _ in range(1 + number % 5):
        await asyncio.sleep(0)
    if number % 4 == 0:
        await asyncio.sleep(0.001)


def _cancel_user() -> None:
    user = _user.get()
    if user is not None:  # a task that is done takes no notice
        user.cancel("the store was told to")


async def _cancel() -> None:
    """Cancel the user; where we are not in its own task, go on."""
    _cancel_user()
    await asyncio.sleep(0)

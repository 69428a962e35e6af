"""Jobs in an SQLite file: durable, shared by the processes of one machine, nothing to install."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, unquote

import apsw

from ..._clock import local_time
from ..._examination import Examination
from ..._finish import finish
from ..._group import Group
from ..._heartbeat import Heartbeat
from ..._history import Tally
from ..._job import WAITING, Job, State
from ..._limit import LimitUse
from ..._order import Order, OrderKind
from ..._schedule import Schedule
from ..._store import Claim, OnConflict, Query
from .. import _fork
from .._bell import Bell, Echo, is_news
from .._waits import wait
from . import (
    _children,
    _claims,
    _drivers,
    _examined,
    _groups,
    _history,
    _limits,
    _orders,
    _passing,
    _schedules,
    _schema,
    _secret,
    _sql,
    _waiting,
    _workers,
)
from ._borrowed import within
from ._database import Database, OwnDatabase
from ._lane import BUSY, Lane, Work
from ._siblings import Siblings
from ._turn import Turn

T = TypeVar("T")

FEW = 4  # jobs that are written in no time
PATIENCE = 10.0  # seconds that a thread waits for the writer
DRIVER = "apsw"  # by default: it brings an SQLite that is new
SYNCHRONOUS = ("full", "normal", "extra")


class SQLiteStore:
    """Keeps jobs in one file, `sqlite:///errands.db`.

    Options of the URL:

    - `?synchronous=normal` gives up the last few jobs at a power cut for speed; the default,
      `full`, loses none.
    - `?driver=sqlite3` opens the file with the standard library instead of apsw: for a file
      that the application opens with it, too. See `docs/transactions.md`.
    """

    claims_at_once = 1

    def __init__(self, url: str) -> None:
        """Read the URL; the file is opened later.

        Raises:
            ValueError: if the URL names no file, or an option that there is not.
        """
        self._path, self._synchronous, self._driver = _parsed(url)
        folder = self._path.with_name(f"{self._path.name}-workers")
        self._unblocked = WAITING  # the key up to which was looked who is kept back
        self._bell = Bell()
        self._siblings = Siblings(folder, self._bell.ring)
        self._echo = Echo(self._ring)
        self.listen = self._bell.listen

    @property
    def path(self) -> Path:
        """The file, which need not be there yet."""
        return self._path

    async def __aenter__(self) -> Self:
        """Open the file, make or upgrade its tables."""
        path = str(self._path)
        self._writer = Lane(self._connect, path, Turn(self._path.parent))
        self._reader = Lane(self._connect, path)
        _drivers.take(self._driver, path)
        try:
            await self._writer.open()
            try:
                await self._writer.call(_schema.prepare, path)
                await self._reader.open()
            except BaseException:
                await self._writer.close()
                raise
        except BaseException:
            _drivers.leave(self._driver, path)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let go of the file, once what was asked of it is done."""
        await finish(self._close())  # also for whoever is cancelled meanwhile

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """See `Store.add`."""
        work, small = _work(jobs, on_conflict), len(jobs) <= FEW
        kept = await self._writer.call(work, (jobs, on_conflict), is_small=small)
        self._tell(kept)
        return kept

    async def add_within(
        self, connection: Any, jobs: Sequence[Job], on_conflict: OnConflict = "keep"
    ) -> list[Job]:
        """See `Store.add_within`."""
        work = _work(jobs, on_conflict)
        [kept] = await self._within(connection, lambda db: work(db, [(jobs, on_conflict)]))
        if is_news(kept):
            self._echo.begin()  # nobody tells us of the commit
        return kept

    async def claim(self, claim: Claim) -> list[Job]:
        """See `Store.claim`."""
        return await self._writer.call(_claims.claim, claim)

    async def next_free(self, claim: Claim) -> datetime | None:
        """See `Store.next_free`."""
        return await self._reader.call(_claims.next_free, claim)

    async def unblock(self, claim: Claim) -> int:
        """See `Store.unblock`."""
        if not await self._reader.call(_limits.has_blocked, None):
            return 0
        freed, self._unblocked = await self._writer.call(_limits.unblock, (claim, self._unblocked))
        if freed:
            self._ring()
        return freed

    async def save(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save`."""
        work = _passing.save
        saved = await self._writer.call(work, jobs, is_small=len(jobs) <= FEW)
        self._tell([job for job in jobs if job.id in saved], anyway=saved.frees)
        return saved

    async def save_within(self, connection: Any, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save_within`."""
        [saved] = await self._within(connection, lambda db: _sql.save(db, [jobs]))
        if saved.frees:
            self._echo.begin()  # as above
        return saved

    async def report(self, jobs: Collection[Job]) -> None:
        """See `Store.report`."""
        await self._writer.call(_sql.report, jobs)

    def extend(self, jobs: Collection[str], worker: str, until: datetime) -> set[str]:
        """See `Store.extend`."""
        argument = (list(jobs), worker, until)
        return self._writer.call_and_wait(_sql.extend, argument, PATIENCE)

    async def remove(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.remove`."""
        removed = await self._writer.call(_passing.remove, jobs)
        self._tell((), anyway=removed.frees)
        return removed

    async def get(self, job_id: str) -> Job | None:
        """See `Store.get`."""
        return await self._reader.call(_sql.get, job_id)

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """See `Store.states`."""
        known: Sequence[str] = list(ids)
        return await self._reader.call(_waiting.states, known)

    async def children(self, job_id: str, after: str | None, limit: int) -> Mapping[str, State]:
        """See `Store.children`."""
        call = (job_id, after, limit)
        return await self._reader.call(_waiting.children, call)

    async def group(self, name: str) -> Group:
        """See `Store.group`."""
        return await self._reader.call(_groups.group, name)

    async def groups(self, before: str | None, limit: int) -> list[str]:
        """See `Store.groups`."""
        return await self._reader.call(_groups.groups, (before, limit))

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        return await self._reader.call(_sql.find, query)

    async def count(self) -> Mapping[tuple[str, State], int]:
        """See `Store.count`."""
        return await self._reader.call(_sql.count, None)

    async def backlog(self, queue: str, most: int) -> int:
        """See `Store.backlog`."""
        return await self._reader.call(_sql.backlog, (queue, most))

    async def places(self, before: datetime) -> set[tuple[str, str]]:
        """See `Store.places`."""
        return await self._reader.call(_claims.places, before)

    async def waiting_since(self, before: datetime) -> Mapping[str, datetime]:
        """See `Store.waiting_since`."""
        return await self._reader.call(_claims.waiting_since, before)

    async def limits_in_use(self, limit: int, most: int) -> list[LimitUse]:
        """See `Store.limits_in_use`."""
        return await self._reader.call(_limits.in_use, (limit, most))

    async def prune(self, before: datetime, limit: int) -> int:
        """See `Store.prune`."""
        return await self._writer.call(_sql.prune, (before, limit))

    async def enlist(self, worker: str) -> None:
        """See `Store.enlist`."""
        self._siblings.enlist(worker)

    async def rescue(self, now: datetime) -> int:
        """See `Store.rescue`."""
        freed = 0
        for worker in self._siblings.dead():
            freed += await self._writer.call(_sql.free, (worker, now))
            await self._writer.call(_workers.bury, (worker, now))
        if freed:
            self._ring()
        return freed

    async def beat(self, heartbeat: Heartbeat) -> None:
        """See `Store.beat`."""
        await self._writer.call(_workers.beat, heartbeat)

    async def workers(self) -> list[Heartbeat]:
        """See `Store.workers`."""
        return await self._reader.call(_workers.workers, None)

    async def prune_workers(self, before: datetime) -> int:
        """See `Store.prune_workers`."""
        return await self._writer.call(_workers.prune_workers, before)

    async def request_cancel(self, ids: Collection[str]) -> set[str]:
        """See `Store.request_cancel`."""
        asked = await self._writer.call(_orders.request_cancel, ids)
        self._ring()
        return asked

    async def cancelling(self, worker: str) -> set[str]:
        """See `Store.cancelling`."""
        return await self._reader.call(_orders.cancelling, worker)

    async def orders(self) -> list[Order]:
        """See `Store.orders`."""
        return await self._reader.call(_orders.orders, None)

    async def put_orders(self, orders: Sequence[Order]) -> None:
        """See `Store.put_orders`."""
        await self._writer.call(_orders.put, orders)
        self._ring()

    async def remove_orders(self, orders: Collection[tuple[OrderKind, str]]) -> None:
        """See `Store.remove_orders`."""
        await self._writer.call(_orders.remove, orders)
        self._ring()

    async def add_history(self, tallies: Sequence[Tally]) -> None:
        """See `Store.add_history`."""
        await self._writer.call(_history.add, tallies)

    async def history(self, step: timedelta, since: datetime) -> list[Tally]:
        """See `Store.history`."""
        return await self._reader.call(_history.history, (step, since))

    async def prune_history(self, step: timedelta, before: datetime) -> int:
        """See `Store.prune_history`."""
        return await self._writer.call(_history.prune, (step, before))

    async def schedules(self) -> list[Schedule]:
        """See `Store.schedules`."""
        return await self._reader.call(_schedules.schedules, None)

    async def put_schedules(self, schedules: Sequence[Schedule]) -> set[str]:
        """See `Store.put_schedules`."""
        return await self._writer.call(_schedules.put, schedules)

    async def remove_schedules(self, names: Collection[str]) -> None:
        """See `Store.remove_schedules`."""
        await self._writer.call(_schedules.remove, names)

    async def examine(self) -> Examination:
        """See `Examinable.examine`."""
        return await asyncio.to_thread(_examined.examine, self._path, self._driver)

    async def secret(self) -> bytes:
        """See `Store.secret`."""
        return await self._writer.call(_secret.secret, None)

    async def keep_secret(self, secret: bytes, *, is_over: bool) -> None:
        """See `Store.keep_secret`."""
        await self._writer.call(_secret.keep, (secret, is_over))

    async def now(self) -> datetime:
        """See `Store.now`: all who share the file share this machine's clock."""
        return local_time()

    async def _close(self) -> None:
        self._echo.end()
        try:
            await self._reader.close()
        finally:
            try:
                await self._writer.close()
            finally:
                self._siblings.close()
                _drivers.leave(self._driver, str(self._path))

    async def _within(self, connection: Any, work: Callable[[Database], T]) -> T:
        _fork.refuse(str(self._path))
        return await within(connection, self._driver, str(self._path), work)

    def _connect(self) -> OwnDatabase:
        db = _waiting_for_others(lambda: _drivers.connected(self._driver, str(self._path)))
        try:
            db.set_busy_timeout(BUSY)
            _write_ahead(db)
            db.execute(f"pragma synchronous = {self._synchronous}")
        except BaseException:
            db.close()
            raise
        return db

    def _tell(self, jobs: Sequence[Job], *, anyway: bool = False) -> None:
        if anyway or is_news(jobs):
            self._ring()

    def _ring(self) -> None:
        self._bell.ring()
        self._siblings.ring()


def _work(
    jobs: Sequence[Job], on_conflict: OnConflict
) -> Work[tuple[Sequence[Job], OnConflict], list[Job]]:
    """What adds these jobs."""
    if wait(jobs):
        return _children.add
    return _sql.add if on_conflict == "keep" else _sql.add_anyway


def _write_ahead(db: Database) -> None:
    """Turn a new file into one with a write-ahead log, with whoever else is just doing that.

    SQLite asks for an exclusive lock here, and does not wait for it.
    """
    _waiting_for_others(lambda: db.execute("pragma journal_mode = wal"))


def _waiting_for_others(work: Callable[[], T]) -> T:
    """Do what meets others' locks before there is a busy timeout, or without heeding it.

    To connect may: libraries put hooks on all connections of apsw's (`apsw.connection_hooks`),
    and apsw's own best practice, which FastHTML's database library applies, writes in one.
    """
    give_up = time.monotonic() + BUSY / 1000
    while True:
        try:
            return work()
        except apsw.BusyError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.005)


def _parsed(url: str) -> tuple[Path, str, str]:
    rest, _, query = url.removeprefix("sqlite:").partition("?")
    path = unquote(rest.removeprefix("///"))
    if not rest.startswith("///") or not path or path.startswith(":"):
        raise ValueError(
            f"{url!r}: write sqlite:///errands.db for a file in this folder, "
            "sqlite:////srv/errands.db for any other, memory: for none"
        )
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full").lower()
    driver = options.pop("driver", DRIVER)
    if options:
        raise ValueError(
            f"{url!r}: unknown option {min(options)!r}, expected synchronous or driver"
        )
    if synchronous not in SYNCHRONOUS:
        raise ValueError(f"{url!r}: synchronous is one of {', '.join(SYNCHRONOUS)}")
    if driver not in _drivers.DRIVERS:
        raise ValueError(f"{url!r}: driver is one of {', '.join(_drivers.DRIVERS)}")
    return Path(path).absolute(), synchronous, driver

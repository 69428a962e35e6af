"""Jobs in an SQLite file: durable, shared by the processes of one machine, nothing to install."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..._clock import local_time
from ..._examination import Examination
from ..._group import Group
from ..._job import WAITING, Job, State
from ..._limit import LimitUse
from ..._query import Query
from ..._store import Claim, OnConflict
from .._bell import is_news
from .._waits import wait
from . import (
    _children,
    _claims,
    _examined,
    _groups,
    _limits,
    _orders,
    _passing,
    _sql,
    _waiting,
    _workers,
)
from ._call import Work
from ._records import Records

FEW = 4  # jobs that are written in no time
PATIENCE = 10.0  # seconds that a thread waits for the writer


class SQLiteStore(Records):
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
        super().__init__(url)
        self._unblocked = WAITING  # the key up to which was looked who is kept back

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

    async def request_cancel(self, ids: Collection[str]) -> set[str]:
        """See `Store.request_cancel`."""
        asked = await self._writer.call(_orders.request_cancel, ids)
        self._ring()
        return asked

    async def cancelling(self, worker: str) -> set[str]:
        """See `Store.cancelling`."""
        return await self._reader.call(_orders.cancelling, worker)

    async def examine(self) -> Examination:
        """See `Examinable.examine`."""
        return await asyncio.to_thread(_examined.examine, self._path, self._driver)

    async def now(self) -> datetime:
        """See `Store.now`: all who share the file share this machine's clock."""
        return local_time()


def _work(
    jobs: Sequence[Job], on_conflict: OnConflict
) -> Work[tuple[Sequence[Job], OnConflict], list[Job]]:
    """What adds these jobs."""
    if wait(jobs):
        return _children.add
    return _sql.add if on_conflict == "keep" else _sql.add_anyway

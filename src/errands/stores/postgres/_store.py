"""Jobs in PostgreSQL: durable, shared by the processes of many machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from psycopg.errors import UniqueViolation

from ..._clock import local_time
from ..._examination import Examination
from ..._group import Group
from ..._job import WAITING, Job, State
from ..._limit import LimitUse
from ..._query import Query
from ..._store import Claim, OnConflict
from ...errors import UnfitConnection
from .. import _fork
from .._bell import is_news
from .._waits import Saved, wait
from . import (
    _adding,
    _borrowed,
    _children,
    _examined,
    _finding,
    _groups,
    _limits,
    _orders,
    _sql,
    _unblocking,
    _waiting,
)
from ._borrowed import Borrowed, borrowed
from ._lane import Work
from ._link import Row
from ._records import Records
from ._trail import Trail

NO_JOBS: Sequence[Job] = ()


class PostgresStore(Records):
    """Keeps jobs in two tables of a PostgreSQL server, 13 or newer, `postgresql://host/database`.

    The tables are made and upgraded when the store is opened. Options of the URL, beside those
    of libpq (`sslmode=verify-full`, `host=/run/postgresql`, …):

    - `?schema=errands` puts the tables there; else they are where the user's new tables are.
    - `?pooler=transaction` is for a pooler between that gives each transaction another session,
      as pgbouncer with `pool_mode = transaction`. Nothing is kept in a session then: the death
      of a worker is noticed when its leases end, and news when a worker looks for them.
    """

    claims_at_once = 2

    def __init__(self, url: str) -> None:
        """Read the URL; the server is asked later.

        Raises:
            ValueError: if the URL makes no sense, or has an option that there is not.
        """
        super().__init__(url)
        self._add = partial(_adding.add_and_tell, self._crier)
        self._claim = partial(_sql.claim, Trail())
        self._unblocked = WAITING  # the key up to which was looked who is kept back
        self._place: Row | None = None  # where the tables were found last

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """See `Store.add`."""
        is_once = on_conflict != "keep"
        is_plain = on_conflict == "keep" and not wait(jobs)
        work = self._add if is_plain else _work(jobs, on_conflict)
        return await self._adding.call(work, jobs, is_once=is_once)

    async def add_within(
        self, connection: Any, jobs: Sequence[Job], on_conflict: OnConflict = "keep"
    ) -> list[Job]:
        """See `Store.add_within`."""
        async with self._within(connection) as session:
            [kept] = await _work(jobs, on_conflict)(session, [jobs])
            if is_news(kept):  # told at the commit, by the server; and to us as well
                await _sql.notify(session, [(self._presence.channel, "")])
            return kept

    async def claim(self, claim: Claim) -> list[Job]:
        """See `Store.claim`."""
        work = _limits.claim if claim.limits else self._claim
        return await self._claiming.call(work, claim, is_once=True)

    async def next_free(self, claim: Claim) -> datetime | None:
        """See `Store.next_free`."""
        return await self._claiming.call(_sql.next_free, claim)

    async def unblock(self, claim: Claim) -> int:
        """See `Store.unblock`."""
        after = claim, self._unblocked
        freed, self._unblocked = await self._claiming.call(_unblocking.unblock, after)
        if freed:
            self._bell.ring()
            self._crier.cry()
        return freed

    async def save(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save`."""
        saved = await self._saved(jobs)
        self._tell([job for job in jobs if job.id in saved], anyway=saved.frees)
        return saved

    async def save_within(self, connection: Any, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save_within`."""
        async with self._within(connection) as session:
            saved = await _borrowed.save(session, jobs)
            if saved.frees:
                await _sql.notify(session, [(self._presence.channel, "")])  # as above
            return saved

    async def report(self, jobs: Collection[Job]) -> None:
        """See `Store.report`."""
        await self._saving.call(_sql.report, jobs)

    def extend(self, jobs: Collection[str], worker: str, until: datetime) -> set[str]:
        """See `Store.extend`."""
        values = _sql.extension(jobs, worker, until)
        return {job_id for (job_id,) in self._extending.rows(self._extend_sql, values)}

    async def remove(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.remove`."""
        removed = await self._saving.call(_limits.remove, jobs, is_once=True)
        self._tell((), anyway=removed.frees)
        return removed

    async def get(self, job_id: str) -> Job | None:
        """See `Store.get`."""
        if "\0" in job_id:  # no text of the server's has one
            return None
        return await self._looking.call(_sql.get, job_id)

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """See `Store.states`."""
        known: Sequence[str] = [each for each in ids if "\0" not in each]  # as above
        return await self._looking.call(_waiting.states, known)

    async def children(self, job_id: str, after: str | None, limit: int) -> Mapping[str, State]:
        """See `Store.children`."""
        if "\0" in job_id:  # as above
            return {}
        call = (job_id, after, limit)
        return await self._looking.call(_waiting.children, call)

    async def group(self, name: str) -> Group:
        """See `Store.group`."""
        if "\0" in name:  # as above
            return Group(name=name, counts={})
        return await self._looking.call(_groups.group, name)

    async def groups(self, before: str | None, limit: int) -> list[str]:
        """See `Store.groups`."""
        return await self._looking.call(_groups.groups, (before, limit))

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        texts = (query.queue, query.task, query.key, query.group, query.text)
        if any("\0" in (text or "") for text in texts):
            return []
        return await self._looking.call(_finding.find, query)

    async def count(self) -> Mapping[tuple[str, State], int]:
        """See `Store.count`."""
        return await self._looking.call(_sql.count, None)

    async def backlog(self, queue: str, most: int) -> int:
        """See `Store.backlog`."""
        return await self._looking.call(_sql.backlog, (queue, most))

    async def places(self, before: datetime) -> set[tuple[str, str]]:
        """See `Store.places`."""
        return await self._looking.call(_sql.places, before)

    async def waiting_since(self, before: datetime) -> Mapping[str, datetime]:
        """See `Store.waiting_since`."""
        return await self._looking.call(_sql.waiting_since, before)

    async def limits_in_use(self, limit: int, most: int) -> list[LimitUse]:
        """See `Store.limits_in_use`."""
        return await self._looking.call(_unblocking.in_use, (limit, most))

    async def prune(self, before: datetime, limit: int) -> int:
        """See `Store.prune`."""
        await self._looking.call(_limits.forget, before)
        return await self._looking.call(_sql.prune, (before, limit), is_once=True)

    async def enlist(self, worker: str) -> None:
        """See `Store.enlist`."""
        await self._presence.enlist(worker)
        # a worker's first claim has slots wait for it, so it is not to wait for a connection
        await self._claiming.call(self._claim, _nothing(worker), is_once=True)
        await self._claiming.call(_limits.claim, _nothing(worker), is_once=True)
        await self._saving.call(_limits.save, NO_JOBS)

    async def rescue(self, now: datetime) -> int:
        """See `Store.rescue`."""
        if self._address.is_pooled:
            return 0
        prefix, ours = self._presence.prefix, list(self._presence.workers)
        missing = await self._looking.call(_sql.dead, (prefix, ours))
        gone = self._presence.sees(missing)
        if not gone:
            return 0
        freed = await self._saving.call(_sql.rescue, (prefix, gone, now), is_once=True)
        if freed:
            self._ring()
        return freed

    async def request_cancel(self, ids: Collection[str]) -> set[str]:
        """See `Store.request_cancel`."""
        asked = await self._saving.call(_orders.request_cancel, ids)
        self._ring()
        return asked

    async def cancelling(self, worker: str) -> set[str]:
        """See `Store.cancelling`."""
        return await self._looking.call(_orders.cancelling, worker)

    async def examine(self) -> Examination:
        """See `Examinable.examine`."""
        return await _examined.examine(self._address)

    async def now(self) -> datetime:
        """See `Store.now`: the server's clock, the only one that all machines share."""
        return await self._looking.call(_sql.now, None)

    @asynccontextmanager
    async def _within(self, connection: Any) -> AsyncIterator[Borrowed]:
        _fork.refuse(self._address.shown)
        async with borrowed(connection, self._schema) as session:
            theirs = await session.place()
            if theirs != self._place:  # or else the server was started anew
                self._place = await self._looking.call(_sql.place, self._schema)
            if theirs != self._place:
                raise UnfitConnection(
                    f"connection=… is of another database than the jobs, which are in "
                    f"{self._address.shown}: connect there, or leave connection=… out"
                )
            yield session

    async def _saved(self, jobs: Sequence[Job]) -> Saved:
        try:
            return await self._saving.call(_limits.save, jobs)
        except UniqueViolation:  # one of them would be the second of its key
            if len(jobs) == 1:
                return Saved()
            return Saved.all_of(await asyncio.gather(*(self._saved([job]) for job in jobs)))


def _work(jobs: Sequence[Job], on_conflict: OnConflict) -> Work[Sequence[Job], list[Job]]:
    """What adds these jobs."""
    return _children.BY[on_conflict] if wait(jobs) else _adding.BY[on_conflict]


def _nothing(worker: str) -> Claim:
    """A claim that takes no job."""
    return Claim(
        worker=worker, queues=None, tasks=[], limit=1, now=local_time(), lease=timedelta(0)
    )

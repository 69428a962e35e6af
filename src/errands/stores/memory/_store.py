"""Jobs in memory: for tests and for trying things out. They end with the process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Self

from ..._clock import local_time
from ..._group import Group
from ..._job import NEVER, Job, State
from ..._limit import LimitUse
from ..._query import Query
from ..._store import Claim, OnConflict
from ...errors import UnfitConnection
from .._beats import served
from .._bell import Bell, is_news
from .._waits import wait
from ._finding import matches
from ._table import Table, ended_at

NO_DATABASE = (
    "these jobs are kept in memory, which takes part in no transaction: leave connection=… out, "
    "or keep them beside your tables, as in Errands('sqlite:///app.db?driver=sqlite3')"
)


class MemoryStore(Table):
    """Keeps jobs in a dictionary, and those that are not final in one heap for each place."""

    claims_at_once = 1

    def __init__(self, url: str = "memory:") -> None:
        """Start empty.

        Raises:
            ValueError: if the URL says more than `memory:`.
        """
        if url not in ("memory:", "memory://"):
            raise ValueError(f"{url!r}: a store in memory has no name, write 'memory:'")
        self._lock = threading.RLock()  # `extend` comes from another thread
        super().__init__(Bell())
        self.listen = self._bell.listen

    async def __aenter__(self) -> Self:
        """Nothing needs to be opened."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Keep the jobs: the store may be opened again."""

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """See `Store.add`."""
        with self._lock:
            add = self._kept_in_order if wait(jobs) else self._kept
            kept = add(jobs, on_conflict)
        self._ring(kept)
        return kept

    async def add_within(
        self, connection: Any, jobs: Sequence[Job], on_conflict: OnConflict = "keep"
    ) -> list[Job]:
        """See `Store.add_within`: there is no transaction that memory could take part in."""
        raise UnfitConnection(NO_DATABASE)

    async def claim(self, claim: Claim) -> list[Job]:
        """See `Store.claim`."""
        with self._lock:
            if claim.limits:
                return self._ledger.claim(
                    claim, self._heaps.look, self._heaps.due_beside, self._put
                )
            return self._heaps.claim(claim, self._put)

    async def next_free(self, claim: Claim) -> datetime | None:
        """See `Store.next_free`."""
        with self._lock:
            coming = (job.free_at for job in self._heaps.unfinished(claim) if job.free_at < NEVER)
            return min(coming, default=None)

    async def unblock(self, claim: Claim) -> int:
        """See `Store.unblock`."""
        with self._lock:
            queues = served(claim, self._workers.values())
            freed = self._ledger.unblock(claim, queues, self._put)
        if freed:
            self._bell.ring()
        return freed

    async def save(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save`."""
        with self._lock:
            saved = {job.id for job in jobs if self._save(job)}
            changed = [job for job in jobs if job.id in saved]
            freed = self._free(changed)
            passed = self._ledger.pass_on(jobs, self._put)
        if passed:
            self._bell.ring()
        self._ring([*freed, *changed])
        return saved

    async def save_within(self, connection: Any, jobs: Sequence[Job]) -> set[str]:
        """See `Store.save_within`."""
        raise UnfitConnection(NO_DATABASE)

    async def report(self, jobs: Collection[Job]) -> None:
        """See `Store.report`."""
        with self._lock:
            for job in jobs:
                if there := self._at_version(job):
                    self._jobs[job.id] = replace(there, progress=job.progress)

    def extend(self, jobs: Collection[str], worker: str, until: datetime) -> set[str]:
        """See `Store.extend`."""
        with self._lock:
            held = [self._jobs[job_id] for job_id in jobs if job_id in self._jobs]
            held = [job for job in held if job.state is State.RUNNING and job.worker == worker]
            return {self._put(job.extended(until)).id for job in held}

    async def remove(self, jobs: Sequence[Job]) -> set[str]:
        """See `Store.remove`."""
        with self._lock:
            removed = [job for job in jobs if self._at_version(job)]
            freed = [free for job in removed for free in self._forget(job.id)]
            passed = self._ledger.pass_on([job.unclaimed() for job in removed], self._put)
        if passed:
            self._bell.ring()
        self._ring(freed)
        return {job.id for job in removed}

    async def get(self, job_id: str) -> Job | None:
        """See `Store.get`."""
        return self._jobs.get(job_id)

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """See `Store.states`."""
        with self._lock:
            return self._waits.states(ids)

    async def children(self, job_id: str, after: str | None, limit: int) -> Mapping[str, State]:
        """See `Store.children`."""
        with self._lock:
            return self._waits.children(job_id, after, limit)

    async def group(self, name: str) -> Group:
        """See `Store.group`."""
        with self._lock:
            return self._groups.group(name)

    async def groups(self, before: str | None, limit: int) -> list[str]:
        """See `Store.groups`."""
        with self._lock:
            return self._groups.names(before, limit)

    async def find(self, query: Query) -> list[Job]:
        """See `Store.find`."""
        with self._lock:
            found = [job for job in self._jobs.values() if matches(job, query)]
        found.sort(key=lambda job: job.id, reverse=True)
        return found[query.offset :][: query.limit]

    async def count(self) -> Mapping[tuple[str, State], int]:
        """See `Store.count`."""
        with self._lock:
            return Counter((job.queue, job.state) for job in self._jobs.values())

    async def backlog(self, queue: str, most: int) -> int:
        """See `Store.backlog`."""
        with self._lock:
            return min(most, sum(j.queue == queue and not j.is_final for j in self._jobs.values()))

    async def places(self, before: datetime) -> set[tuple[str, str]]:
        """See `Store.places`."""
        with self._lock:
            waiting = [j for j in self._jobs.values() if not j.is_final and j.free_at <= before]
        return {(job.queue, job.task) for job in waiting if not self._heaps.is_paused(job)}

    async def waiting_since(self, before: datetime) -> Mapping[str, datetime]:
        """See `Store.waiting_since`."""
        with self._lock:
            free = [j for j in self._jobs.values() if not j.is_final and j.free_at <= before]
        first = sorted(free, key=lambda job: job.free_at, reverse=True)
        return {job.queue: job.free_at for job in first}

    async def limits_in_use(self, limit: int, most: int) -> list[LimitUse]:
        """See `Store.limits_in_use`."""
        with self._lock:
            return self._ledger.in_use(limit, most)

    async def prune(self, before: datetime, limit: int) -> int:
        """See `Store.prune`."""
        with self._lock:
            ended = (j.id for j in self._jobs.values() if j.is_final and ended_at(j) < before)
            old = list(islice((each for each in ended if not self._waits.is_needed(each)), limit))
            for job_id in old:
                self._forget(job_id)
            return len(old)

    async def enlist(self, worker: str) -> None:
        """Whoever can see this store lives in this process."""

    async def rescue(self, now: datetime) -> int:
        """Nobody else can have died."""
        return 0

    async def request_cancel(self, ids: Collection[str]) -> set[str]:
        """See `Store.request_cancel`."""
        with self._lock:
            there = [self._jobs[job_id] for job_id in ids if job_id in self._jobs]
            running = [job for job in there if job.state is State.RUNNING]
            for job in running:
                self._jobs[job.id] = replace(job, is_cancelling=True)
        self._bell.ring()
        return {job.id for job in running}

    async def cancelling(self, worker: str) -> set[str]:
        """See `Store.cancelling`."""
        with self._lock:
            running = [job for job in self._jobs.values() if job.state is State.RUNNING]
        return {job.id for job in running if job.worker == worker and job.is_cancelling}

    async def now(self) -> datetime:
        """See `Store.now`."""
        return local_time()

    def _ring(self, jobs: Sequence[Job] | Iterator[Job]) -> None:
        if is_news(jobs):
            self._bell.ring()

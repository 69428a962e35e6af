"""Jobs in memory: for tests and for trying things out. They end with the process."""

from __future__ import annotations

import heapq
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Self

from ..._clock import local_time
from ..._group import Group
from ..._job import NEVER, Job, State
from ..._limit import LimitUse
from ..._store import Claim, OnConflict, Query, rival_within
from ...errors import JobExists, UnfitConnection
from .._beats import served
from .._bell import Bell, is_news
from .._rows import is_stored
from .._waits import (
    are_kept_back,
    family_of,
    is_kept_back,
    new_children,
    require_kept,
    settled,
    wait,
)
from ._groups import Groups
from ._limits import Ledger
from ._records import Records
from ._waiting import Waits

Place = tuple[str, int]  # a queue and a priority: one heap each
Entry = tuple[datetime, str]  # from when a job is free, and its id

NO_DATABASE = (
    "these jobs are kept in memory, which takes part in no transaction: leave connection=… out, "
    "or keep them beside your tables, as in Errands('sqlite:///app.db?driver=sqlite3')"
)


class MemoryStore(Records):
    """Keeps jobs in a dictionary, and those that are not final in one heap for each place."""

    claims_at_once = 1

    def __init__(self, url: str = "memory:") -> None:
        """Start empty.

        Raises:
            ValueError: if the URL says more than `memory:`.
        """
        if url not in ("memory:", "memory://"):
            raise ValueError(f"{url!r}: a store in memory has no name, write 'memory:'")
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, str] = {}
        self._waits, self._groups = Waits(self._jobs), Groups(self._jobs)
        self._heaps: defaultdict[Place, list[Entry]] = defaultdict(list)
        self._ledger = Ledger(self._is_paused)
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
        claimed: list[Job] = []
        with self._lock:
            if claim.limits:
                return self._ledger.claim(claim, self._look, self._due_beside, self._put)
            passed: list[tuple[Place, Entry]] = []  # jobs of tasks that the worker does not know
            while len(claimed) < claim.limit:
                heads = [
                    (-place[1], *head)
                    for place in self._places(claim)
                    if (head := self._head(place, claim, passed))
                ]
                if not heads:
                    break
                job = self._jobs[min(heads)[2]]
                claimed.append(self._put(job.claimed(claim.worker, claim.now, claim.lease)))
            for place, entry in passed:
                heapq.heappush(self._heaps[place], entry)
        return claimed

    async def next_free(self, claim: Claim) -> datetime | None:
        """See `Store.next_free`."""
        with self._lock:
            coming = (job.free_at for job in self._unfinished(claim) if job.free_at < NEVER)
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
            found = [job for job in self._jobs.values() if _matches(job, query)]
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
        return {(job.queue, job.task) for job in waiting if not self._is_paused(job)}

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
            ended = (j.id for j in self._jobs.values() if j.is_final and _ended(j) < before)
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

    def _kept(self, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
        if on_conflict == "raise":
            self._refuse_rivals(jobs)
        return [self._keep(job, on_conflict) for job in jobs]

    def _kept_in_order(self, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
        there = self._waits.states(family_of(jobs))
        ready = settled(jobs, there)
        if on_conflict != "raise":
            require_kept(ready, self._foreseen(ready, on_conflict), there)
        kept = self._kept(ready, on_conflict)
        self._waits.keep(new_children(ready, kept))
        return kept

    def _foreseen(self, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
        """What the jobs will become, so that nothing is kept if one of them is refused."""
        keys: dict[str, Job] = {}
        answers = []
        for job in jobs:
            rival = self._rival(job) or keys.get(job.key or "")
            if rival is None or (on_conflict == "replace" and rival.state is State.RUNNING):
                answers.append(job)
            elif on_conflict == "replace":
                answers.append(rival.replaced(job))
            else:
                answers.append(rival)
            if job.key and not job.is_final:
                keys[job.key] = answers[-1]
        replaced = {now.id for job, now in zip(jobs, answers, strict=True) if now.id != job.id}
        if on_conflict == "replace":
            self._waits.require_no_circle({job.id: job for job in answers}, replaced)
        return answers

    def _free(self, jobs: Sequence[Job]) -> list[Job]:
        """Free those that wait for nobody, now that these jobs were saved."""
        freed = []
        ended = [job for job in jobs if job.is_final]
        now = max(map(_ended, ended), default=None)
        for job in ended:
            freed += [self._put(each.freed(now or _ended(job))) for each in self._waits.end(job.id)]
        if are_kept_back(jobs):
            stored = [self._jobs[job.id] for job in jobs if is_kept_back(job)]
            back = [job for job in stored if is_kept_back(job)]
            freed += [self._put(each.freed(each.due_at)) for each in self._waits.keep(back)]
        return freed

    def _keep(self, job: Job, on_conflict: OnConflict) -> Job:
        if job.id in self._jobs:
            return self._jobs[job.id]
        rival = self._rival(job)
        if rival is None:
            return self._put(job)
        if on_conflict == "keep":
            return rival
        if rival.state is State.QUEUED:
            self._waits.unbind(rival.id)  # as the new one may not wait
            return self._put(rival.replaced(job))
        self._put(replace(rival, key=None))
        return self._put(job)

    def _refuse_rivals(self, jobs: Sequence[Job]) -> None:
        new = [job for job in jobs if job.id not in self._jobs]
        rival = next(filter(None, map(self._rival, new)), None) or rival_within(new)
        if rival is not None:
            raise JobExists(rival)

    def _rival(self, job: Job) -> Job | None:
        """The unfinished job that has this job's key, if this one is unfinished, too."""
        is_bound = job.key and not job.is_final
        there = self._jobs.get(self._keys.get(job.key or "", "")) if is_bound else None
        return there if there and there.id != job.id else None

    def _save(self, job: Job) -> bool:
        there = self._jobs.get(job.id)
        if there is None:
            return False
        if there.version == job.version - 1 and self._rival(replace(job, key=there.key)) is None:
            is_anew = there.state is not State.RUNNING and job.state is State.QUEUED
            asked = there.is_cancelling and not is_anew
            self._put(replace(job, key=there.key, is_cancelling=asked))
            return True
        return is_stored(job, there)

    def _put(self, job: Job) -> Job:
        self._ledger.note(self._jobs.get(job.id), job)
        self._groups.put(self._jobs.get(job.id), job)
        self._jobs[job.id] = job
        if not job.is_final:
            heapq.heappush(self._heaps[job.queue, job.priority], (job.free_at, job.id))
        if job.key and not job.is_final:
            self._keys[job.key] = job.id
        elif job.key and self._keys.get(job.key) == job.id:
            del self._keys[job.key]
        return job

    def _forget(self, job_id: str) -> list[Job]:
        """Drop a job, and answer with those that are free by that."""
        job = self._jobs.pop(job_id)
        self._ledger.note(job, None)
        if job.key and self._keys.get(job.key) == job_id:
            del self._keys[job.key]
        freed = [self._put(each.freed(each.due_at)) for each in self._waits.end(job_id)]
        self._waits.forget(job_id)
        self._groups.forget(job)
        return freed

    def _at_version(self, job: Job) -> Job | None:
        there = self._jobs.get(job.id)
        return there if there and there.version == job.version else None

    def _places(self, claim: Claim) -> list[Place]:
        queues = [q for q, _ in self._heaps] if claim.queues is None else claim.queues
        awake = {queue for queue in queues if ("queue", queue) not in self._orders}
        return [place for place in self._heaps if place[0] in awake]

    def _is_paused(self, job: Job) -> bool:
        return ("queue", job.queue) in self._orders or ("task", job.task) in self._orders

    def _takes(self, claim: Claim, job: Job) -> bool:
        return job.task in claim.tasks and ("task", job.task) not in self._orders

    def _head(self, place: Place, claim: Claim, passed: list[tuple[Place, Entry]]) -> Entry | None:
        """The first entry of a heap that may be claimed; those in its way are taken out."""
        heap = self._heaps[place]
        while heap and heap[0][0] <= claim.now:
            job = self._valid(place, heap[0])
            if job is not None and self._takes(claim, job):
                return heap[0]
            entry = heapq.heappop(heap)
            if job is not None:
                passed.append((place, entry))
        return None

    def _look(self, claim: Claim, limit: int) -> list[Job]:
        """The jobs that are to be claimed first, so many at the most."""
        found: dict[str, Job] = {}
        passed: list[tuple[Place, Entry]] = []
        while len(found) < limit:
            heads = [
                (-place[1], head, place)
                for place in self._places(claim)
                if (head := self._head(place, claim, passed))
            ]
            if not heads:
                break
            _, (_, job_id), place = min(heads)
            passed.append((place, heapq.heappop(self._heaps[place])))
            found[job_id] = self._jobs[job_id]  # once, also if it has two entries
        for place, entry in passed:
            heapq.heappush(self._heaps[place], entry)
        return list(found.values())

    def _due_beside(self, job: Job, now: datetime) -> list[Job]:
        """The jobs of the same task, queue and priority that are due, in order."""
        place = job.queue, job.priority
        valid = {entry[1]: self._valid(place, entry) for entry in self._heaps[place]}
        due = [j for j in valid.values() if j and j.task == job.task and j.free_at <= now]
        return sorted(due, key=lambda j: (j.free_at, j.id))

    def _unfinished(self, claim: Claim) -> Iterator[Job]:
        for place in self._places(claim):
            for entry in self._heaps[place]:
                job = self._valid(place, entry)
                if job is not None and self._takes(claim, job):
                    yield job

    def _valid(self, place: Place, entry: Entry) -> Job | None:
        """The job of a heap's entry, unless it has moved on since the entry was made."""
        job = self._jobs.get(entry[1])
        current = job and (job.free_at, job.queue, job.priority) == (entry[0], *place)
        return job if job and current and not job.is_final else None

    def _ring(self, jobs: Sequence[Job] | Iterator[Job]) -> None:
        if is_news(jobs):
            self._bell.ring()


def _ended(job: Job) -> datetime:
    return job.finished_at or job.added_at


def _matches(job: Job, query: Query) -> bool:
    return (
        (not query.states or job.state in query.states)
        and query.queue in (None, job.queue)
        and query.task in (None, job.task)
        and query.key in (None, job.key)
        and query.group in (None, job.group)
        and (query.first is None or job.id >= query.first)
        and (query.end is None or job.id < query.end)
        and (query.text is None or _contains(job, query.text))
    )


def _contains(job: Job, text: str) -> bool:
    said = (job.payload, *(attempt.error or "" for attempt in job.history))
    return any(text in words for words in said)

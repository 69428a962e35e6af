"""The jobs in memory: put, kept, saved and forgotten, with all that is told of them beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from heapq import heappush

from ..._job import Job, State
from ..._store import OnConflict
from ...errors import JobExists
from .._bell import Bell
from .._rivals import rival_within
from .._rows import is_stored
from .._waits import are_kept_back, family_of, is_kept_back, new_children, require_kept, settled
from ._groups import Groups
from ._heaps import Heaps
from ._limits import Ledger
from ._records import Records
from ._waiting import Waits


class Table(Records):
    """The part of `MemoryStore` that changes jobs; whoever calls has its lock."""

    def __init__(self, bell: Bell) -> None:
        """Start empty."""
        super().__init__(bell)
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, str] = {}
        self._waits, self._groups = Waits(self._jobs), Groups(self._jobs)
        self._heaps = Heaps(self._jobs, self._orders)
        self._entries = self._heaps.entries  # pushed to at each put, without a call
        self._ledger = Ledger(self._heaps.is_paused)

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
        final = [job for job in jobs if job.is_final]
        now = max(map(ended_at, final), default=None)
        for job in final:
            freed += [
                self._put(each.freed(now or ended_at(job))) for each in self._waits.end(job.id)
            ]
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
            heappush(self._entries[job.queue, job.priority], (job.free_at, job.id))
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


def ended_at(job: Job) -> datetime:
    """When a job ended; of one that did not tell, when it was added."""
    return job.finished_at or job.added_at

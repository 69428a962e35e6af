"""Who waits for whom, in the memory store."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from ..._job import Job, State
from .._waits import is_kept_back, pairs_of, parents_of, refusal_of_circle


class Waits:
    """Remembers for each job who waits for it, and for whom it still waits.

    Args:
        jobs: What is stored, by id.
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        """Nobody waits."""
        self._jobs = jobs
        self._children: defaultdict[str, set[str]] = defaultdict(set)
        self._parents: dict[str, set[str]] = {}  # also those that have ended
        self._owed: dict[str, set[str]] = {}  # those that have not

    def states(self, ids: Collection[str]) -> dict[str, State]:
        """The states of the jobs of these ids."""
        return {job_id: self._jobs[job_id].state for job_id in ids if job_id in self._jobs}

    def keep(self, jobs: Sequence[Job]) -> list[Job]:
        """Remember whom stored jobs wait for; answer with those that wait for nobody."""
        known = self.states(parents_of(jobs))
        for job in jobs:
            self.unbind(job.id)
            pairs = pairs_of([job], known)
            for parent, child, _ in pairs:
                self._children[parent].add(child)
            self._parents[job.id] = {parent for parent, _, _ in pairs}
            self._owed[job.id] = {parent for parent, _, is_over in pairs if not is_over}
        return [job for job in jobs if self._is_free(job)]

    def end(self, job_id: str) -> list[Job]:
        """Let nobody wait for this job any longer; answer with those that wait for nobody now."""
        children = [each for each in self._children.get(job_id, ()) if each in self._jobs]
        for child in children:
            self._owed[child].discard(job_id)
        return [job for child in children if self._is_free(job := self._jobs[child])]

    def children(self, job_id: str, after: str | None, limit: int) -> dict[str, State]:
        """See `Store.children`."""
        later = (each for each in self._children.get(job_id, ()) if each > (after or ""))
        return self.states(heapq.nsmallest(limit, (each for each in later if each in self._jobs)))

    def is_needed(self, job_id: str) -> bool:
        """Whether a job that has not ended may look at this one."""
        children = self._children.get(job_id, ())
        return any(each in self._jobs and not self._jobs[each].is_final for each in children)

    def unbind(self, job_id: str) -> None:
        """Drop whom a job waits for."""
        for parent in self._parents.pop(job_id, ()):
            self._children[parent].discard(job_id)
        self._owed.pop(job_id, None)

    def forget(self, job_id: str) -> None:
        """Drop what is remembered of a job that is no longer there."""
        self.unbind(job_id)
        for child in self._children.pop(job_id, ()):
            self._parents[child].discard(job_id)

    def require_no_circle(self, new: Mapping[str, Job], ids: Collection[str]) -> None:
        """Refuse jobs that would wait for themselves, by way of others.

        Args:
            new: What is to be stored, by id.
            ids: Those to look at.

        Raises:
            ValueError: naming one.
        """
        for job_id in ids:
            above, more = set[str](), set(new[job_id].waits_for)
            while more:
                above |= more
                more = set(chain.from_iterable(self._above(each, new) for each in more)) - above
            if job_id in above:
                raise refusal_of_circle(new[job_id])

    def _above(self, job_id: str, new: Mapping[str, Job]) -> Iterable[str]:
        return new[job_id].waits_for if job_id in new else self._parents.get(job_id, ())

    def _is_free(self, job: Job) -> bool:
        return is_kept_back(job) and not self._owed.get(job.id)

"""How far each group is, in the memory store: counted along, since it is asked often."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from ..._group import Group
from ..._job import NEVER, Job, State


@dataclass
class _Tally:
    """What is known of one group. The heaps also have entries of jobs that have moved on."""

    counts: Counter[State] = field(default_factory=Counter)
    starts: list[tuple[datetime, str]] = field(default_factory=list)
    ends: list[tuple[timedelta, str]] = field(default_factory=list)  # before `NEVER`


class Groups:
    """Counts the jobs of each group.

    Args:
        jobs: What is stored, by id.
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        """There is no group."""
        self._jobs = jobs
        self._tallies: defaultdict[str, _Tally] = defaultdict(_Tally)

    def put(self, before: Job | None, job: Job) -> None:
        """Count a job that is stored now, instead of what was stored of it before."""
        if before is not None and before.group != job.group:
            self.forget(before)
            before = None
        if job.group is None:
            return
        tally = self._tallies[job.group]
        tally.counts[job.state] += 1
        if before is not None:
            tally.counts[before.state] -= 1
        if job.started_at is not None and (before is None or before.started_at != job.started_at):
            heapq.heappush(tally.starts, (job.started_at, job.id))
        if job.finished_at is not None and (
            before is None or before.finished_at != job.finished_at
        ):
            heapq.heappush(tally.ends, (NEVER - job.finished_at, job.id))

    def forget(self, job: Job) -> None:
        """Count a job no longer."""
        if job.group is not None:
            tally = self._tallies[job.group]
            tally.counts[job.state] -= 1
            if not tally.counts.total():
                del self._tallies[job.group]

    def group(self, name: str) -> Group:
        """See `Store.group`."""
        tally = self._tallies.get(name)
        if tally is None:
            return Group(name=name, counts={})
        counts = {state: number for state, number in tally.counts.items() if number}
        started = self._first(name, tally.starts, attrgetter("started_at"))
        ended = self._first(name, tally.ends, _before_never)
        return Group.of(name, counts, started, None if ended is None else NEVER - ended)

    def names(self, before: str | None, limit: int) -> list[str]:
        """See `Store.groups`."""
        return heapq.nlargest(limit, (n for n in self._tallies if before is None or n < before))

    def _first(self, name: str, heap: list[Any], told: Callable[[Job], Any]) -> Any:
        """The least entry whose job still says so."""
        while heap:
            at, job_id = heap[0]
            job = self._jobs.get(job_id)
            if job is not None and job.group == name and told(job) == at:
                return at
            heapq.heappop(heap)
        return None


def _before_never(job: Job) -> timedelta | None:
    return None if job.finished_at is None else NEVER - job.finished_at

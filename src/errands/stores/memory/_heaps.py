"""Which job is next: those in memory that have not ended, in one heap for each place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from heapq import heappop, heappush

from ..._job import Job
from ..._order import OrderKind
from ..._store import Claim

Place = tuple[str, int]  # a queue and a priority: one heap each
Entry = tuple[datetime, str]  # from when a job is free, and its id


class Heaps:
    """Looks for jobs in the order in which they are to start.

    Args:
        jobs: All of the store, by id.
        orders: What is paused.

    Attributes:
        entries: The heaps. Whoever puts a job that has not ended pushes an entry; one that the
            job has moved on from is passed over.
    """

    def __init__(self, jobs: Mapping[str, Job], orders: Collection[tuple[OrderKind, str]]) -> None:
        """Start empty."""
        self._jobs, self._orders = jobs, orders
        self.entries: defaultdict[Place, list[Entry]] = defaultdict(list)

    def claim(self, claim: Claim, put: Callable[[Job], Job]) -> list[Job]:
        """Take the jobs that are free, none of which has a limit."""
        claimed: list[Job] = []
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
            claimed.append(put(job.claimed(claim.worker, claim.now, claim.lease)))
        for place, entry in passed:
            heappush(self.entries[place], entry)
        return claimed

    def look(self, claim: Claim, limit: int) -> list[Job]:
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
            passed.append((place, heappop(self.entries[place])))
            found[job_id] = self._jobs[job_id]  # once, also if it has two entries
        for place, entry in passed:
            heappush(self.entries[place], entry)
        return list(found.values())

    def due_beside(self, job: Job, now: datetime) -> list[Job]:
        """The jobs of the same task, queue and priority that are due, in order."""
        place = job.queue, job.priority
        valid = {entry[1]: self._valid(place, entry) for entry in self.entries[place]}
        due = [j for j in valid.values() if j and j.task == job.task and j.free_at <= now]
        return sorted(due, key=lambda j: (j.free_at, j.id))

    def unfinished(self, claim: Claim) -> Iterator[Job]:
        """The jobs that it could take, now or later, in no order."""
        for place in self._places(claim):
            for entry in self.entries[place]:
                job = self._valid(place, entry)
                if job is not None and self._takes(claim, job):
                    yield job

    def is_paused(self, job: Job) -> bool:
        """Whether it is not to start for now, as its queue or its task is paused."""
        return ("queue", job.queue) in self._orders or ("task", job.task) in self._orders

    def _places(self, claim: Claim) -> list[Place]:
        queues = [q for q, _ in self.entries] if claim.queues is None else claim.queues
        awake = {queue for queue in queues if ("queue", queue) not in self._orders}
        return [place for place in self.entries if place[0] in awake]

    def _takes(self, claim: Claim, job: Job) -> bool:
        return job.task in claim.tasks and ("task", job.task) not in self._orders

    def _head(self, place: Place, claim: Claim, passed: list[tuple[Place, Entry]]) -> Entry | None:
        """The first entry of a heap that may be claimed; those in its way are taken out."""
        heap = self.entries[place]
        while heap and heap[0][0] <= claim.now:
            job = self._valid(place, heap[0])
            if job is not None and self._takes(claim, job):
                return heap[0]
            entry = heappop(heap)
            if job is not None:
                passed.append((place, entry))
        return None

    def _valid(self, place: Place, entry: Entry) -> Job | None:
        """The job of a heap's entry, unless it has moved on since the entry was made."""
        job = self._jobs.get(entry[1])
        current = job and (job.free_at, job.queue, job.priority) == (entry[0], *place)
        return job if job and current and not job.is_final else None

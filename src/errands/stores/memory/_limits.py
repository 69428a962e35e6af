"""What the store in memory knows of limits: who runs by which key, and who is kept back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice

from ..._job import WAITING, Job, State
from ..._limit import LimitUse, is_limited
from ..._quota import Entry, Quota
from ..._store import Claim
from .._rows import instant

Put = Callable[[Job], object]
Look = Callable[[Claim, int], Sequence[Job]]
Due = Callable[[Job, datetime], Sequence[Job]]

PORTION = 2000  # jobs of one place that are looked at together
KEYS = 200  # limits that are looked at when somebody asks who is kept back without need


class Ledger:
    """Counts the jobs of each key, as they are put and forgotten.

    Args:
        is_paused: Whether a job is not to start for now.
    """

    def __init__(self, is_paused: Callable[[Job], bool]) -> None:
        """Know of no job."""
        self._is_paused = is_paused
        self._running: defaultdict[str, dict[str, Job]] = defaultdict(dict)
        self._blocked: defaultdict[str, dict[str, Job]] = defaultdict(dict)
        self._taken: dict[str, list[Entry]] = {}
        self._after = WAITING

    def note(self, before: Job | None, after: Job | None) -> None:
        """A job is now as it is `after`; `None` is not there."""
        if before is not None and before.concurrency_key:
            self._running[before.concurrency_key].pop(before.id, None)
        if before is not None and before.blocked_by:
            del self._blocked[before.blocked_by][before.id]
            if not self._blocked[before.blocked_by]:
                del self._blocked[before.blocked_by]
        if after is not None and after.concurrency_key and after.state is State.RUNNING:
            self._running[after.concurrency_key][after.id] = after
        if after is not None and after.blocked_by:
            self._blocked[after.blocked_by][after.id] = after

    def pass_on(self, jobs: Iterable[Job], put: Put) -> int:
        """Each of these that runs no more gives its place to another; says how many there were."""
        out = [j.concurrency_key for j in jobs if j.state is not State.RUNNING]
        return sum(self._free_of(key, 1, put) for key in out if key)

    def claim(self, call: Claim, look: Look, due: Due, put: Put) -> list[Job]:
        """Take the jobs that are free and have room; block those that have none.

        Args:
            look: The first jobs that are free, so many at the most.
            due: Those in the place of a job that are due by then, in order.
            put: Keeps a job as it is now.
        """
        quota, claimed = Quota(call.limits, call.now, call.watch), list[Job]()
        has_freed = False
        while wanted := call.limit - len(claimed):
            found, refused = look(call, wanted), list[tuple[Job, str]]()
            for job in found:
                self._learn(quota, job)
                if (by := quota.take(job)) is not None:
                    refused.append((job, by))
                    continue
                claimed.append(job.claimed(call.worker, call.now, call.lease))
                put(claimed[-1])
            self._block(call, refused, due, put)
            is_all = not refused and len(found) < wanted
            freed = self._free(quota, call.limit - len(claimed), put) if is_all else 0
            # where none is found, what was freed before is paused, or another worker's
            if is_all and not (freed and (found or not has_freed)):
                break
            has_freed = freed > 0
        else:
            self._free(quota, 1, put)
        self._taken |= {key: bucket.taken for key, bucket in quota.spent.items()}
        return claimed

    def unblock(self, call: Claim, served: Collection[str] | None, put: Put) -> int:
        """See `Store.unblock`.

        Args:
            served: The queues that somebody works for; `None` for all.
        """
        keys = sorted(key for key in self._blocked if key > self._after)[:KEYS]
        self._after = keys[-1] if len(keys) == KEYS else WAITING
        freed, quota = 0, Quota(call.limits, call.now, call.watch)
        for key in keys:
            [first] = self._first(key, 1)
            if first.task not in call.tasks:
                continue
            if is_limited(first, key, call.limits):
                self._learn(quota, first)
            else:
                freed += self._free_of(key, PORTION, put)
        for key in [key for key in quota.keys if quota.left(key) > 0]:
            for job in self._first(key, PORTION):
                if self._is_paused(job) or (served is not None and job.queue not in served):
                    put(job.unblocked())  # it is in the way of others until somebody would start it
                    freed += 1
        return freed + self._free(quota, PORTION, put)

    def in_use(self, limit: int, most: int) -> list[LimitUse]:
        """See `Store.limits_in_use`."""
        running = {key for key, ids in self._running.items() if ids}
        blocked = {key for key in self._blocked if key != WAITING}
        return [self._use(key, most) for key in sorted(running | blocked)[:limit]]

    def _use(self, key: str, most: int) -> LimitUse:
        running, blocked = self._running.get(key, {}), self._blocked.get(key, {})
        task = next(iter((*running.values(), *islice(blocked.values(), 1)))).task
        return LimitUse(key=key, task=task, running=len(running), blocked=min(len(blocked), most))

    def _block(self, call: Claim, refused: list[tuple[Job, str]], due: Due, put: Put) -> None:
        for job, by in refused:
            lost = job.state is State.RUNNING
            put((job.recovered(call.now) if lost else job).blocked(by))
        keys, done = {by for _, by in refused}, set[tuple[str, int, str]]()
        for job, _ in refused:
            if (place := (job.queue, job.priority, job.task)) in done:
                continue
            done.add(place)
            for other in due(job, call.now)[:PORTION]:
                its = [k for k in (other.concurrency_key, other.rate_key) if k in keys]
                if its and other.state is State.QUEUED:
                    put(other.blocked(str(its[0])))

    def _learn(self, quota: Quota, job: Job) -> None:
        quota.look_at([job])
        running, rates = quota.unknown
        quota.learn(
            {key: len(self._running[key]) for key in running},
            {key: self._taken.get(key, []) for key in rates},
        )

    def _free(self, quota: Quota, most: int, put: Put) -> int:
        freed = 0
        for key in [key for key in quota.keys if key in self._blocked]:
            if (left := quota.left(key)) > 0:
                freed += self._free_of(key, min(left, most), put)
            elif (again := quota.next(key)) is not None:
                put(self._first(key, 1)[0].blocked(key, instant(again)))
        return freed

    def _free_of(self, key: str, most: int, put: Put) -> int:
        first = self._first(key, most)
        for job in first:
            put(job.unblocked())
        return len(first)

    def _first(self, key: str, most: int) -> list[Job]:
        blocked = self._blocked.get(key, {}).values()
        return sorted(blocked, key=lambda j: (-j.priority, j.due_at, j.id))[:most]

"""What Errands asks of a store. Implement these methods to add one.

A store keeps jobs and knows nothing of retries, schedules or tasks: every state that it is
given was decided before, in `_job`. It has three duties of its own: a claim is atomic, a
save is refused once the job has changed, and at most one unfinished job has a given key.

Everything comes in batches, since a store is fast only in batches: concurrent calls of one
process may share a transaction. `errands.testing.StoreContract` shows whether a store holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, Self

from ._group import Group
from ._heartbeat import Heartbeat
from ._history import Tally
from ._job import Job, State
from ._limit import Limits, LimitUse
from ._order import Order, OrderKind
from ._query import Query
from ._schedule import Schedule

OnConflict = Literal["keep", "replace", "raise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which jobs a worker would take, and for how long.

    Attributes:
        queues: Those it works for; `None` for all of them.
        tasks: The names that it knows. Jobs of other tasks are left for who knows them.
        limit: How many at most, from 1.
        now: Jobs that are free by then.
        limits: Those of the tasks that have some.
        watch: Tells what time it is, in whatever thread: the claim may have to wait, and the
            tokens of a rate count from when they are taken.
    """

    worker: str
    queues: Collection[str] | None
    tasks: Collection[str]
    limit: int
    now: datetime
    lease: timedelta
    limits: Mapping[str, Limits] = field(default_factory=dict)
    watch: Callable[[], datetime] | None = None


class Store(Protocol):
    """Where jobs are kept.

    Its methods are called in one event loop, but for `extend`. When the store cannot be
    reached or cannot write, they raise `StoreUnavailable`, and nothing has happened.

    Attributes:
        claims_at_once: How many claims of a busy worker are best under way: two where an answer
            comes from far, so that jobs run meanwhile; one where it comes from this process.
    """

    claims_at_once: int

    async def __aenter__(self) -> Self:
        """Open it. A store may be opened again after it was closed."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Close it; workers that were enlisted are no longer alive."""
        ...

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """Keep each job, and answer with what is there instead where it was not kept.

        Args:
            jobs: As they are to be stored, every field of them: queued, born claimed, or in
                whatever state they were in another store.
            on_conflict: What to do where an unfinished job has the same key. `keep`: answer
                with that job. `replace`: a queued job becomes `Job.replaced` by the new one;
                a running one gives up its key and the new one is kept beside it.

        A job whose id is there already is not kept again: an addition whose answer was lost
        may be repeated. One that has ended is in conflict with nobody.

        A job that is `blocked_by` `WAITING` is kept like that only if one of its `waits_for`
        has not ended, here or among the jobs themselves; else it is free when it is due.

        Raises:
            UnknownJob: if one of those is neither here nor among the jobs.
            ValueError: if jobs would wait for each other in a circle. Then, as with the others,
                none of them is kept.
            JobExists: with `raise`, if there is a conflict, also one among the jobs themselves;
                then none of them is kept.
        """
        ...

    async def add_within(
        self, connection: Any, jobs: Sequence[Job], on_conflict: OnConflict = "keep"
    ) -> list[Job]:
        """As `add`, in the transaction that is open on a connection of the caller's.

        The jobs are there once it is committed, and never if it is rolled back. What the
        connection's driver raises is passed on as it is.

        Raises:
            UnfitConnection: if the connection cannot do it, or no store like this one could.
        """
        ...

    async def claim(self, claim: Claim) -> list[Job]:
        """Take the jobs that are free, best priority first, then by `free_at`.

        Each comes out as `Job.claimed` makes it. A running job whose lease is over is free
        as well: its worker is taken for dead.

        One that has no room within the limits of its task becomes `Job.blocked`, so that it is
        in nobody's way; `_quota.Quota` says which. A running one becomes `Job.recovered` first.
        A job that ends, or is queued again, gives its place to the first that it keeps back: by
        priority, then `due_at`.
        """
        ...

    async def next_free(self, claim: Claim) -> datetime | None:
        """When the next job will be free that `claim` could take, `None` if there is none.

        One that is blocked for good, until `NEVER`, is none.
        """
        ...

    async def unblock(self, claim: Claim) -> int:
        """Free the jobs of its tasks that a limit keeps back and need not, and say how many.

        As one was raised, or taken out of the code. Asked for every second: it may look at a
        part of the limits, and at the next part when it is asked again.
        """
        ...

    async def save(self, jobs: Sequence[Job]) -> set[str]:
        """Write each job over the version before it, and answer with the ids that were written.

        An id that is missing from the answer was changed by somebody else, or it would be the
        second unfinished job of its key. Saving what is
        stored already counts as written: a save whose answer was lost may be repeated.
        The key is not written: `replace` may have taken it. Nor is `is_cancelling`, but that a
        job which did not run, and is saved as queued, is asked to be cancelled no longer.

        With a job that ends, those that are `blocked_by` `WAITING`, and have nobody left to wait
        for, become `Job.freed`: both are written, or neither. How it ended does not matter. One
        that is saved as waiting is freed at once, if all of its `waits_for` have ended.
        """
        ...

    async def save_within(self, connection: Any, jobs: Sequence[Job]) -> set[str]:
        """As `save`, in the transaction that is open on a connection of the caller's.

        Raises:
            UnfitConnection: as `add_within` does.
        """
        ...

    async def report(self, jobs: Collection[Job]) -> None:
        """Write the progress of each job that is still at its version."""
        ...

    def extend(self, jobs: Collection[str], worker: str, until: datetime) -> set[str]:
        """Lengthen the leases, and answer with the ids that this worker still holds.

        This one blocks: it is called from a thread of the worker's, so that a blocked event
        loop does not lose its jobs.
        """
        ...

    async def remove(self, jobs: Sequence[Job]) -> set[str]:
        """Forget each job that is still at its version, and answer with the ids.

        Who waited for one of them waits for it no longer.
        """
        ...

    async def get(self, job_id: str) -> Job | None:
        """The job of this id, if there is one."""
        ...

    async def states(self, ids: Collection[str]) -> Mapping[str, State]:
        """The state of each job of these ids; one that there is not is missing."""
        ...

    async def children(self, job_id: str, after: str | None, limit: int) -> Mapping[str, State]:
        """The states of the jobs that have this one among their `waits_for`, by id, upward.

        Args:
            after: Only ids that sort above this one: the next page.
        """
        ...

    async def group(self, name: str) -> Group:
        """How far the jobs of a group are. This is asked often, and must not read the jobs."""
        ...

    async def groups(self, before: str | None, limit: int) -> list[str]:
        """The names of the groups that have jobs, backward in the order of their characters.

        This must not read the jobs.

        Args:
            before: Only names that sort below this one: the next page.
        """
        ...

    async def find(self, query: Query) -> list[Job]:
        """The jobs that match, newest first."""
        ...

    async def count(self) -> Mapping[tuple[str, State], int]:
        """How many jobs each queue has in each state; a missing pair has none."""
        ...

    async def backlog(self, queue: str, most: int) -> int:
        """How many unfinished jobs a queue has; `most` where it has more, which is quicker."""
        ...

    async def places(self, before: datetime) -> set[tuple[str, str]]:
        """The queues and tasks, not paused, that have jobs which were free by then."""
        ...

    async def waiting_since(self, before: datetime) -> Mapping[str, datetime]:
        """Since when the job of each queue is free that has been for longest.

        Only what was free by `before` counts, in paused queues as well. This must not read the
        jobs.
        """
        ...

    async def limits_in_use(self, limit: int, most: int) -> list[LimitUse]:
        """The limits by whose keys jobs run or are kept back, by key.

        Args:
            limit: How many at most.
            most: How many jobs that are kept back are counted of each.
        """
        ...

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget at most `limit` jobs that finished earlier, and say how many.

        Those are kept that an unfinished job has among its `waits_for`.
        """
        ...

    async def enlist(self, worker: str) -> None:
        """Let others see that this worker lives, for as long as its process does."""
        ...

    async def rescue(self, now: datetime) -> int:
        """Free at once the jobs of workers that have died, and say how many jobs.

        Their heartbeats get `now` as `gone_at`, unless they have one.

        A store that cannot see deaths answers 0: then the leases run out.
        """
        ...

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Keep what a worker tells of itself, instead of what it told before."""
        ...

    async def workers(self) -> list[Heartbeat]:
        """The last heartbeat of each worker, by `started_at` and then name, both downward."""
        ...

    async def prune_workers(self, before: datetime) -> int:
        """Forget the workers that went, or were seen last, earlier, and say how many."""
        ...

    async def request_cancel(self, ids: Collection[str]) -> set[str]:
        """Note on each job that runs that it is to be cancelled, and answer with their ids.

        This is no transition: the version stays. The bell is rung.
        """
        ...

    async def cancelling(self, worker: str) -> set[str]:
        """The jobs that run at this worker and are to be cancelled."""
        ...

    async def orders(self) -> list[Order]:
        """What is asked of the workers, by kind and name."""
        ...

    async def put_orders(self, orders: Sequence[Order]) -> None:
        """Keep each order, instead of the one of its kind and name; and ring the bell.

        From then on `claim` takes no job of a queue or a task that is paused, and `next_free`
        knows of none. The other kinds are obeyed by the workers.
        """
        ...

    async def remove_orders(self, orders: Collection[tuple[OrderKind, str]]) -> None:
        """Forget orders by kind and name, and ring the bell."""
        ...

    async def add_history(self, tallies: Sequence[Tally]) -> None:
        """Add each tally to the one of its key, if there is one."""
        ...

    async def history(self, step: timedelta, since: datetime) -> list[Tally]:
        """The tallies of this step that begin at an instant or later, by `at`, queue and task."""
        ...

    async def prune_history(self, step: timedelta, before: datetime) -> int:
        """Forget the tallies of this step that began earlier, and say how many."""
        ...

    async def schedules(self) -> list[Schedule]:
        """All schedules, by name."""
        ...

    async def put_schedules(self, schedules: Sequence[Schedule]) -> set[str]:
        """Write each schedule over the version before it, and answer with the names written.

        Version 1 is a new one: it is written if there is none of its name. A name that is
        missing from the answer was changed by somebody else. Putting what is stored already
        counts as written.
        """
        ...

    async def remove_schedules(self, names: Collection[str]) -> None:
        """Forget schedules; the jobs that they added stay."""
        ...

    async def secret(self) -> bytes:
        """32 random bytes, the same for all who share this store; made when first asked for."""
        ...

    async def keep_secret(self, secret: bytes, *, is_over: bool) -> None:
        """Have this `secret` where there is none yet.

        Args:
            is_over: Also where there is one.
        """
        ...

    async def now(self) -> datetime:
        """The time by the store's clock, which all its workers share. UTC, whole milliseconds."""
        ...

    def listen(self, ring: Callable[[], object]) -> Callable[[], None]:
        """Have `ring` called in the event loop whenever a job may have become free.

        That is after an addition or a save of a queued job, here or, as far as the store can
        tell, in another process. The answer is to be called to stop listening.
        """
        ...

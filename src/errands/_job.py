"""A job: one call of a task, kept in a store; and the ways its state may change.

Everything here is a value. A transition reads no clock and touches no store: it takes the
job and the time, and answers with the job as it then is.

    queued ──claimed──▶ running ──done───────▶ done
      ▲                  │ │ └────failed─────▶ failed
      └─retrying/released┘ └──────cancelled──▶ cancelled
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from ._progress import Progress

HISTORY = 20  # attempts that a job remembers
LOST = "its worker was lost"  # what an attempt says whose lease ran out
NEVER = datetime(9999, 12, 31, tzinfo=UTC)  # when a job is free that is blocked
WAITING = "jobs"  # what blocks a job whose `waits_for` have not all ended
SUSPICIOUS = 3  # workers that a job has lost in a row before it is taken for the reason


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"  # waiting for its time, or for a free worker
    RUNNING = "running"  # a worker holds it, until `free_at` at the latest
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"  # handed back unfinished by a worker that stopped
    LOST = "lost"  # its worker died, or was silent for longer than its lease


FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a job that has ended.

    Attributes:
        number: Counted from 1; a released attempt is counted anew.
        error: The traceback, or why there is none.
    """

    number: int
    worker: str
    started_at: datetime
    ended_at: datetime
    outcome: Outcome
    error: str | None = None


@dataclass(frozen=True, kw_only=True)  # without slots, so that `of` and `_with` are quick
class Job:
    """One call of a task. All its instants are UTC, in whole milliseconds.

    Attributes:
        payload: The arguments by the names of their parameters, as the text of a JSON object.
        due_at: When the job was asked to start, at the earliest.
        free_at: From this instant any worker may claim the job: `due_at` while it is queued,
            the end of the lease while it runs.
        queue: Which workers it waits for.
        priority: The higher, the sooner.
        key: At most one unfinished job has this key.
        group: Which jobs it is counted, cancelled and retried with.
        waits_for: The ids of the jobs that are to end before it starts.
        runs_anyway: Whether it starts although one of those failed or was cancelled.
        concurrency_key: Only so many jobs with it run at once as its task says.
        rate_key: Only so many jobs with it start in a time as its task says.
        blocked_by: What keeps it back although its time may have come: `WAITING`, or the limit
            of that key. It is free at `NEVER` then.
        is_cancelling: Whether somebody asked the worker that runs it to cancel it.
        attempt: How often the job was started.
        worker: Who holds it, or held it last.
        result: What the function returned, as JSON text.
        history: The attempts that ended, newest last, the oldest of many forgotten.
        version: Counts the transitions; a save must follow the version that it read.
    """

    id: str
    task: str
    payload: str
    due_at: datetime
    free_at: datetime
    added_at: datetime
    queue: str = "default"
    priority: int = 0
    key: str | None = None
    group: str | None = None
    waits_for: tuple[str, ...] = ()
    runs_anyway: bool = False
    concurrency_key: str | None = None
    rate_key: str | None = None
    blocked_by: str | None = None
    is_cancelling: bool = False
    state: State = State.QUEUED
    attempt: int = 0
    worker: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: str | None = None
    progress: Progress | None = None
    history: tuple[Attempt, ...] = ()
    version: int = 0

    @classmethod
    def of(cls, **values: Any) -> Self:
        """As `Job(**values)`, in a third of its time, and unchecked: for those who make many."""
        job = object.__new__(cls)
        job.__dict__.update(DEFAULTS)
        job.__dict__.update(values)
        return job

    @property
    def is_final(self) -> bool:
        """Whether it has ended for good: done, failed or cancelled."""
        return self.state in FINAL

    @property
    def is_bound(self) -> bool:
        """Whether it has a limit, so that only a claim knows whether it may start."""
        return self.concurrency_key is not None or self.rate_key is not None

    @property
    def error(self) -> str | None:
        """What the last attempt that ended had to say: a traceback, mostly."""
        return self.history[-1].error if self.history else None

    @property
    def is_suspect(self) -> bool:
        """Whether its last three workers were lost: it, or what ran beside it, kills them."""
        last = self.history[-SUSPICIOUS:]
        return len(last) == SUSPICIOUS and all(past.outcome is Outcome.LOST for past in last)

    def claimed(self, worker: str, now: datetime, lease: timedelta) -> Job:
        """Held by `worker`. If it ran, then whoever ran it is taken for dead."""
        lost = self.state is State.RUNNING
        return self._with(
            state=State.RUNNING,
            worker=worker,
            attempt=self.attempt + 1,
            started_at=now,
            free_at=now + lease,
            blocked_by=None,
            progress=None,
            history=self._ended(Outcome.LOST, now, LOST) if lost else self.history,
            version=self.version + 1,
        )

    def progressed(self, progress: Progress) -> Job:
        """Further than before. This is no transition: the version stays."""
        return self._with(progress=progress)

    def extended(self, until: datetime) -> Job:
        """Leased for longer. This is no transition: the version stays."""
        return self._with(free_at=until)

    def blocked(self, by: str, until: datetime = NEVER) -> Job:
        """Kept back by what has that key. This is no transition: the version stays."""
        return self._with(free_at=until, blocked_by=by)

    def unblocked(self) -> Job:
        """Kept back no longer, in its old place. This is no transition, either."""
        return self._with(free_at=self.due_at, blocked_by=None)

    def recovered(self, now: datetime) -> Job:
        """Queued again after its worker was lost, which counted as an attempt."""
        lost = self._ended(Outcome.LOST, now, LOST)
        return self._queued(self.due_at, started_at=None, history=lost)

    def done(self, result: str | None, now: datetime, note: str | None = None) -> Job:
        """Ended well; `note` says why a result could not be kept."""
        return self._finished(State.DONE, Outcome.DONE, now, note, result)

    def failed(self, error: str, now: datetime, wait: float | None = None) -> Job:
        """Failed for good, or queued again after `wait` seconds."""
        if wait is None:
            return self._finished(State.FAILED, Outcome.FAILED, now, error)
        again = now + timedelta(milliseconds=round(wait * 1000))
        return self._queued(again, history=self._ended(Outcome.FAILED, now, error))

    def cancelled(self, now: datetime, why: str | None = None) -> Job:
        """Ended by a person or a program before it was done; `why`, if it had been claimed."""
        return self._finished(State.CANCELLED, Outcome.CANCELLED, now, why)

    def retried(self, now: datetime) -> Job:
        """Asked for again by a person: due at once, all attempts given back.

        One with `waits_for` waits once more, as those may have been asked for again, too; where
        all of them have ended, the store frees it at once.
        """
        again = self._queued(now, attempt=0, finished_at=None, result=None, is_cancelling=False)
        return again._with(free_at=NEVER, blocked_by=WAITING) if self.waits_for else again

    def freed(self, now: datetime) -> Job:
        """Kept back no longer: what it waited for has ended."""
        return self._with(free_at=max(now, self.due_at), blocked_by=None, version=self.version + 1)

    def returned(self) -> Job:
        """Handed back before it started, to wait: what it waits for was asked for once more."""
        again = self._queued(NEVER, attempt=self.attempt - 1, started_at=None)
        return again._with(blocked_by=WAITING)

    def released(self, now: datetime) -> Job:
        """Handed back unfinished by a worker that stops; the attempt does not count."""
        ended = self._ended(Outcome.RELEASED, now, None)
        return self._queued(max(now, self.due_at), attempt=self.attempt - 1, history=ended)

    def due_again(self) -> Job:
        """Due as it was asked for, after it was held back while it was queued."""
        return self._queued(self.due_at)

    def unclaimed(self) -> Job:
        """As if it had not been claimed: for a job that was held but never started."""
        return self._queued(self.due_at, attempt=self.attempt - 1, started_at=None)

    def postponed(self, until: datetime) -> Job:
        """Handed back before it started, to be free later; the attempt does not count."""
        return self._queued(until, attempt=self.attempt - 1, started_at=None)

    def replaced(self, by: Job) -> Job:
        """The queued job, with the call, the time and the place of another one."""
        return by._with(
            id=self.id, added_at=self.added_at, history=self.history, version=self.version + 1
        )

    def _with(self, **changes: Any) -> Job:
        """As `dataclasses.replace`, in a tenth of its time: each job changes twice or more."""
        job = object.__new__(Job)
        job.__dict__.update(self.__dict__)
        job.__dict__.update(changes)
        return job

    def _queued(self, free_at: datetime, **changes: Any) -> Job:
        changes = {"progress": None, "worker": None, "version": self.version + 1} | changes
        return self._with(state=State.QUEUED, free_at=free_at, **changes)

    def _finished(
        self,
        state: State,
        outcome: Outcome,
        now: datetime,
        error: str | None = None,
        result: str | None = None,
    ) -> Job:
        is_over = self.state is State.RUNNING  # while it is queued its last attempt stands there
        history = self._ended(outcome, now, error) if is_over else self.history
        return self._with(
            state=state,
            finished_at=now,
            result=result,
            blocked_by=None,
            history=history,
            version=self.version + 1,
        )

    def _ended(self, outcome: Outcome, now: datetime, error: str | None) -> tuple[Attempt, ...]:
        started_at = self.started_at or now
        ended = Attempt(self.attempt, self.worker or "", started_at, now, outcome, error)
        return (*self.history[1 - HISTORY :], ended)


DEFAULTS = {field.name: field.default for field in fields(Job) if field.default is not MISSING}


def id_of(job: Job | str) -> str:
    """The id of a job, or what is one already.

    Raises:
        TypeError: if it is neither, such as a coroutine that nobody has awaited.
    """
    if isinstance(job, str):
        return job
    if not isinstance(job, Job):
        raise TypeError(f"expected a job or its id, not {job!r}: is an `await` missing before it?")
    return job.id

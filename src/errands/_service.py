"""A service: a task that never ends; when it is started again, and how it is shown.

Everything here is a value: whether a service is started again is told by its job alone, whose
history every process sees, so that the count goes on wherever it runs next.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal, get_args

from ._heartbeat import Heartbeat, LogLine
from ._ids import new_id
from ._job import HISTORY, Attempt, Job, Outcome, State
from ._plain import LONGEST as LONGEST_TIME
from ._plain import Seconds, is_whole, seconds
from ._retry import Retry
from ._schedule import SILENCE
from ._task import Task

Restart = Literal["always", "on-failure", "never"]

QUEUE = "services"
PRIORITY = 1000
STEADY = timedelta(seconds=10)  # a service that is up for so long has stayed up
FIRST, LONGEST = 0.2, 60.0  # seconds that a wait takes at the most: the first, and all later ones
LOGGED = 20  # lines that are shown of a service
MARKS = 10  # declarations that a job remembers


@dataclass(frozen=True, slots=True)
class Budget:
    """How often a service may be started again before it counts as failed for good.

    Args:
        restarts: So often, from 0 to 20, which is what a job remembers.
        within: In so many seconds. The default is as long as the waits of 20 restarts can
            take, so that a service which fails at once, each time, is given up in the end.
    """

    restarts: int = HISTORY
    within: Seconds = 900.0

    def __post_init__(self) -> None:
        """Refuse what could never be meant.

        Raises:
            ValueError: if a number is out of its range.
        """
        if not (is_whole(self.restarts) and 0 <= self.restarts <= HISTORY):
            raise ValueError(f"Budget(restarts={self.restarts!r}): expected 0 to {HISTORY}")
        if not 0 < seconds(self.within) <= LONGEST_TIME:
            raise ValueError(f"Budget(within={self.within!r}): expected more than 0 seconds")


@dataclass(frozen=True, kw_only=True)
class Service(Task):
    """A declared function that runs for ever, with its policy.

    Attributes:
        restart: When it is started again: `always`, also after it returned; `on-failure`; or
            `never`.
        every_process: Whether each process has one; else there is one in the cluster.
        watchdog: Seconds within which it has to call `alive()` again; `None` for no limit.
        budget: How often it may be started again.
    """

    queue: str = QUEUE
    priority: int = PRIORITY
    retry: Retry = field(default_factory=lambda: Retry(attempts=None))
    restart: Restart = "always"
    every_process: bool = False
    watchdog: float | None = None
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        """Refuse a function or a policy that could never be meant.

        Raises:
            TypeError: if the function cannot be called without arguments, or is a generator,
                or `budget` is not a `Budget`.
            ValueError: if `restart` is none of the three, or `watchdog` is not positive.
        """
        Task.__post_init__(self)
        if self.restart not in get_args(Restart):
            expected = ", ".join(get_args(Restart))
            raise ValueError(f"{self.name}: restart={self.restart!r}: expected one of {expected}")
        if self.watchdog is not None and not self.watchdog > 0:
            raise ValueError(f"{self.name}: watchdog={self.watchdog!r}: expected more than 0")
        if not isinstance(self.budget, Budget):
            raise TypeError(f"{self.name}: budget={self.budget!r}: write Budget(restarts=…)")
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            raise TypeError(f"{self.name} is a generator, and a service is called: drop its yield")
        self._require_no_arguments()

    @property
    def key(self) -> str:
        """At most one unfinished job of the cluster has it."""
        return key_of(self.name)

    @cached_property
    def mark(self) -> str:
        """Tells this declaration from an earlier one: made of its options and its source."""
        try:
            source = inspect.getsource(self.function)
        except (OSError, TypeError):  # typed in a shell, or not written in Python
            source = ""
        options = (self.restart, self.watchdog, self.budget)
        return hashlib.sha256(f"{source}{options}".encode()).hexdigest()[:12]

    def job(self, now: datetime, before: Job | None = None) -> Job:
        """Its next job; it remembers which declarations had the jobs `before`."""
        marks = [] if before is None else marks_of(before)
        return Job.of(
            id=new_id(now),
            task=self.name,
            payload=json.dumps({"declared": [*marks, self.mark][-MARKS:]}),
            due_at=now,
            free_at=now,
            added_at=now,
            queue=self.queue,
            priority=self.priority,
            key=self.key,
        )

    def wait_after(
        self, job: Job, now: datetime, draw: Callable[[float, float], float] = random.uniform
    ) -> float | None:
        """Seconds until the service is started again, or `None` if it is not to be.

        Args:
            job: Its job, running, whose attempt is about to end.
            draw: Draws a number between two.

        The full wait doubles from 0.2 s to 60 s while the service does not stay up, and is
        drawn between half and all of that (equal jitter: Brooker, AWS, 2015). Workers that
        were lost, or stopped, do not count.
        """
        attempts = _since_reset(job)
        failed = [a for a in attempts if a.outcome is Outcome.FAILED]
        since = now - timedelta(seconds=seconds(self.budget.within))
        recent = [a for a in failed if a.ended_at > since]
        if self.restart == "never" or len(recent) >= self.budget.restarts:
            return None
        doublings = 0
        if now - (job.started_at or now) < STEADY:
            for attempt in reversed(attempts):
                if attempt.ended_at - attempt.started_at >= STEADY:
                    break
                doublings += attempt.outcome is Outcome.FAILED
        full = min(FIRST * 2.0**doublings, LONGEST)
        return draw(full / 2, full)

    def _require_no_arguments(self) -> None:
        parameters = inspect.signature(self.function).parameters.values()
        optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        for each in parameters:
            if each.default is each.empty and each.kind not in optional:
                raise TypeError(
                    f"{self.name} is a service, which nobody passes arguments: give "
                    f"{each.name!r} a default, or get it inside of the function"
                )


class ServiceState(StrEnum):
    """What a service does."""

    STARTING = "starting"  # it runs, and has neither said `ready()` nor stayed up for 10 s
    RUNNING = "running"
    BACKING_OFF = "backing off"  # it failed, and is started again soon
    FAILED = "failed"  # it failed for good, until somebody starts it again
    STOPPED = "stopped"  # nobody runs it: it has returned, or no process is at work
    ORPHANED = "orphaned"  # the code of no process at work declares it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """A service, as it was when it was looked at.

    Attributes:
        since: When it came to be so.
        is_ready: Whether it runs and has said `ready()`.
        restarts: How often it was started again, but for orderly stops of its process.
        worker: Who runs it; `None` if nobody does.
        error: What its last failure had to say: a traceback, mostly.
        starts_at: When it is started again, if it backs off.
        log: The last lines that it has logged, the oldest first: at most 20, of whoever ran it.
        every_process: Whether each process has one; this is the one of ours.
    """

    name: str
    state: ServiceState
    since: datetime
    is_ready: bool
    restarts: int
    worker: str | None
    error: str | None
    starts_at: datetime | None = None
    log: tuple[LogLine, ...] = ()
    every_process: bool = False

    @classmethod
    def of(
        cls,
        job: Job,
        now: datetime,
        *,
        workers: Iterable[Heartbeat] = (),
        every_process: bool = False,
        is_declared: bool = True,
    ) -> ServiceStatus:
        """How the service of this job does.

        Args:
            workers: Who may have run it, and tell what it has logged.
            is_declared: Whether this process declares it.
        """
        is_left = not is_declared and is_orphaned(job, now)
        state = ServiceState.ORPHANED if is_left else _state_of(job, now)
        is_up = job.state is State.RUNNING
        ended_at = job.history[-1].ended_at if job.history else job.added_at
        return cls(
            name=job.task,
            state=state,
            since=(job.started_at if is_up else job.finished_at) or ended_at,
            is_ready=is_up and job.progress is not None,
            restarts=max(job.attempt - 1, 0),
            worker=job.worker if is_up else None,
            error=next((a.error for a in reversed(job.history) if a.error), None),
            starts_at=job.free_at if state is ServiceState.BACKING_OFF else None,
            log=_log_of(job.task, workers),
            every_process=every_process,
        )


def key_of(name: str) -> str:
    """The key of the job of a service."""
    return f"service:{name}"


def is_orphaned(job: Job, now: datetime) -> bool:
    """Whether nobody has taken the service of this job, though anybody might have.

    Asked by a process that does not declare it: one that does takes it in a moment.
    """
    return job.state is State.QUEUED and now - job.free_at > SILENCE


def marks_of(job: Job) -> list[str]:
    """Which declarations of the service the job has run under."""
    found: list[str] = json.loads(job.payload).get("declared", [])
    return found


def _log_of(name: str, workers: Iterable[Heartbeat]) -> tuple[LogLine, ...]:
    # a worker may be there twice, as it told last and as it is
    lines = dict.fromkeys(line for each in workers for line in each.log if line.service == name)
    return tuple(sorted(lines, key=lambda line: line.at)[-LOGGED:])


def _state_of(job: Job, now: datetime) -> ServiceState:
    if job.state is State.FAILED:
        return ServiceState.FAILED
    if job.state is State.RUNNING:
        is_up = job.progress is not None or now - (job.started_at or now) >= STEADY
        return ServiceState.RUNNING if is_up else ServiceState.STARTING
    has_failed = job.attempt and job.history and job.history[-1].outcome is Outcome.FAILED
    if job.state is State.QUEUED and has_failed:
        return ServiceState.BACKING_OFF
    return ServiceState.STOPPED


def _since_reset(job: Job) -> Sequence[Attempt]:
    """The attempts that ended since somebody had the count begin anew: the numbers ascend."""
    number, kept = job.attempt, 0
    for attempt in reversed(job.history):
        if attempt.number > number:
            break
        number, kept = attempt.number, kept + 1
    return job.history[len(job.history) - kept :]

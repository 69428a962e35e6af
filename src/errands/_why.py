"""Why a job is not running: everything that keeps it, each with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ._heartbeat import Heartbeat
from ._job import NEVER, WAITING, Job, Outcome, State
from ._order import Order

NAMED = 3  # jobs or workers that a sentence names


class Obstacle(StrEnum):
    """What kind of thing keeps a job."""

    ENDED = "ended"  # it is done, failed or cancelled
    RUNNING = "running"  # it does run
    STOPPING = "stopping"  # it runs, and was asked to stop
    LOST = "lost"  # its worker is gone; another will take it over
    LATER = "later"  # its time has not come
    RETRYING = "retrying"  # its last attempt failed, and the next one has not come
    WAITING = "waiting"  # for other jobs
    LIMITED = "limited"  # too many of its kind run, or ran just now
    PAUSED = "paused"  # its queue, its task, its key, or every worker that would take it
    NOBODY = "nobody"  # no worker that lives works for its queue
    UNKNOWN = "unknown"  # none of them knows its task
    FULL = "full"  # all that would take it are busy
    SOON = "soon"  # nothing: a worker is about to take it


@dataclass(frozen=True, slots=True)
class Reason:
    """One of them.

    Attributes:
        text: A sentence for people.
        until: When it ends by itself, as far as that is known.
    """

    obstacle: Obstacle
    text: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """All of them, the first one first; as text, their sentences.

    Attributes:
        job: The job as it was then.
    """

    job: Job
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        """What to tell an operator."""
        return " ".join(reason.text for reason in self.reasons)


def why(
    job: Job,
    now: datetime,
    orders: Sequence[Order],
    workers: Sequence[Heartbeat],
    parents: Mapping[str, Job | None],
) -> Why:
    """Why the job is not running.

    Args:
        workers: Those of which the store knows.
        parents: What the job waits for, by id; `None` for what is gone.
    """
    alive = [worker for worker in workers if worker.is_alive(now)]
    if job.is_final:
        found = [_ended(job)]
    elif job.state is State.RUNNING:
        found = [_running(job, now, alive)]
    else:
        found = [
            *_blocked(job, parents),
            *_later(job, now),
            *_paused(job, orders),
            *_without_worker(job, orders, alive),
        ]
    return Why(job, tuple(found) or (Reason(Obstacle.SOON, "A worker is about to take it."),))


def _ended(job: Job) -> Reason:
    when = f" at {_shown(job.finished_at)}" if job.finished_at else ""
    again = "" if job.state is State.DONE else " errands.retry(job) has it run again."
    attempts = f" after {_number(job.attempt, 'attempt')}" if job.attempt else ""
    return Reason(Obstacle.ENDED, f"It has ended: {job.state}{attempts}{when}.{again}")


def _running(job: Job, now: datetime, alive: Sequence[Heartbeat]) -> Reason:
    place = f"at {job.worker} since {_shown(job.started_at or now)}"
    if job.free_at <= now or job.worker not in {worker.worker for worker in alive}:
        text = f"It ran {place}; that worker is gone, and another takes it over by "
        text += f"{_shown(job.free_at)}."
        if job.free_at <= now:
            text = (
                f"It ran {place}; that worker is gone, or hangs, and since {_shown(job.free_at)} "
                "any that works for its queue and knows its task may take it over: start one."
            )
        return Reason(Obstacle.LOST, text, job.free_at)
    if job.is_cancelling:
        return Reason(Obstacle.STOPPING, f"It runs {place}, and was asked to stop.")
    text = f"It does run: {place}, leased until {_shown(job.free_at)}."
    return Reason(Obstacle.RUNNING, text, job.free_at)


def _blocked(job: Job, parents: Mapping[str, Job | None]) -> list[Reason]:
    if job.blocked_by is None:
        return []
    if job.blocked_by == job.rate_key:
        return [_slowed(job)]
    if job.blocked_by != WAITING:
        text = f"The limit {job.blocked_by!r} is used up: it starts when another of them ends."
        return [Reason(Obstacle.LIMITED, text)]
    left = [parent for parent in parents.values() if parent is not None and not parent.is_final]
    named = ", ".join(f"{each.id} ({each.task}, {each.state})" for each in left[:NAMED])
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    return [Reason(Obstacle.WAITING, f"It waits for {_number(len(left), 'job')}: {named}{more}.")]


def _slowed(job: Job) -> Reason:
    """That too many have started; only the first of those that wait knows when the next may."""
    text = f"It waits for the rate {job.blocked_by!r}: "
    if job.free_at == NEVER:
        return Reason(Obstacle.LIMITED, f"{text}others that wait for it start before.")
    text += f"the next one may start at {_shown(job.free_at)}, and that is this one."
    return Reason(Obstacle.LIMITED, text, job.free_at)


def _later(job: Job, now: datetime) -> list[Reason]:
    if job.free_at <= now or job.blocked_by is not None:
        return []
    if job.history and job.history[-1].outcome is Outcome.FAILED:
        text = f"Attempt {job.attempt} failed; the next one is due at {_shown(job.free_at)}."
        return [Reason(Obstacle.RETRYING, text, job.free_at)]
    return [Reason(Obstacle.LATER, f"It is due at {_shown(job.free_at)}.", job.free_at)]


def _paused(job: Job, orders: Sequence[Order]) -> list[Reason]:
    found = []
    for kind, name in (("queue", job.queue), ("task", job.task), ("key", job.key)):
        for order in orders:
            if (order.kind, order.name) == (kind, name):
                resume = f"{name!r}" if kind == "queue" else f"{kind}={name!r}"
                text = f"The {kind} {name!r} is paused since {_shown(order.since)}: "
                found.append(Reason(Obstacle.PAUSED, f"{text}errands.resume({resume})."))
    return found


def _without_worker(job: Job, orders: Sequence[Order], alive: Sequence[Heartbeat]) -> list[Reason]:
    theirs = [w for w in alive if w.queues is None or job.queue in w.queues]
    if not theirs:
        text = f"None of {_number(len(alive), 'live worker')} works for the queue {job.queue!r}."
        return [Reason(Obstacle.NOBODY, f"{text} Start one.")]
    able = [worker for worker in theirs if worker.takes(job.queue, job.task)]
    if not able:
        text = f"No live worker of the queue {job.queue!r} knows the task {job.task!r}."
        return [Reason(Obstacle.UNKNOWN, f"{text} Deploy the code that declares it.")]
    resting = {order.name for order in orders if order.kind == "worker"}
    awake = [worker for worker in able if worker.worker not in resting]
    if not awake:
        names = ", ".join(worker.worker for worker in able[:NAMED])
        return [Reason(Obstacle.PAUSED, f"All workers that would take it are paused: {names}.")]
    if all(worker.running >= worker.slots for worker in awake):
        running, slots = sum(w.running for w in awake), sum(w.slots for w in awake)
        text = f"All workers that would take it are busy: {_number(running, 'job')} in "
        text += f"{_number(slots, 'slot')}."
        return [Reason(Obstacle.FULL, text)]
    if not any(worker.has_process_for(job.task) for worker in awake):
        running, most = sum(w.in_processes for w in awake), sum(w.processes for w in awake)
        text = f"All processes that would run it are busy: {_number(running, 'job')} in "
        text += f"{most} {'process' if most == 1 else 'processes'}."
        return [Reason(Obstacle.FULL, text)]
    return []


def _shown(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

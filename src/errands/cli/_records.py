"""Records: what is told of a job, a worker, a schedule, a service, by plain names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from errands import Heartbeat, Job, Outcome, Redaction, Schedule, ServiceStatus, State

from ._tables import Record

LATE = 5.0  # seconds that a tick may wait for whoever sees to it


def of_job(job: Job, now: datetime, *, is_revealing: bool = False) -> dict[str, Any]:
    """A job in a list: without its attempts, but for what the last one had to say."""
    redaction = Redaction(is_off=is_revealing)
    secrets = redaction.secrets(job.payload)
    progress = job.progress
    return {
        "id": job.id,
        "task": job.task,
        "queue": job.queue,
        "state": str(job.state),
        "shown_as": shown_as(job, now),
        "priority": job.priority,
        "key": job.key,
        "group": job.group,
        "attempt": job.attempt,
        "worker": job.worker,
        "arguments": redaction.shown(job.payload, secrets),
        "result": redaction.shown(job.result, secrets),
        "error": None if job.error is None else redaction.text(job.error, secrets),
        "progress": None
        if progress is None
        else {"done": progress.done, "total": progress.total, "text": progress.text},
        "blocked_by": None if job.blocked_by is None else redaction.text(job.blocked_by, secrets),
        "waits_for": list(job.waits_for),
        "added_at": job.added_at,
        "due_at": job.due_at,
        "free_at": job.free_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def with_attempts(job: Job, now: datetime, *, is_revealing: bool = False) -> dict[str, Any]:
    """A job with each of its attempts, the running one as the last."""
    redaction = Redaction(is_off=is_revealing)
    secrets = redaction.secrets(job.payload)
    begin, attempts = job.added_at, []
    for past in job.history:
        error = None if past.error is None else redaction.text(past.error, secrets)
        attempts.append(
            {
                "number": past.number, "worker": past.worker, "started_at": past.started_at,
                "ended_at": past.ended_at, "waited": _waited(job, begin, past.started_at),
                "ran": _seconds(past.started_at, past.ended_at),
                "outcome": str(past.outcome), "error": error,
            }
        )  # fmt: skip  # a row
        begin = past.ended_at
    if job.state is State.RUNNING and job.started_at is not None:
        attempts.append(
            {
                "number": job.attempt, "worker": job.worker, "started_at": job.started_at,
                "ended_at": None, "waited": _waited(job, begin, job.started_at),
                "ran": _seconds(job.started_at, now), "outcome": "running", "error": None,
            }
        )  # fmt: skip  # a row
    return {**of_job(job, now, is_revealing=is_revealing), "attempts": attempts}


def shown_as(job: Job, now: datetime) -> str:
    """Its state, in a word that tells more: `scheduled`, `retrying`, `waiting`, `stopping`."""
    if job.state is State.RUNNING and job.is_cancelling:
        return "stopping"
    if job.state is State.QUEUED and job.blocked_by is not None:
        return "waiting"
    if job.state is State.QUEUED and job.free_at > now:
        has_failed = job.history and job.history[-1].outcome is Outcome.FAILED
        return "retrying" if has_failed and job.attempt else "scheduled"
    return str(job.state)


def of_worker(worker: Heartbeat, now: datetime, paused: Sequence[str] = ()) -> dict[str, Any]:
    """A worker, and whether it lives."""
    state = "gone" if worker.gone_at else "alive" if worker.is_alive(now) else "silent"
    is_paused = state == "alive" and worker.worker in paused
    return {
        "worker": worker.worker,
        "state": "paused" if is_paused else state,
        "host": worker.host,
        "pid": worker.pid,
        "queues": None if worker.queues is None else list(worker.queues),
        "slots": worker.slots,
        "running": worker.running,
        "version": worker.version,
        "tasks": list(worker.tasks),
        "started_at": worker.started_at,
        "seen_at": worker.seen_at,
        "gone_at": worker.gone_at,
    }


def of_schedule(schedule: Schedule, now: datetime, *, is_revealing: bool = False) -> Record:
    """A schedule, and whether somebody sees to it."""
    redaction = Redaction(is_off=is_revealing)
    return {
        "name": schedule.name,
        "task": schedule.task,
        "state": state_of(schedule, now),
        "spec": spec_text(schedule),
        "arguments": redaction.shown(schedule.payload, redaction.secrets(schedule.payload)),
        "last_tick": schedule.last_tick,
        "next_tick": schedule.next_tick,
        "known_by": schedule.known_by or None,
        "known_at": schedule.known_at,
    }


def state_of(schedule: Schedule, now: datetime) -> str:
    """`paused`, `over`, `overdue`; `unknown` to all processes at work; or `on`."""
    if schedule.is_paused:
        return "paused"
    if schedule.next_tick is None:
        return "over"
    if (now - schedule.next_tick).total_seconds() > LATE + _jitter(schedule):
        return "overdue"
    return "unknown" if schedule.is_orphaned(now) else "on"


def spec_text(schedule: Schedule) -> str:
    """When it is due, as it was written."""
    try:
        return str(schedule.when)
    except ValueError:  # a newer version wrote it
        return schedule.spec


def of_service(service: ServiceStatus) -> Record:
    """A service; what it says may have URLs in it, whose passwords are hidden."""
    redaction = Redaction()
    return {
        "name": service.name,
        "state": str(service.state),
        "since": service.since,
        "is_ready": service.is_ready,
        "restarts": service.restarts,
        "worker": service.worker,
        "starts_at": service.starts_at,
        "error": None if service.error is None else redaction.text(service.error),
        "log": [
            {"at": each.at, "level": each.level, "text": redaction.text(each.text)}
            for each in service.log
        ],
    }


def json_line(value: Any) -> str:
    """A value of JSON in a line, its names as parameters of a call: `path="cat.png", size=64`."""
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    hidden = Redaction.HIDDEN
    said = (
        f"{name}={inner if inner == hidden else json.dumps(inner, ensure_ascii=False)}"
        for name, inner in value.items()
    )
    return ", ".join(said)


def progress_text(progress: Record) -> str:
    """How far a job has come, in a line; what is ready has not counted anything."""
    done, total, text = progress["done"], progress["total"], progress["text"] or ""
    if total is None:
        return text if text and not done else f"{done:g} {text}".rstrip()
    return f"{done:g} of {total:g} {text}".rstrip()


def _waited(job: Job, begin: datetime, started_at: datetime) -> float:
    """Seconds from when it could have started, at the earliest, to when it did."""
    return _seconds(max(begin, job.due_at) if started_at >= job.due_at else begin, started_at)


def _seconds(begin: datetime, end: datetime) -> float:
    return max((end - begin).total_seconds(), 0.0)


def _jitter(schedule: Schedule) -> float:
    try:
        return schedule.when.spread.total_seconds()
    except ValueError:
        return 0.0

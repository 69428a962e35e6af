"""Jobs as rows, and back, in every SQL store.

Instants are whole milliseconds since 1970 there: they come out as they went in, whatever the
database makes of time zones and of dates far away, sort as numbers, and can be moved from
one store to another as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, overload

import msgspec

from .._group import Group
from .._job import Attempt, Job, Outcome, State
from .._progress import Progress

FREQUENT = (
    "id", "task", "payload", "queue", "priority", "key", "added_at", "due_at", "free_at", "state",
    "attempt", "worker", "started_at", "finished_at", "result", "progress", "history", "version",
)  # fmt: skip  # a row
RARE = (  # what most jobs do not have
    "blocked_by", "group_name", "waits_for", "runs_anyway", "concurrency_key", "rate_key",
    "is_cancelling",
)  # fmt: skip  # a row
COLUMNS = FREQUENT + RARE  # as they stand in a row
CHANGING = (*FREQUENT[8:], "blocked_by")  # by the transitions of a job that is stored

NAMES = ", ".join(COLUMNS)
UNFINISHED = "state in ('queued', 'running')"
FINISHED = "state in ('done', 'failed', 'cancelled')"
STATES = {str(state): state for state in State}

NOTHING = (None,) * len(RARE)

decode = msgspec.json.Decoder().decode


def as_json(value: Collection[Any]) -> str:
    """A list as JSON text, the form in which lists are handed to a database."""
    return msgspec.json.encode(list(value)).decode()


def as_job(row: Sequence[Any]) -> Job:
    """The job of a row of `COLUMNS`."""
    rare = row[len(FREQUENT) :]
    return job_of(row[: len(FREQUENT)], None if rare == NOTHING else rare)


def job_of(frequent: Sequence[Any], rare: Sequence[Any] | None) -> Job:
    """The job of what is `FREQUENT` of it, and of what is `RARE`, if there is any."""
    (id_, task, payload, queue, priority, key, added_at, due_at, free_at, state, attempt, worker,
     started_at, finished_at, result, progress, history, version) = frequent  # fmt: skip  # a row
    return Job.of(
        id=id_, task=task, payload=payload, queue=queue, priority=priority, key=key,
        added_at=_instant(added_at), due_at=_instant(due_at), free_at=_instant(free_at),
        state=STATES[state], attempt=attempt, worker=worker, started_at=instant(started_at),
        finished_at=instant(finished_at), result=result,
        progress=Progress(*decode(progress)) if progress else None,
        history=tuple(_attempt(*entry) for entry in decode(history)) if history else (),
        version=version, **(_rare(*rare) if rare else {}),
    )  # fmt: skip  # as above


def _rare(
    blocked_by: str | None,
    group: str | None,
    waits_for: str | None,
    runs_anyway: int | None,
    concurrency_key: str | None,
    rate_key: str | None,
    is_cancelling: int | None,
) -> dict[str, Any]:
    return {
        "blocked_by": blocked_by,
        "group": group,
        "waits_for": tuple(decode(waits_for)) if waits_for else (),
        "runs_anyway": bool(runs_anyway),
        "concurrency_key": concurrency_key,
        "rate_key": rate_key,
        "is_cancelling": bool(is_cancelling),
    }


def _progress_text(progress: Progress | None) -> str | None:
    return as_json((progress.done, progress.total, progress.text)) if progress else None


def _history_text(history: tuple[Attempt, ...]) -> str | None:
    if not history:
        return None
    return as_json(
        [
            (a.number, a.worker, ms(a.started_at), ms(a.ended_at), a.outcome, a.error)
            for a in history
        ]
    )


def _attempt(number: int, worker: str, start: int, end: int, outcome: str, error: str) -> Attempt:
    return Attempt(number, worker, instant(start), instant(end), Outcome(outcome), error)


@overload
def ms(instant: datetime) -> int: ...
@overload
def ms(instant: datetime | None) -> int | None: ...
def ms(instant: datetime | None) -> int | None:
    """An instant as it is stored."""
    return None if instant is None else _ms(instant)


@lru_cache(128)  # many jobs have the same: those of one claim, for one
def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


@overload
def instant(ms: int) -> datetime: ...
@overload
def instant(ms: int | None) -> datetime | None: ...
def instant(ms: int | None) -> datetime | None:
    """A stored instant."""
    return None if ms is None else _instant(ms)


@lru_cache(128)  # as above
def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def group_of(name: str, rows: Iterable[Sequence[Any]]) -> Group:
    """A group, by rows of a state, how many jobs have it, and their first and last instants."""
    counts, started, ended = {}, [], []
    for state, number, first, last in rows:
        counts[STATES[state]] = number
        started += [] if first is None else [instant(first)]
        ended += [] if last is None else [instant(last)]
    return Group.of(name, counts, min(started, default=None), max(ended, default=None))


def is_stored(job: Job, there: Job | None) -> bool:
    """Whether what is there is this job, but for what a save does not write."""
    if there is None:
        return False
    return replace(job, key=there.key, is_cancelling=there.is_cancelling) == there


def new(job: Job) -> tuple[Any, ...]:
    """A job as a whole, in the order of `COLUMNS`."""
    return (*frequent(job), *rare(job))


def frequent(job: Job) -> tuple[Any, ...]:
    """What is `FREQUENT` of a job."""
    added = ms(job.added_at)
    due = added if job.due_at is job.added_at else ms(job.due_at)
    return (
        job.id, job.task, job.payload, job.queue, job.priority, job.key, added, due,
        due if job.free_at is job.due_at else ms(job.free_at), job.state, job.attempt, job.worker,
        ms(job.started_at), ms(job.finished_at), job.result, _progress_text(job.progress),
        _history_text(job.history), job.version,
    )  # fmt: skip  # in the order of `FREQUENT`


def is_plain(job: Job) -> bool:
    """Whether there is nothing `RARE` of a job, as of most."""
    return not (
        job.group
        or job.waits_for
        or job.concurrency_key
        or job.rate_key
        or job.blocked_by
        or job.is_cancelling
        or job.runs_anyway
    )


def rare(job: Job) -> tuple[Any, ...]:
    """What is `RARE` of a job."""
    return (
        job.blocked_by, job.group, as_json(job.waits_for) if job.waits_for else None,
        int(job.runs_anyway) or None, job.concurrency_key, job.rate_key,
        int(job.is_cancelling) or None,
    )  # fmt: skip  # in the order of `RARE`


def changed(job: Job) -> tuple[Any, ...]:
    """Its id, and what a transition changes, in the order of `CHANGING`."""
    return (
        job.id, ms(job.free_at), job.state, job.attempt, job.worker, ms(job.started_at),
        ms(job.finished_at), job.result, _progress_text(job.progress),
        _history_text(job.history), job.version, job.blocked_by,
    )  # fmt: skip  # in the order of `CHANGING`


def reported(job: Job) -> tuple[Any, ...]:
    """Its id, its progress, and the version that it has."""
    return job.id, _progress_text(job.progress), job.version

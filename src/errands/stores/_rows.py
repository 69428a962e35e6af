"""Jobs as rows, and back. Instants are stored as whole milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, overload

import msgspec

from .._job import Attempt, Job, Outcome, Progress, State
from ._database import Database

COLUMNS = (
    "id", "task", "payload", "queue", "priority", "key", "added_at", "due_at",
    "free_at", "state", "attempt", "worker", "started_at", "finished_at",
    "result", "progress", "history", "version",
)  # fmt: skip  # as they stand in a row
CHANGING = COLUMNS[8:]  # by the transitions of a job that is stored
SIZES = (64, 32, 16, 8, 4, 2, 1)  # rows of one statement: few statements, and few to prepare

STATES = {str(state): state for state in State}

UNFINISHED = "state in ('queued', 'running')"
NAMES = ", ".join(COLUMNS)
ROWS = f"json_group_array(json_array({NAMES}))"

decode = msgspec.json.Decoder().decode


def as_json(value: Collection[Any]) -> str:
    """A list as JSON text, the form in which lists are handed to SQLite."""
    return msgspec.json.encode(list(value)).decode()


@dataclass(frozen=True, slots=True)
class Write:
    """A statement that writes many rows at once.

    Attributes:
        text: The statement for so many rows.
        row: What it takes of a job.
    """

    text: Callable[[int], str]
    row: Callable[[Job], tuple[Any, ...]]


def write(db: Database, statement: Write, jobs: Sequence[Job]) -> int:
    """Write jobs, and say how many rows that changed."""
    changed, start = 0, 0
    for size in SIZES:
        while len(jobs) - start >= size:
            values: list[Any] = []
            for job in jobs[start : start + size]:
                values += statement.row(job)
            db.execute(statement.text(size), values)
            changed, start = changed + db.changes(), start + size
    return changed


def by_id(db: Database, ids: Sequence[str]) -> Iterable[Job]:
    """The jobs of these ids, in no order."""
    sql = f"select {ROWS} from errands_jobs where id in (select value from json_each(?))"
    return read(db, sql, (as_json(ids),))


def read(db: Database, sql: str, values: tuple[Any, ...]) -> Iterable[Job]:
    """The jobs that a query selects as `ROWS`."""
    return map(_as_job, decode(one(db, sql, values)))


def one(db: Database, sql: str, values: tuple[Any, ...] = ()) -> Any:
    """The value that a query selects, `None` if there is none."""
    return next(iter(many(db, sql, values)), None)


def many(db: Database, sql: str, values: tuple[Any, ...]) -> Iterable[Any]:
    """The values that a query selects, one a row."""
    return (value for (value,) in db.execute(sql, values).fetchall())


def _as_job(row: list[Any]) -> Job:
    """The job of a row of `COLUMNS`."""
    (id_, task, payload, queue, priority, key, added_at, due_at, free_at, state, attempt, worker,
     started_at, finished_at, result, progress, history, version) = row  # fmt: skip  # as above
    due = _at(due_at)
    return Job.of(
        id=id_, task=task, payload=payload, queue=queue, priority=priority, key=key,
        added_at=due if added_at == due_at else _at(added_at), due_at=due,
        free_at=due if free_at == due_at else _at(free_at), state=STATES[state],
        attempt=attempt, worker=worker, started_at=instant(started_at),
        finished_at=instant(finished_at), result=result,
        progress=Progress(*decode(progress)) if progress else None,
        history=tuple(_attempt(*entry) for entry in decode(history)) if history else (),
        version=version,
    )  # fmt: skip  # as above


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
    return Attempt(number, worker, _at(start), _at(end), Outcome(outcome), error)


@overload
def ms(instant: datetime) -> int: ...
@overload
def ms(instant: datetime | None) -> int | None: ...
def ms(instant: datetime | None) -> int | None:
    """An instant as it is stored."""
    return None if instant is None else round(instant.timestamp() * 1000)


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def instant(ms: int | None) -> datetime | None:
    """A stored instant."""
    return None if ms is None else _at(ms)


@cache
def _insert(size: int) -> str:
    return f"""
        insert into errands_jobs ({", ".join(COLUMNS)}) {_values(size, len(COLUMNS))}
        on conflict do nothing
    """


@cache
def _update(size: int) -> str:
    return f"""
        with new (id, {", ".join(CHANGING)}) as ({_values(size, 1 + len(CHANGING))})
        update or ignore errands_jobs set {", ".join(f"{name} = new.{name}" for name in CHANGING)}
        from new where errands_jobs.id = new.id and errands_jobs.version = new.version - 1
    """


@cache
def _report(size: int) -> str:
    return f"""
        with new (id, progress, version) as ({_values(size, 3)})
        update errands_jobs set progress = new.progress
        from new where errands_jobs.id = new.id and errands_jobs.version = new.version
    """


def _values(rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"values {', '.join([row] * rows)}"


def _new(job: Job) -> tuple[Any, ...]:
    added = ms(job.added_at)
    due = added if job.due_at is job.added_at else ms(job.due_at)
    return (
        job.id, job.task, job.payload, job.queue, job.priority, job.key, added, due,
        due if job.free_at is job.due_at else ms(job.free_at), job.state, job.attempt, job.worker,
        ms(job.started_at), ms(job.finished_at), job.result, _progress_text(job.progress),
        _history_text(job.history), job.version,
    )  # fmt: skip  # in the order of `COLUMNS`


def _changed(job: Job) -> tuple[Any, ...]:
    return (
        job.id, ms(job.free_at), job.state, job.attempt, job.worker, ms(job.started_at),
        ms(job.finished_at), job.result, _progress_text(job.progress),
        _history_text(job.history), job.version,
    )  # fmt: skip  # in the order of `CHANGING`


def _reported(job: Job) -> tuple[Any, ...]:
    return job.id, _progress_text(job.progress), job.version


insert = Write(_insert, _new)
update = Write(_update, _changed)
report_progress = Write(_report, _reported)

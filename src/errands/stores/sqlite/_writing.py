"""Statements that write many rows of jobs to SQLite at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..._job import Job, State
from ..._store import Claim
from .._rows import (
    CHANGING,
    COLUMNS,
    FREQUENT,
    as_json,
    changed,
    frequent,
    is_plain,
    ms,
    new,
    reported,
)
from ._database import Database

# As `Job.claimed` says, for many that were queued: in half the time that `update` takes.
START = """
update errands_jobs set state = 'running', worker = ?, started_at = ?, free_at = ?,
attempt = attempt + 1, version = version + 1, progress = null, blocked_by = null
where id in (select value from json_each(?))
"""
SIZES = (64, 32, 16, 8, 4, 2, 1)  # rows of one statement: few statements, and few to prepare


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
    written, start = 0, 0
    for size in SIZES:
        while len(jobs) - start >= size:
            values: list[Any] = []
            for job in jobs[start : start + size]:
                values += statement.row(job)
            db.execute(statement.text(size), values)
            written, start = written + db.changes(), start + size
    return written


def add(db: Database, jobs: Sequence[Job]) -> int:
    """Write jobs that are new, and say how many were."""
    are_plain = all(map(is_plain, jobs))  # nearly always, and a quarter less to write
    return write(db, insert_frequent if are_plain else insert, jobs)


def start(db: Database, call: Claim, jobs: Sequence[Job]) -> list[Job]:
    """Write jobs that were just read as claimed, and answer with them."""
    claimed = [job.claimed(call.worker, call.now, call.lease) for job in jobs]
    lost = {job.id for job in jobs if job.state is State.RUNNING}  # whose history has grown
    ids = [job.id for job in jobs if job.id not in lost]
    db.execute(START, (call.worker, ms(call.now), ms(call.now + call.lease), as_json(ids)))
    write(db, update, [job for job in claimed if job.id in lost])
    return claimed


@cache
def _insert(size: int, columns: Sequence[str] = COLUMNS) -> str:
    return f"""
        insert into errands_jobs ({", ".join(columns)}) {_values(size, len(columns))}
        on conflict do nothing
    """


def _insert_frequent(size: int) -> str:
    return _insert(size, FREQUENT)


@cache
def _update(size: int) -> str:
    """But for the end of a job that others may wait for: that is to free them."""
    is_plain = "errands_jobs.is_awaited is null or new.finished_at is null"
    return f"{_update_awaited(size)} and ({is_plain})"


@cache
def _update_awaited(size: int) -> str:
    return f"""
        with new (id, {", ".join(CHANGING)}) as ({_values(size, 1 + len(CHANGING))})
        update or ignore errands_jobs set {", ".join(f"{name} = new.{name}" for name in CHANGING)},
        is_cancelling = case
            when errands_jobs.state = 'running' or new.state <> 'queued' then is_cancelling
        end
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


insert = Write(_insert, new)
insert_frequent = Write(_insert_frequent, frequent)
update = Write(_update, changed)
update_awaited = Write(_update_awaited, changed)
report_progress = Write(_report, reported)

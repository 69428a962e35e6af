"""Rows of jobs read from SQLite: as one JSON array, since each row that is fetched costs a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..._job import Job
from .._rows import FREQUENT, RARE, as_json, decode, job_of
from ._database import Database

# What most jobs do not have is one element: a row is to be short, since each part of it costs.
ROWS = f"""
json_group_array(json_array(
    {", ".join(FREQUENT)},
    case when coalesce({", ".join(RARE)}) is not null then json_array({", ".join(RARE)}) end
))"""


def by_id(db: Database, ids: Sequence[str]) -> Iterable[Job]:
    """The jobs of these ids, in no order."""
    sql = f"select {ROWS} from errands_jobs where id in (select value from json_each(?))"
    return read(db, sql, (as_json(ids),))


def read(db: Database, sql: str, values: tuple[Any, ...]) -> Iterable[Job]:
    """The jobs that a query selects as `ROWS`."""
    return map(_job, decode(one(db, sql, values)))


def one(db: Database, sql: str, values: tuple[Any, ...] = ()) -> Any:
    """The value that a query selects, `None` if there is none."""
    return next(iter(many(db, sql, values)), None)


def many(db: Database, sql: str, values: tuple[Any, ...]) -> Iterable[Any]:
    """The values that a query selects, one a row."""
    return (value for (value,) in db.execute(sql, values).fetchall())


def _job(row: list[Any]) -> Job:
    """The job of an element of `ROWS`."""
    rare = row.pop()
    return job_of(row, rare)

"""Rows of jobs read from SQLite: as one JSON array, since each row that is fetched costs a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._job import Job
from ._database import Database
from ._rows import NAMES, as_job, as_json, decode

ROWS = f"json_group_array(json_array({NAMES}))"


def by_id(db: Database, ids: Sequence[str]) -> Iterable[Job]:
    """The jobs of these ids, in no order."""
    sql = f"select {ROWS} from errands_jobs where id in (select value from json_each(?))"
    return read(db, sql, (as_json(ids),))


def read(db: Database, sql: str, values: tuple[Any, ...]) -> Iterable[Job]:
    """The jobs that a query selects as `ROWS`."""
    return map(as_job, decode(one(db, sql, values)))


def one(db: Database, sql: str, values: tuple[Any, ...] = ()) -> Any:
    """The value that a query selects, `None` if there is none."""
    return next(iter(many(db, sql, values)), None)


def many(db: Database, sql: str, values: tuple[Any, ...]) -> Iterable[Any]:
    """The values that a query selects, one a row."""
    return (value for (value,) in db.execute(sql, values).fetchall())

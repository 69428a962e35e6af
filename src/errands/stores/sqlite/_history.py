"""The statements of the SQLite store about history: one row for each minute or hour, and task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..._history import Tally, merged
from .._rows import ms
from .._tallies import COLUMNS, NAME, key_of, row_of, tally_of
from ._database import Database

TABLE = f"""
create table if not exists {NAME} (
    step integer not null, at integer not null, queue text not null, task text not null,
    counts text not null, wait text not null, run text not null,
    primary key (step, at, queue, task)
) without rowid;
"""
NAMES = ", ".join(COLUMNS)
PUT = f"insert or replace into {NAME} ({NAMES}) values ({', '.join('?' * len(COLUMNS))})"
ONE = f"select {NAMES} from {NAME} where (step, at, queue, task) = (?, ?, ?, ?)"
SINCE = f"select {NAMES} from {NAME} where step = ? and at >= ? order by at, queue, task"


def add(db: Database, calls: list[Sequence[Tally]]) -> list[None]:
    """See `Store.add_history`."""
    for key, tally in merged(each for call in calls for each in call).items():
        there = [tally_of(row) for row in db.execute(ONE, key_of(key)).fetchall()]
        db.execute(PUT, row_of(there[0] + tally if there else tally))
    return [None] * len(calls)


def history(db: Database, calls: list[tuple[timedelta, datetime]]) -> list[list[Tally]]:
    """See `Store.history`."""
    return [
        [tally_of(row) for row in db.execute(SINCE, (step.total_seconds(), ms(since))).fetchall()]
        for step, since in calls
    ]


def prune(db: Database, calls: list[tuple[timedelta, datetime]]) -> list[int]:
    """See `Store.prune_history`."""
    answers = []
    for step, before in calls:
        sql = f"delete from {NAME} where step = ? and at < ?"
        db.execute(sql, (step.total_seconds(), ms(before)))
        answers.append(db.changes())
    return answers

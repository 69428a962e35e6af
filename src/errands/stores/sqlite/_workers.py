"""The statements of the SQLite store about workers: one row each, from its start to a day after."""

from __future__ import annotations

from datetime import datetime

from ..._heartbeat import Heartbeat
from ..._store import Claim
from .. import _beats
from .._beats import COLUMNS, heartbeat_of, row_of
from .._rows import ms
from ._database import Database

NAME = "errands_workers"
# A table of that name may be somebody else's: what it looks like is checked afterwards.
TABLE = f"""
create table if not exists {NAME} (
    worker text primary key, host text not null, pid integer not null, queues text,
    slots integer not null, running integer not null, version text not null,
    started_at integer not null, seen_at integer not null, gone_at integer, tasks text,
    processes text, log text
) without rowid;
"""
AGAIN = f"drop table {NAME}; {TABLE}"  # with more columns; who lives beats again soon
BEAT = f"""
insert or replace into {NAME} ({", ".join(COLUMNS)}) values ({", ".join("?" * len(COLUMNS))})
"""


def beat(db: Database, beats: list[Heartbeat]) -> list[None]:
    """See `Store.beat`."""
    for each in beats:
        db.execute(BEAT, row_of(each))
    return [None] * len(beats)


def workers(db: Database, calls: list[None]) -> list[list[Heartbeat]]:
    """See `Store.workers`."""
    found = _workers(db)
    return [found for _ in calls]


def served(db: Database, call: Claim) -> frozenset[str] | None:
    """The queues that somebody works for; `None` for all."""
    return None if call.queues is None else _beats.served(call, _workers(db))


def bury(db: Database, calls: list[tuple[str, datetime]]) -> list[None]:
    """Mark a worker that died, unless it had said good-bye."""
    sql = f"update {NAME} set running = 0, gone_at = ? where worker = ? and gone_at is null"
    for worker, now in calls:
        db.execute(sql, (ms(now), worker))
    return [None] * len(calls)


def prune_workers(db: Database, instants: list[datetime]) -> list[int]:
    """See `Store.prune_workers`."""
    answers = []
    for before in instants:
        db.execute(f"delete from {NAME} where coalesce(gone_at, seen_at) < ?", (ms(before),))
        answers.append(db.changes())
    return answers


def _workers(db: Database) -> list[Heartbeat]:
    sql = f"select {', '.join(COLUMNS)} from {NAME} order by started_at desc, worker desc"
    return [heartbeat_of(row) for row in db.execute(sql).fetchall()]

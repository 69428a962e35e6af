"""What the PostgreSQL store is told of history: one row for each minute or hour, and task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..._history import Tally, merged
from .._rows import as_json, ms
from .._tallies import COLUMNS, NAME, key_of, row_of, tally_of
from ._link import Session

TABLE = f"""
create table {NAME} (
    step bigint not null, at bigint not null, queue text collate "C" not null,
    task text collate "C" not null, counts text not null, wait text not null, run text not null,
    primary key (step, at, queue, task)
);
"""
NAMES = ", ".join(COLUMNS)
GIVEN = ", ".join(f"{name} {'bigint' if name in ('step', 'at') else 'text'}" for name in COLUMNS)
NEW = f"json_to_recordset(%(rows)s::json) as new ({GIVEN})"
SAME = "(h.step, h.at, h.queue, h.task) = (new.step, new.at, new.queue, new.task)"
# Who adds reads what is there, adds in Python, and writes: one process at a time.
LOCK = f"select pg_advisory_xact_lock(hashtextextended('{NAME}.' || current_schema(), 0))"
THERE = f"select {', '.join(f'h.{name}' for name in COLUMNS)} from {NAME} as h, {NEW} where {SAME}"
PUT = f"""
insert into {NAME} ({NAMES}) select {NAMES} from {NEW}
on conflict (step, at, queue, task) do update
set counts = excluded.counts, wait = excluded.wait, run = excluded.run
"""
SINCE = f"""
select {NAMES} from {NAME} where step = %(step)s and at >= %(since)s order by at, queue, task
"""
PRUNE = f"delete from {NAME} where step = %(step)s and at < %(before)s returning 1"


async def add(session: Session, calls: list[Sequence[Tally]]) -> list[None]:
    """See `Store.add_history`."""
    new = merged(each for call in calls for each in call)
    keys = [dict(zip(COLUMNS[:4], key_of(key), strict=True)) for key in new]
    async with session.transaction():
        await session.rows(LOCK)
        there = [tally_of(row) for row in await session.rows(THERE, {"rows": as_json(keys)})]
        sums = merged([*there, *new.values()]).values()
        rows = [dict(zip(COLUMNS, row_of(each), strict=True)) for each in sums]
        await session.rows(PUT, {"rows": as_json(rows)})
    return [None] * len(calls)


async def history(session: Session, calls: list[tuple[timedelta, datetime]]) -> list[list[Tally]]:
    """See `Store.history`."""
    return [
        [tally_of(row) for row in await session.rows(SINCE, _values(step, since=since))]
        for step, since in calls
    ]


async def prune(session: Session, calls: list[tuple[timedelta, datetime]]) -> list[int]:
    """See `Store.prune_history`."""
    return [len(await session.rows(PRUNE, _values(step, before=before))) for step, before in calls]


def _values(step: timedelta, **instant: datetime) -> dict[str, int]:
    return {"step": round(step.total_seconds())} | {k: ms(v) for k, v in instant.items()}

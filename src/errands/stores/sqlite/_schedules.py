"""The statements of the SQLite store about schedules: one row each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..._schedule import Schedule
from .._plans import COLUMNS, NAME, row_of, schedule_of
from .._rows import as_json, decode
from ._database import Database
from ._reading import one

# A table of that name may be somebody else's: what it looks like is checked afterwards.
TABLE = f"""
create table if not exists {NAME} (
    name text primary key, task text not null, spec text not null, payload text not null,
    declared text, is_paused integer not null, is_removed integer not null, last_tick integer,
    next_tick integer, known_at integer not null, known_by text not null,
    version integer not null
) without rowid;
"""
NEW = f"""
select {", ".join(f"value ->> {n} as {name}" for n, name in enumerate(COLUMNS))} from json_each(?)
"""
INSERT = f"insert into {NAME} {NEW} where true on conflict do nothing"
UPDATE = f"""
with new as ({NEW})
update {NAME} set {", ".join(f"{name} = new.{name}" for name in COLUMNS[1:])}
from new where {NAME}.name = new.name and {NAME}.version = new.version - 1
"""
ALL = f"""
select json_group_array(json_array({", ".join(COLUMNS)})) from (select * from {NAME} order by name)
"""


def schedules(db: Database, calls: list[None]) -> list[list[Schedule]]:
    """See `Store.schedules`."""
    found = [schedule_of(row) for row in decode(one(db, ALL))]
    return [found for _ in calls]


def put(db: Database, calls: list[Sequence[Schedule]]) -> list[set[str]]:
    """See `Store.put_schedules`."""
    changed = [schedule for schedules in calls for schedule in schedules]
    new = [row_of(schedule) for schedule in changed if schedule.version == 1]
    old = [row_of(schedule) for schedule in changed if schedule.version > 1]
    written = 0
    for rows, sql in ((new, INSERT), (old, UPDATE)):
        if rows:
            db.execute(sql, (as_json(rows),))
            written += db.changes()
    if written == len(changed):
        return [{schedule.name for schedule in schedules} for schedules in calls]
    there = {schedule.name: schedule for schedule in schedules(db, [None])[0]}
    return [{each.name for each in call if there.get(each.name) == each} for call in calls]


def remove(db: Database, calls: list[Collection[str]]) -> list[None]:
    """See `Store.remove_schedules`."""
    names = as_json([name for names in calls for name in names])
    db.execute(f"delete from {NAME} where name in (select value from json_each(?))", (names,))
    return [None] * len(calls)

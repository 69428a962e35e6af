"""The statements of the PostgreSQL store about schedules: one row each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..._schedule import Schedule
from .._plans import COLUMNS, NAME, row_of, schedule_of
from .._rows import as_json
from ._link import Session

TEXTS = ("name", "task", "spec", "payload", "declared", "known_by")
GIVEN = ", ".join(f"{name} {'text' if name in TEXTS else 'bigint'}" for name in COLUMNS)
NEW = f"json_to_recordset(%(rows)s::json) as new ({GIVEN})"
NAMES = ", ".join(COLUMNS)
INSERT = f"""
insert into {NAME} ({NAMES}) select {NAMES} from {NEW} where version = 1 order by name
on conflict do nothing returning name
"""
# in the order of their names, so that two who write the same ones do not wait for each other
UPDATE = f"""
with held as materialized (
    select s.name from {NAME} as s join {NEW} on s.name = new.name and s.version = new.version - 1
    order by s.name for update of s
)
update {NAME} as s set {", ".join(f"{name} = new.{name}" for name in COLUMNS[1:])}
from held, {NEW}
where s.name = held.name and s.name = new.name and s.version = new.version - 1 returning s.name
"""
ALL = f"select {NAMES} from {NAME} order by name"
REMOVE = f"delete from {NAME} where name = any(%(names)s::text[]) returning name"


async def schedules(session: Session, calls: list[None]) -> list[list[Schedule]]:
    """See `Store.schedules`."""
    found = [schedule_of(row) for row in await session.rows(ALL)]
    return [found for _ in calls]


async def put(session: Session, calls: list[Sequence[Schedule]]) -> list[set[str]]:
    """See `Store.put_schedules`."""
    changed = [schedule for call in calls for schedule in call]
    rows = as_json([dict(zip(COLUMNS, row_of(each), strict=True)) for each in changed])
    written = 0
    for is_new, statement in ((True, INSERT), (False, UPDATE)):
        if any((each.version == 1) is is_new for each in changed):
            written += len(await session.rows(statement, {"rows": rows}))
    if written == len(changed):
        return [{schedule.name for schedule in call} for call in calls]
    [found] = await schedules(session, [None])
    there = {schedule.name: schedule for schedule in found}
    return [{each.name for each in call if there.get(each.name) == each} for call in calls]


async def remove(session: Session, calls: list[Collection[str]]) -> list[None]:
    """See `Store.remove_schedules`."""
    await session.rows(REMOVE, {"names": [name for names in calls for name in names]})
    return [None] * len(calls)

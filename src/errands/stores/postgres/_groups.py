"""How far each group is, in the PostgreSQL store: counted in an index that has all it takes."""

from __future__ import annotations

from typing import Any

from ..._group import Group
from .._rows import group_of
from ._link import PLAIN_PLANS, Session, apply

TABLE = """
create index errands_group on errands_jobs (group_name, state, started_at, finished_at)
where group_name is not null;
"""
COUNT = """
select state, count(*), min(started_at), max(finished_at) from errands_jobs
where group_name = %(name)s group by state
"""


# One step for each group, however many jobs it has.
NAMES = """
with recursive given (name) as (
    (select group_name from errands_jobs where {} order by group_name desc limit 1)
    union all
    select (
        select j.group_name from errands_jobs as j where j.group_name < given.name
        order by j.group_name desc limit 1
    ) from given where given.name is not null
)
select name from given where name is not null limit %(limit)s
"""


async def group(session: Session, names: list[str]) -> list[Group]:
    """See `Store.group`."""
    async with session.transaction():
        # or the planner, which has not looked at the table yet, reads all of its rows
        await apply(session.connection, PLAIN_PLANS, is_local=True)
        return [group_of(name, await session.rows(COUNT, {"name": name})) for name in names]


async def groups(session: Session, calls: list[tuple[str | None, int]]) -> list[list[str]]:
    """See `Store.groups`."""
    async with session.transaction():
        await apply(session.connection, PLAIN_PLANS, is_local=True)  # as above
        return [await _names(session, before, limit) for before, limit in calls]


async def _names(session: Session, before: str | None, limit: int) -> list[str]:
    values: dict[str, Any] = {"limit": limit}
    if before is None:
        where = "group_name is not null"
    else:
        where, values["before"] = "group_name < %(before)s", _without_nul(before)
    return [name for (name,) in await session.rows(NAMES.format(where), values)]


def _without_nul(name: str) -> str:
    """What the same names sort below: none that is stored has a NUL."""
    known, nul, _ = name.partition("\0")
    return f"{known}\1" if nul else known

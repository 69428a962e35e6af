"""How far each group is, in the PostgreSQL store: counted in an index that has all it takes."""

from __future__ import annotations

from .._group import Group
from ._pg_link import PLAIN_PLANS, Session, apply
from ._rows import group_of

TABLE = """
create index errands_group on errands_jobs (group_name, state, started_at, finished_at)
where group_name is not null;
"""
COUNT = """
select state, count(*), min(started_at), max(finished_at) from errands_jobs
where group_name = %(name)s group by state
"""


async def group(session: Session, names: list[str]) -> list[Group]:
    """See `Store.group`."""
    async with session.transaction():
        # or the planner, which has not looked at the table yet, reads all of its rows
        await apply(session.connection, PLAIN_PLANS, is_local=True)
        return [group_of(name, await session.rows(COUNT, {"name": name})) for name in names]

"""How far each group is, in the SQLite store: counted in an index that has all it takes."""

from __future__ import annotations

from ..._group import Group
from .._rows import decode, group_of
from ._database import Database
from ._reading import one

TABLE = """
create index errands_group on errands_jobs (group_name, state, started_at, finished_at)
where group_name is not null;
"""
COUNT = """
select state, count(*), min(started_at), max(finished_at) from errands_jobs
where group_name = ? group by state
"""


# One step for each group, however many jobs it has.
NAMES = """
with recursive given (name) as (
    select max(group_name) from errands_jobs where {}
    union all
    select (select max(group_name) from errands_jobs where group_name < given.name)
    from given where given.name is not null limit ?
)
select json_group_array(name) from (select name from given where name is not null order by 1 desc)
"""


def group(db: Database, names: list[str]) -> list[Group]:
    """See `Store.group`."""
    return [group_of(name, db.execute(COUNT, (name,))) for name in names]


def groups(db: Database, calls: list[tuple[str | None, int]]) -> list[list[str]]:
    """See `Store.groups`."""
    return [_names(db, before, limit) for before, limit in calls]


def _names(db: Database, before: str | None, limit: int) -> list[str]:
    if before is None:
        found = one(db, NAMES.format("group_name is not null"), (limit,))
    else:
        found = one(db, NAMES.format("group_name < ?"), (before, limit))
    return list(decode(found))

"""How the PostgreSQL store finds jobs: newest first, by an index in which few others stand.

The planner takes what is looked for as evenly spread over all ids, and walks through these from
the newest on until it has enough. Where few match, it passes by all others on its way.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ..._job import Job, State
from ..._query import Query
from .._rows import NAMES, UNFINISHED, as_job
from ._link import PLAIN_PLANS, Row, Session, apply

BADLY = {State.FAILED, State.CANCELLED}
WORKING = {State.QUEUED, State.RUNNING}
WAITING = 2_000  # unfinished jobs from which on they are looked for in the order of all ids
CROWD = 20_000  # jobs of a group, as above
SOME = "select count(*) from (select 1 from errands_jobs where {} limit %(most)s) as found"
# What is `materialized` is found by itself, without a thought of the order.
FIND_FEW = f"""
with few as materialized (select id from errands_jobs where {{}})
select {NAMES} from errands_jobs
where id in (select id from few order by id desc limit %(limit)s offset %(offset)s)
order by id desc
"""
FIND = f"select {NAMES} from errands_jobs where {{}} order by id desc limit %(limit)s"
FIND_FAR = f"""
select {NAMES} from errands_jobs where id in (
    select id from errands_jobs where {{}} order by id desc limit %(limit)s offset %(offset)s
) order by id desc
"""  # those that are left out are not read, but for their ids


async def find(session: Session, queries: list[Query]) -> list[list[Job]]:
    """See `Store.find`."""
    async with session.transaction():
        # or the planner, which has not looked at the table yet, sorts half of it
        await apply(session.connection, PLAIN_PLANS, is_local=True)
        return [await _find(session, query) for query in queries]


async def _find(session: Session, query: Query) -> list[Job]:
    """Those that failed or were cancelled are looked for by state: there are few, as a rule."""
    if set(query.states) != BADLY:
        return [as_job(row) for row in await _found(session, query)]
    most = query.offset + query.limit
    parts = [replace(query, states=[state], limit=most, offset=0) for state in BADLY]
    found = [as_job(row) for part in parts for row in await _found(session, part)]
    return sorted(found, key=lambda job: job.id, reverse=True)[query.offset : most]


async def _found(session: Session, query: Query) -> list[Row]:
    where, values = _conditions(query)
    values |= {"limit": query.limit, "offset": query.offset}
    known = await _rarity(session, query)
    if known is None:
        find = FIND_FAR if query.offset else FIND
        return await session.rows(find.format(" and ".join(where)), values)
    return await session.rows(FIND_FEW.format(" and ".join([known, *where])), values)


async def _rarity(session: Session, query: Query) -> str | None:
    """What few jobs have that match, in the words of an index; `None` if nothing they share."""
    if query.group is not None:
        of_group = "group_name = %(group)s"
        return of_group if await _are_fewer(session, CROWD, of_group, group=query.group) else None
    states = set(query.states)
    if not states or not states <= WORKING:
        return None
    if query.key is not None:
        return f"key is not null and {UNFINISHED}"
    if states == {State.RUNNING}:
        return "state = 'running'"
    return UNFINISHED if await _are_fewer(session, WAITING, UNFINISHED) else None


async def _are_fewer(session: Session, most: int, where: str, **values: Any) -> bool:
    [[number]] = await session.rows(SOME.format(where), {**values, "most": most})
    return bool(number < most)


def _conditions(query: Query) -> tuple[list[str], dict[str, Any]]:
    where, values = ["true"], dict[str, Any]()
    states = set(query.states)
    if len(states) == 1 and states <= BADLY | WORKING:
        # in the words of an index, so that it is known to have them; of those that are done only
        # the one of `prune` knows, whose order is another
        where.append(f"state = '{State(min(query.states))}'")
    elif query.states:
        where.append("state = any(%(states)s::text[])")
        values["states"] = _texts(query.states)
    if query.text is not None:
        where.append("(strpos(payload, %(text)s) > 0 or strpos(history, %(text)s) > 0)")
        values["text"] = query.text
    for clause, name, value in (
        ("queue = %(queue)s", "queue", query.queue),
        ("task = %(task)s", "task", query.task),
        ("key = %(key)s", "key", query.key),
        ("group_name = %(group)s", "group", query.group),
        ("id >= %(first)s", "first", query.first),
        ("id < %(end)s", "end", query.end),
    ):
        if value is not None:
            where.append(clause)
            values[name] = value
    return where, values


def _texts(states: Collection[State]) -> list[str]:
    return [str(state) for state in states]

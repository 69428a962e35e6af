"""Who waits for whom, in the PostgreSQL store: kept beside the jobs, in the same transactions.

Two who meet must not miss each other. Who begins to wait locks the parents and marks them, so
that their ends see the mark; an end looks for children in a statement of its own, after it has
the job, and locks them, so that of two ends the later one sees the earlier. Parents are locked
before their children, and each of them in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..._job import WAITING, Job, State
from .._rows import STATES, as_json, ms
from .._waits import Pair, pairs_of, parents_of, refusal_of_circle
from ._link import PLAIN_PLANS, Session, apply

TABLE = """
create table errands_waits (
    parent text collate "C" not null, child text collate "C" not null, is_over boolean not null,
    primary key (parent, child)
);
create index errands_waits_child on errands_waits (child, is_over);
alter table errands_jobs add column is_awaited boolean;
"""
GIVEN = "any(%(ids)s::text[])"
STATES_OF = f"select id, state from errands_jobs where id = {GIVEN}"
CHILDREN_OF = """
select w.child, j.state from errands_waits as w join errands_jobs as j on j.id = w.child
where w.parent = %(id)s and w.child > %(after)s order by w.child limit %(limit)s
"""
LOCK = f"{STATES_OF} order by id for no key update"
END = f"update errands_waits set is_over = true where parent = {GIVEN} returning child"
FREE = f"""
update errands_jobs as j set
    blocked_by = null, free_at = greatest(j.due_at, %(now)s::bigint), version = j.version + 1
where j.id = {GIVEN} and j.blocked_by = '{WAITING}'
and not exists (select 1 from errands_waits as w where w.child = j.id and not w.is_over)
returning j.id
"""
REMEMBER = """
insert into errands_waits (parent, child, is_over)
select parent, child, is_over
from json_to_recordset(%(pairs)s::json) as new (parent text, child text, is_over boolean)
"""
MARK = f"""
update errands_jobs as j set is_awaited = true where j.id = {GIVEN} and j.is_awaited is null
and exists (select 1 from errands_waits as w where w.parent = j.id)
"""
FORGET = f"delete from errands_waits where {{}} = {GIVEN}"
CIRCLE = """
with recursive above (id) as (
    select unnest(%(parents)s::text[]) collate "C"
    union select w.parent from above join errands_waits as w on w.child = above.id
)
select 1 from above where id = %(id)s limit 1
"""


async def states(session: Session, calls: list[Sequence[str]]) -> list[Mapping[str, State]]:
    """See `Store.states`."""
    return [await _states(session, STATES_OF, ids) for ids in calls]


async def children(
    session: Session, calls: list[tuple[str, str | None, int]]
) -> list[Mapping[str, State]]:
    """See `Store.children`."""
    answers = list[Mapping[str, State]]()
    async with session.transaction():
        # or the planner, which has not looked at the tables yet, reads all of their rows
        await apply(session.connection, PLAIN_PLANS, is_local=True)
        for job_id, after, limit in calls:
            values = {"id": job_id, "after": after or "", "limit": limit}
            rows = await session.rows(CHILDREN_OF, values)
            answers.append({child: STATES[state] for child, state in rows})
    return answers


async def locked(session: Session, ids: Sequence[str]) -> dict[str, State]:
    """The states of jobs, which nobody else changes before the transaction ends."""
    return await _states(session, LOCK, ids) if ids else {}


async def end(session: Session, jobs: Iterable[Job]) -> bool:
    """Let nobody wait for these jobs any longer, and say whether that frees others."""
    ended = list(jobs)
    rows = await session.rows(END, {"ids": [job.id for job in ended]}) if ended else []
    last = max((ms(job.finished_at) or 0 for job in ended), default=0)
    return await _free(session, {child for (child,) in rows}, last)


async def keep_back(session: Session, jobs: Sequence[Job]) -> bool:
    """Have stored jobs wait once more, and say whether one of them has nobody to wait for."""
    await keep(session, jobs, await locked(session, parents_of(jobs)))
    return await _free(session, [job.id for job in jobs], 0)


async def keep(session: Session, jobs: Sequence[Job], known: Mapping[str, State]) -> None:
    """Remember whom stored jobs wait for, instead of what was remembered of them.

    Args:
        known: The states of all their parents.
    """
    if not jobs:
        return
    await session.tell(FORGET.format("child"), {"ids": [job.id for job in jobs]})
    await session.tell(REMEMBER, {"pairs": as_json([_row(pair) for pair in pairs_of(jobs, known)])})
    await session.tell(MARK, {"ids": parents_of(jobs)})


async def require_no_circle(session: Session, jobs: Iterable[Job]) -> None:
    """Refuse jobs that would wait for themselves, by way of jobs that are stored.

    Raises:
        ValueError: naming the one.
    """
    for job in jobs:
        if await session.rows(CIRCLE, {"parents": list(job.waits_for), "id": job.id}):
            raise refusal_of_circle(job)


async def unbind(session: Session, job_id: str) -> None:
    """Drop whom a job waits for."""
    await session.tell(FORGET.format("child"), {"ids": [job_id]})


async def forget(session: Session, ids: Collection[str]) -> None:
    """Drop what is remembered of jobs that are no longer there."""
    await session.tell(FORGET.format("parent"), {"ids": list(ids)})


async def _states(session: Session, sql: str, ids: Sequence[str]) -> dict[str, State]:
    rows = await session.rows(sql, {"ids": list(ids)})
    return {job_id: STATES[state] for job_id, state in rows}


async def _free(session: Session, ids: Collection[str], now: int) -> bool:
    if not ids:
        return False
    which = sorted(ids)
    await locked(session, which)
    return bool(await session.rows(FREE, {"ids": which, "now": now}))


def _row(pair: Pair) -> Mapping[str, str | bool]:
    parent, child, is_over = pair
    return {"parent": parent, "child": child, "is_over": is_over}

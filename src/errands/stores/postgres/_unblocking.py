"""Limits looked at, in the PostgreSQL store: which are in use, and who is kept back without need.

Locks are taken as in `_limits`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..._job import WAITING
from ..._limit import LimitUse, is_limited
from ..._quota import Quota
from ..._store import Claim
from .._rows import NAMES, as_job, as_json
from . import _workers
from ._limits import FIRST, FREE, PORTION, free, learn
from ._link import PLAIN_PLANS, Row, Session, apply

KEYS = 200  # limits that are looked at when somebody asks who is kept back without need

# Of the first that a key keeps back those that nobody would start: they are paused, or nobody
# works for their queue. Until that is over they are in the way of the others.
FREE_RESTING = f"""
update errands_jobs as j set free_at = j.due_at, blocked_by = null from (
    select first.id from unnest(%(keys)s::text[]) as given (blocker) cross join lateral (
        select b.id from errands_jobs as b where {FIRST.format("given.blocker")}
        limit {PORTION} for update skip locked
    ) as first
) as front
where j.id = front.id and (j.queue in (select name from errands_orders where kind = 'queue')
                           or j.task in (select name from errands_orders where kind = 'task')
                           or j.queue <> all(%(served)s::text[]))
returning j.id
"""
ARE_PAUSED = "select exists (select 1 from errands_orders where kind in ('queue', 'task'))"
ANY = "select exists (select 1 from errands_jobs where blocked_by > %(after)s)"
NEXT_KEYS = f"""
with recursive given (blocker) as (
    (select min(blocked_by) from errands_jobs where blocked_by > %(after)s)
    union all
    select (select min(blocked_by) from errands_jobs where blocked_by > given.blocker)
    from given where given.blocker is not null
)
select blocker from given where blocker is not null limit {KEYS}
"""
RUNNING_BY = """
select concurrency_key, min(task), count(*) from errands_jobs
where concurrency_key is not null and state = 'running' group by concurrency_key
"""
BLOCKED_BY = """
select given.blocker,
(select b.task from errands_jobs as b where b.blocked_by = given.blocker limit 1),
(select count(*) from (
    select from errands_jobs as b where b.blocked_by = given.blocker limit %(most)s::bigint
 ) as counted)
from unnest(%(keys)s::text[]) as given (blocker)
"""
FIRST_ROWS = f"""
select given.blocker, first.* from unnest(%(keys)s::text[]) as given (blocker) cross join lateral (
    select {NAMES} from errands_jobs as b where {FIRST.format("given.blocker")} limit 1
) as first
"""


async def in_use(session: Session, calls: list[tuple[int, int]]) -> list[list[LimitUse]]:
    """See `Store.limits_in_use`."""
    async with session.transaction():
        await apply(session.connection, PLAIN_PLANS, is_local=True)  # as for groups
        return [await _in_use(session, limit, most) for limit, most in calls]


async def unblock(session: Session, calls: list[tuple[Claim, str]]) -> list[tuple[int, str]]:
    """Free what is kept back without need, by some of the keys after the one that is given.

    Answers with how many were freed, and the last of those keys; with `WAITING` after the last
    of all.
    """
    return [await _unblock(session, call, after) for call, after in calls]


async def _in_use(session: Session, limit: int, most: int) -> list[LimitUse]:
    running = {key: (task, number) for key, task, number in await session.rows(RUNNING_BY)}
    blocked, last = set[str](), WAITING
    while len(blocked) < limit and (rows := await session.rows(NEXT_KEYS, {"after": last})):
        blocked |= {key for (key,) in rows}
        last = max(blocked)
    keys = sorted(running.keys() | blocked)[:limit]
    kept_back = await session.rows(BLOCKED_BY, {"keys": keys, "most": most})
    uses = []
    for key, its, number in kept_back:
        task, runs = running.get(key, (its, 0))
        if task is not None:  # or its last job has gone meanwhile
            uses.append(LimitUse(key=key, task=task, running=runs, blocked=number))
    return sorted(uses, key=lambda use: use.key)


async def _unblock(session: Session, call: Claim, after: str) -> tuple[int, str]:
    if not (await session.rows(ANY, {"after": WAITING}))[0][0]:
        return 0, WAITING
    keys = [key for (key,) in await session.rows(NEXT_KEYS, {"after": after})]
    firsts = [(key, as_job(row)) for key, *row in await _firsts(session, keys)]
    mine = [(key, job) for key, job in firsts if job.task in call.tasks]
    gone = [(key, PORTION) for key, job in mine if not is_limited(job, key, call.limits)]
    quota, freed = Quota(call.limits, call.now, call.watch), 0
    async with session.quickly():
        limited = [job for key, job in mine if is_limited(job, key, call.limits)]
        kept_back = await learn(session, quota, limited)
        freed += await _free_resting(session, call, {k for k in kept_back if quota.left(k) > 0})
        freed += await free(session, quota, kept_back, PORTION)
        if gone:
            freed += len(await session.rows(FREE, {"rows": as_json(gone)}))
    return freed, max(keys) if len(keys) == KEYS else WAITING


async def _free_resting(session: Session, call: Claim, keys: Collection[str]) -> int:
    queues = await _workers.served(session, call) if keys else None
    if not keys or (queues is None and not (await session.rows(ARE_PAUSED))[0][0]):
        return 0
    served = None if queues is None else sorted(queues)
    return len(await session.rows(FREE_RESTING, {"keys": sorted(keys), "served": served}))


async def _firsts(session: Session, keys: Sequence[str]) -> list[Row]:
    """Each key that keeps jobs back, with the first of them."""
    return await session.rows(FIRST_ROWS, {"keys": list(keys)}) if keys else []

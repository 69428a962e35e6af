"""Limits in the PostgreSQL store: who has quota, and who is kept back.

A job without room leaves the part of the index that claims read: it is blocked, and free at
`NEVER`. Who counts the jobs of a key, or lets one go, holds the lock of that key until the end
of its transaction, and counts in a statement after that, which sees all that others committed.
Locks are taken in the order of the keys, and nobody who has one waits for a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import psycopg

from ..._job import NEVER, Job, State
from ..._quota import Bucket, Quota
from ..._store import Claim
from .. import _rates
from .._rows import CHANGING, UNFINISHED, as_job, as_json, changed, ms
from .._waits import Saved
from . import _sql
from ._link import Session
from ._statements import CLAIM_THESE, CLAIM_WITHIN, UPDATE, ids_of, wanted

PORTION = 2000  # jobs that are looked at together
MOST = 10_000  # jobs that one claim blocks; the next one goes on


FIRST = "b.blocked_by = {} order by b.priority desc, b.due_at, b.id"
LOCK = """
select count(pg_advisory_xact_lock(hashtextextended('errands.limit:' || key, 0)))
from unnest(%(keys)s::text[]) as given (key)
"""
# What is known of keys: how many of their jobs run, and whether others are kept back.
COUNTED = """
select given.key_name,
(select count(*) from errands_jobs as j
 where j.concurrency_key = given.key_name and j.state = 'running'),
exists (select 1 from errands_jobs as b where b.blocked_by = given.key_name)
from unnest(%(keys)s::text[]) as given (key_name)
"""
TAKEN = f"select key, taken from {_rates.NAME} where key = any(%(keys)s::text[])"
SPEND = f"""
insert into {_rates.NAME} select value ->> 0, value ->> 1, (value ->> 2)::bigint
from json_array_elements(%(rows)s::json)
on conflict (key) do update set taken = excluded.taken, over = excluded.over
"""
FORGET = f"delete from {_rates.NAME} where over < %(before)s"
BLOCK = f"""
update errands_jobs as j set free_at = {ms(NEVER)}, blocked_by = value ->> 1
from json_array_elements(%(rows)s::json) where j.id = value ->> 0 and j.state = 'queued'
"""
# All that is due in one place, or a portion of it, and has one of these keys.
BLOCK_ALL = f"""
update errands_jobs as j set free_at = {ms(NEVER)}, blocked_by = first.by from (
    select d.id, case when d.concurrency_key = any(%(keys)s::text[]) then d.concurrency_key
                 else d.rate_key end as by
    from errands_jobs as d where d.id = any(array(
        select due.id from (
            select id, state, concurrency_key, rate_key from errands_jobs where {UNFINISHED}
            and (queue, task, priority) = (%(queue)s, %(task)s, %(priority)s::bigint)
            and free_at <= %(now)s order by free_at, id limit {PORTION}
        ) as due
        where due.state = 'queued' and (due.concurrency_key = any(%(keys)s::text[])
                                        or due.rate_key = any(%(keys)s::text[]))
    )) and d.state = 'queued' and d.free_at <= %(now)s for update skip locked
) as first where j.id = first.id returning j.id
"""
FREE = f"""
update errands_jobs as j set free_at = j.due_at, blocked_by = null from (
    select first.id from json_array_elements(%(rows)s::json) cross join lateral (
        select b.id from errands_jobs as b where {FIRST.format("value ->> 0")}
        limit (value ->> 1)::bigint for update skip locked
    ) as first
) as freed where j.id = freed.id returning j.id
"""
REMIND = f"""
update errands_jobs as j set free_at = first.again from (
    select (select b.id from errands_jobs as b where {FIRST.format("value ->> 0")} limit 1
            for update skip locked) as id, (value ->> 1)::bigint as again
    from json_array_elements(%(rows)s::json)
) as first where j.id = first.id and j.free_at <> first.again
"""


async def claim(session: Session, calls: list[Claim]) -> list[list[Job]]:
    """As `_sql.claim`: take the jobs that have room, block those that have none."""
    return [await _claim(session, call) for call in calls]


async def save(session: Session, calls: list[Sequence[Job]]) -> list[Saved]:
    """As `_sql.save`; each job that does not run any more gives its place to another.

    Raises:
        UniqueViolation: as that does.
    """
    left = _left([job for jobs in calls for job in jobs])
    if not left:
        return await _sql.save(session, calls)
    async with session.quickly():
        answers = await _sql.save(session, calls)
        freed = await _pass_on(session, left)
        return [Saved.of(saved, frees=saved.frees or freed > 0) for saved in answers]


async def remove(session: Session, calls: list[Sequence[Job]]) -> list[Saved]:
    """As `_sql.remove`, and as `save`."""
    every = [job.unclaimed() for jobs in calls for job in jobs]
    if not _left(every):
        return await _sql.remove(session, calls)
    async with session.quickly():
        answers = await _sql.remove(session, calls)
        gone = set[str]().union(*answers)
        freed = await _pass_on(session, _left([job for job in every if job.id in gone]))
        return [Saved.of(removed, frees=removed.frees or freed > 0) for removed in answers]


async def forget(session: Session, calls: list[datetime]) -> list[None]:
    """Forget the buckets that were full again by then."""
    await session.rows(FORGET, {"before": ms(max(calls))})
    return [None] * len(calls)


async def learn(session: Session, quota: Quota, jobs: Sequence[Job]) -> set[str]:
    """Lock and count the keys of these jobs, and answer with those that keep back others."""
    quota.look_at(jobs)
    at_once, rates = quota.unknown
    keys = {"keys": sorted(at_once + rates)}
    if not keys["keys"]:
        return set()
    await session.tell(LOCK, keys)
    counted = await session.rows(COUNTED, keys)
    taken = _rates.taken_of(await session.rows(TAKEN, {"keys": rates})) if rates else {}
    quota.learn({key: number for key, number, _ in counted}, taken)
    return {key for key, _, has_blocked in counted if has_blocked}


async def free(session: Session, quota: Quota, kept_back: set[str], most: int) -> int:
    """Free jobs that are kept back by keys with room; remind of a token that comes back later.

    Args:
        kept_back: The keys that keep back any.
        most: How many of each key.
    """
    keys = sorted(kept_back)
    free = [(key, min(left, most)) for key in keys if (left := quota.left(key)) > 0]
    full = [key for key in keys if quota.left(key) <= 0]
    remind = [(key, again) for key in full if (again := quota.next(key)) is not None]
    if remind:
        await session.tell(REMIND, {"rows": as_json(remind)})
    return len(await session.rows(FREE, {"rows": as_json(free)})) if free else 0


async def _claim(session: Session, call: Claim) -> list[Job]:
    claimed, blocked, is_all = list[Job](), 0, False
    while (left := call.limit - len(claimed)) and blocked < MOST and not is_all:
        try:
            async with session.quickly():
                taken, refused, quota, kept_back = await _round(session, call, left)
                blocked += await _block(session, call, refused)
                is_all = not refused and len(taken) < left
                kept_back |= {by for _, by in refused}
                freed = await free(session, quota, kept_back, left - len(taken) or 1)
                is_all = is_all and not freed
        except psycopg.Error:
            if claimed:  # by rounds that are committed: nobody else would start these
                break
            raise
        claimed += taken
    return claimed


async def _round(
    session: Session, call: Claim, limit: int
) -> tuple[list[Job], list[tuple[Job, str]], Quota, set[str]]:
    """The jobs that were claimed; those that have no room, with the key that says so; the keys.

    The last are those keys that keep back jobs already.
    """
    values = wanted(call) | {"worker": call.worker, "until": ms(call.now + call.lease)}
    rows = await session.rows(CLAIM_WITHIN, values | {"limit": limit})
    order = {row[0]: (-row[4], row[-2], row[0]) for row in rows}
    claimed = [as_job(row[:-2]) for row in rows if row[-1]]
    bound = sorted((as_job(row[:-2]) for row in rows if not row[-1]), key=lambda j: order[j.id])
    quota = Quota(call.limits, call.now, call.watch)
    refused, taken = list[tuple[Job, str]](), list[Job]()
    kept_back = await learn(session, quota, bound)
    for job in bound:
        by = quota.take(job)
        if by is None:
            taken.append(job.claimed(call.worker, call.now, call.lease))
        else:
            refused.append((job, by))
    if taken:  # their rows are locked, so that nobody is in the way
        await session.tell(CLAIM_THESE, values | {"ids": sorted(job.id for job in taken)})
    if spent := quota.spent:
        await _spend(session, spent)
    return sorted(claimed + taken, key=lambda job: order[job.id]), refused, quota, kept_back


async def _block(session: Session, call: Claim, refused: Sequence[tuple[Job, str]]) -> int:
    if not refused:
        return 0
    lost = [job.recovered(call.now) for job, _ in refused if job.state is State.RUNNING]
    if lost:
        await _update(session, lost)
    await session.tell(BLOCK, {"rows": as_json([(job.id, by) for job, by in refused])})
    number, keys = len(refused), sorted({by for _, by in refused})
    for queue, task, priority in sorted({(j.queue, j.task, j.priority) for j, _ in refused}):
        place = {"queue": queue, "task": task, "priority": priority, "now": ms(call.now)}
        number += len(await session.rows(BLOCK_ALL, place | {"keys": keys}))
    return number


async def _pass_on(session: Session, left: Mapping[str, int]) -> int:
    """Free as many jobs of each key as have left it."""
    await session.tell(LOCK, {"keys": sorted(left)})
    return len(await session.rows(FREE, {"rows": as_json(sorted(left.items()))}))


async def _update(session: Session, jobs: Sequence[Job]) -> None:
    rows = map(changed, sorted(jobs, key=lambda job: job.id))
    written = await ids_of(session, UPDATE, ("id", *CHANGING), rows)
    assert len(written) == len(jobs), "their rows are locked"


async def _spend(session: Session, spent: Mapping[str, Bucket]) -> None:
    await session.tell(SPEND, {"rows": _rates.rows_of(spent)})


def _left(jobs: Sequence[Job]) -> Counter[str]:
    return Counter(
        job.concurrency_key
        for job in jobs
        if job.concurrency_key and job.state is not State.RUNNING
    )

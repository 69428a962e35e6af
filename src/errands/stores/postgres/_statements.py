"""The statements of the PostgreSQL store.

Rows go in as one JSON array, which the server takes apart twice as fast as the driver can put
arrays of it together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from ..._job import HISTORY, LOST, NEVER, Job, Outcome
from ..._store import Claim
from .._rows import CHANGING, COLUMNS, FINISHED, FREQUENT, NAMES, UNFINISHED, as_job, as_json, ms
from ._link import Session

SETTLING = 10.0  # seconds that workers have to come back, after a server was away

NUMBERS = {
    "priority", "runs_anyway", "is_cancelling", "added_at", "due_at", "free_at", "attempt",
    "started_at", "finished_at", "version",
}  # fmt: skip  # a set


def given(columns: Sequence[str]) -> str:
    """Rows of a JSON array, as a table to select from."""
    typed = (f"{name} {'bigint' if name in NUMBERS else 'text'}" for name in columns)
    return f"json_to_recordset(%(jobs)s::json) as new ({', '.join(typed)})"


JOB = ", ".join(f"j.{name}" for name in COLUMNS)
INSERT, INSERT_FREQUENT = (
    f"""
    insert into errands_jobs ({", ".join(columns)}) select {", ".join(columns)}
    from {given(columns)} on conflict do nothing returning id
    """
    for columns in (COLUMNS, FREQUENT)
)
# The server tells it once, however many rows there are, and nothing if there are none.
AND_TELL = ", pg_notify(%(channel)s, %(name)s)"
UPDATE_AWAITED = f"""
update errands_jobs as j set {", ".join(f"{name} = new.{name}" for name in CHANGING)},
is_cancelling = case when j.state = 'running' or new.state <> 'queued' then j.is_cancelling end
from {given(("id", *CHANGING))}
where j.id = new.id and j.version = new.version - 1 {{}} returning j.id
"""
# But for the end of a job that others may wait for: that is to free them, in one transaction.
UPDATE = UPDATE_AWAITED.format("and (j.is_awaited is null or new.finished_at is null)")
UPDATE_AWAITED = UPDATE_AWAITED.format("")
REPLACE = f"""
update errands_jobs as j set {", ".join(f"{name} = new.{name}" for name in COLUMNS)}
from {given(COLUMNS)} where j.id = new.id returning j.id
"""
REPORT = f"""
update errands_jobs as j set progress = new.progress
from {given(("id", "progress", "version"))} where j.id = new.id and j.version = new.version
"""
REMOVE = f"""
delete from errands_jobs as j using {given(("id", "version"))}
where j.id = new.id and j.version = new.version returning j.id
"""
HELD = "state = 'running' and worker = %(worker)s"
# A row that is locked is being written by somebody: by a task that finishes its job in its own
# transaction, mostly. It is held for now, and nobody waits for it.
EXTEND = f"""
with held as materialized (
    select id from errands_jobs where {HELD} and id = any(%(ids)s::text[])
), idle as materialized (
    select id from errands_jobs where {HELD} and id = any(%(ids)s::text[])
    for update skip locked
), extended as (
    update errands_jobs as j set free_at = %(until)s from idle where j.id = idle.id
)
select id from held
"""
BY_ID = f"select {NAMES} from errands_jobs where id = any(%(ids)s::text[])"
BY_KEY = f"select {NAMES} from errands_jobs where key = %(key)s and {UNFINISHED}"

# Every queue, task and priority that has a job, with the first of its jobs, found by skipping
# through the index. The entries of jobs that have ended stand before that one until vacuum has come
# by: whatever looks at a place begins there, so that they are passed by once.
AWAKE = """
queue not in (select name from errands_orders where kind = 'queue')
and task not in (select name from errands_orders where kind = 'task')
"""
FIRST = "queue, task, priority, free_at, id"  # as the index has them
ALL_PLACES = f"""
place (queue, task, priority, since, after) as (
    (select {FIRST} from errands_jobs where {UNFINISHED} order by {FIRST} limit 1)
    union all
    select later.* from place cross join lateral (
        select {FIRST} from errands_jobs as j where {UNFINISHED}
        and (j.queue, j.task, j.priority) > (place.queue, place.task, place.priority)
        order by {FIRST} limit 1
    ) as later
)"""
EVERYWHERE = f"""
with recursive {ALL_PLACES}, start as (select * from place)"""
# The places that a `Trail` tells, and where to begin there.
KNOWN = """
with start as (
    select * from json_to_recordset(%(known)s::json)
    as known (queue text, task text, priority bigint, since bigint, after text)
)"""
WANTED = f"""
wanted as materialized (
    select * from start where task = any(%(tasks)s::text[])
    and (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
    and {AWAKE}
)"""
AT_PLACE = (
    f"{UNFINISHED} and (j.queue, j.task, j.priority) = ({{0}}.queue, {{0}}.task, {{0}}.priority)"
)
DUE = (
    f"{AT_PLACE} and j.free_at <= %(now)s::bigint and (j.free_at, j.id) >= ({{0}}.since, "
    f"{{0}}.after) order by j.free_at, j.id"
)
# First look which places have the best jobs, then lock as many of each, passing over those
# that somebody else just claims: no more are locked than are taken, and nobody comes back empty
# who sees the same best jobs as another.
TAKE = f"""
{WANTED}, best as (
    select at_level.* from (select distinct priority from wanted order by priority desc) as level
    cross join lateral (
        select wanted.*, due.free_at, due.id from wanted cross join lateral (
            select j.free_at, j.id from errands_jobs as j
            where {DUE.format("wanted")} limit %(limit)s::bigint
        ) as due
        where wanted.priority = level.priority
        order by due.free_at, due.id limit %(limit)s::bigint
    ) as at_level
    limit %(limit)s::bigint
), share as materialized (
    select queue, task, priority, since, after, count(*) as number from best
    group by queue, task, priority, since, after
), taken as materialized (
    select locked.* from share cross join lateral (
        select {{0}} from errands_jobs as j
        where {DUE.format("share")} limit share.number for update skip locked
    ) as locked
)"""
AS_CLAIMED = f"""
update errands_jobs as j set
    state = 'running', worker = %(worker)s, attempt = j.attempt + 1, started_at = %(now)s,
    free_at = %(until)s, blocked_by = null, progress = null, version = j.version + 1,
    history = case when j.state = 'queued' then j.history else (
        select '[' || string_agg(entry, ',' order by number) || ']' from (
            (select entry::text, number from json_array_elements(coalesce(j.history, '[]')::json)
             with ordinality as past (entry, number) order by number desc limit {HISTORY - 1})
            union all
            select json_build_array(
                j.attempt, coalesce(j.worker, ''), coalesce(j.started_at, %(now)s::bigint),
                %(now)s::bigint, '{Outcome.LOST}', '{LOST}'
            )::text, {2**31}
        ) as entries
    ) end
from taken where j.id = taken.id"""
PLAINLY = f"{TAKE.format('j.id, j.free_at')} {AS_CLAIMED} returning {JOB}, taken.free_at"
CLAIM, CLAIM_KNOWN = f"{EVERYWHERE}, {PLAINLY}", f"{KNOWN}, {PLAINLY}"
# Those that have a limit are only locked, and as they were.
CLAIM_WITHIN = f"""
{EVERYWHERE}, {TAKE.format(JOB)}, claimed as (
    {AS_CLAIMED} and coalesce(taken.concurrency_key, taken.rate_key) is null
    returning {JOB}, taken.free_at as was_free_at
)
select claimed.*, true from claimed
union all
select taken.*, taken.free_at, false from taken
where coalesce(taken.concurrency_key, taken.rate_key) is not null
"""
# Those that were locked by it, and have room.
CLAIM_THESE = f"with taken as (select unnest(%(ids)s::text[]) as id) {AS_CLAIMED}"
NEXT = f"""
{EVERYWHERE}, {WANTED} select min(since) from wanted where since < {ms(NEVER)}
"""
WAITING = f"""
with recursive {ALL_PLACES}
select distinct queue, task from place where {AWAKE} and since <= %(before)s
"""
SINCE = f"""
with recursive {ALL_PLACES}
select queue, min(since) from place where since <= %(before)s group by queue
"""
BACKLOG = f"""
select count(*) from (
    select from errands_jobs where {UNFINISHED} and queue = %(queue)s limit %(most)s::bigint
) as found
"""
COUNT = "select queue, state, count(*) from errands_jobs group by queue, state"
# A job is needed as long as one that has not ended may look at it. Those that are picked are
# locked, so that nobody can begin to wait for them; a second look sees who has just begun.
IS_NEEDED = f"""(j.is_awaited is not null and exists (
    select 1 from errands_waits as w join errands_jobs as child on child.id = w.child
    where w.parent = j.id and child.{UNFINISHED}
))"""
PICK = f"""
select j.id from errands_jobs as j
where j.{FINISHED} and j.finished_at < %(before)s and not {IS_NEEDED}
order by j.finished_at limit %(limit)s for update skip locked
"""
PRUNE = f"""
with pruned as (
    delete from errands_jobs as j where j.id = any(%(ids)s::text[]) and not {IS_NEEDED} returning id
), forgotten as (
    delete from errands_waits as w using pruned where w.parent = pruned.id
)
select id from pruned
"""
TIME = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint"
# Where a table is: in which server since when it runs, in which database, and which one it is.
PLACE = """
select (select oid::bigint from pg_database where datname = current_database()),
to_regclass(%(table)s::text)::oid::bigint,
extract(epoch from pg_postmaster_start_time())::text
"""
NOTIFY = "select pg_notify(%(channel)s, %(name)s)"

# A worker that lives holds the lock of its name; it is hashed by the server, for all alike.
IS_DEAD = "pg_try_advisory_xact_lock(hashtextextended(%(prefix)s || worker, 0))"
# Who began before a server that has just started had the lock, and gets some time to be back.
MAY_COME_BACK = f"""
pg_postmaster_start_time() > clock_timestamp() - interval '{SETTLING:g} s' and exists (
    select from errands_workers as w where w.worker = errands_enlisted.worker
    and w.started_at < extract(epoch from pg_postmaster_start_time()) * 1000
)"""
DEAD = f"""
select worker from errands_enlisted
where worker <> all(%(known)s::text[]) and {IS_DEAD} and not ({MAY_COME_BACK})
"""
RESCUE = f"""
with dead as materialized (
    select worker from errands_enlisted where worker = any(%(known)s::text[]) and {IS_DEAD}
), forgotten as (
    delete from errands_enlisted where worker in (select worker from dead)
), buried as (
    update errands_workers set running = 0, gone_at = %(now)s
    where worker in (select worker from dead) and gone_at is null
)
update errands_jobs as j set free_at = %(now)s from dead
where j.state = 'running' and j.worker = dead.worker returning j.id
"""


async def by_id(session: Session, ids: Sequence[str]) -> list[Job]:
    """The jobs that are stored of these ids."""
    return [as_job(row) for row in await session.rows(BY_ID, {"ids": list(ids)})] if ids else []


async def ids_of(
    session: Session,
    sql: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    **values: Any,
) -> list[str]:
    """The ids that a statement answers which is given rows, and other values beside."""
    return [row[0] for row in await session.rows(sql, as_rows(columns, rows) | values)]


def as_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Rows as a JSON array of objects, without what is null anyway."""
    kind = _objects(tuple(columns))
    return {"jobs": as_json([kind(*row) for row in rows])}


def wanted(call: Claim) -> dict[str, Any]:
    """What a claim is told of the jobs that it may take."""
    queues = None if call.queues is None else list(call.queues)
    return {
        "tasks": list(call.tasks), "queues": queues, "now": ms(call.now), "limit": call.limit,
    }  # fmt: skip  # a row


@cache
def _objects(columns: tuple[str, ...]) -> type[msgspec.Struct]:
    """Makes an object of a row, twice as quickly as a dict: its JSON lacks what is null."""
    fields = [(name, Any, None) for name in columns]
    return msgspec.defstruct("Row", fields, omit_defaults=True, gc=False)

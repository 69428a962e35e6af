"""The statements of the SQLite store about limits: who has quota, and who is kept back.

A job without room leaves the index that claims read: it is blocked, and free at `NEVER`. Its
writer is alone, so whatever is counted here is so until the transaction ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from ..._job import NEVER, WAITING, Job, State
from ..._limit import LimitUse, is_limited
from ..._quota import Quota
from ..._store import Claim
from .. import _rates
from .._rows import UNFINISHED, as_json, decode, ms
from . import _workers
from ._database import Database
from ._reading import ROWS, one, read
from ._writing import start, update, write

PORTION = 2000  # jobs that are looked at together
MOST = 10_000  # jobs that one claim blocks; the next one goes on
KEYS = 200  # limits that are looked at when somebody asks who is kept back without need

INDEXES = """
create index errands_limited on errands_jobs (concurrency_key)
    where concurrency_key is not null and state = 'running';
create index errands_blocked on errands_jobs (blocked_by, priority desc, due_at, id)
    where blocked_by is not null;
"""
# A table of that name may be somebody else's: what it looks like is checked afterwards.
TABLE = f"""
create table if not exists {_rates.NAME} (
    key text primary key, taken text not null, over integer not null
) without rowid;
"""
GIVEN = "select value from json_each(?)"
RUNNING = f"""
select json_group_array(json_array(concurrency_key, number)) from (
    select concurrency_key, count(*) as number from errands_jobs
    where concurrency_key in ({GIVEN}) and state = 'running' group by concurrency_key
)
"""
TAKEN = f"select json_group_array(json_array(key, taken)) from {_rates.NAME} where key in ({GIVEN})"
SPEND = f"""
insert or replace into {_rates.NAME}
select value ->> 0, value ->> 1, value ->> 2 from json_each(?)
"""
FORGET = f"delete from {_rates.NAME} where over < ?"
BLOCK = """
update errands_jobs set free_at = new.until, blocked_by = new.by from (
    select value ->> 0 as id, value ->> 1 as by, value ->> 2 as until from json_each(?)
) as new where errands_jobs.id = new.id
"""
# All that is due in one place, or a portion of it, and has one of these keys.
BLOCK_ALL = f"""
update errands_jobs set free_at = {ms(NEVER)}, blocked_by = first.by from (
    select id, case when concurrency_key in ({GIVEN}) then concurrency_key else rate_key end as by
    from (
        select id, state, concurrency_key, rate_key from errands_jobs
        where {UNFINISHED} and queue = ? and priority = ? and task = ? and free_at <= ?
        order by free_at, id limit {PORTION}
    ) where state = 'queued' and (concurrency_key in ({GIVEN}) or rate_key in ({GIVEN}))
) as first where errands_jobs.id = first.id
"""
HAVE_BLOCKED = """
select json_group_array(value) from json_each(?) where exists (
    select 1 from errands_jobs where blocked_by = value
)
"""
FIRST = "select id from errands_jobs where blocked_by = ? order by priority desc, due_at, id"
FREE = f"update errands_jobs set free_at = due_at, blocked_by = null where id in ({FIRST} limit ?)"
# Of the first that a key keeps back those that nobody would start: they are paused, or nobody
# works for their queue. Until that is over they are in the way of the others.
FREE_RESTING = f"""
update errands_jobs set free_at = due_at, blocked_by = null where id in ({FIRST} limit {PORTION})
and (queue in (select name from errands_orders where kind = 'queue')
     or task in (select name from errands_orders where kind = 'task')
     or (? is not null and queue not in (select value from json_each(?))))
"""
ARE_PAUSED = "select exists (select 1 from errands_orders where kind in ('queue', 'task'))"
REMIND = f"update errands_jobs set free_at = ? where id = ({FIRST} limit 1) and free_at <> ?"
ANY = "select exists (select 1 from errands_jobs where blocked_by > ?)"
NEXT_KEYS = f"""
with recursive given (blocker) as (
    select min(blocked_by) from errands_jobs where blocked_by > ?
    union all
    select (select min(blocked_by) from errands_jobs where blocked_by > given.blocker)
    from given where given.blocker is not null limit {KEYS}
)
select json_group_array(blocker) from given where blocker is not null
"""
RUNNING_BY = """
select json_group_array(json_array(concurrency_key, number, task)) from (
    select concurrency_key, count(*) as number, min(task) as task from errands_jobs
    where concurrency_key is not null and state = 'running' group by concurrency_key
)
"""
TASK_OF = "select task from errands_jobs where blocked_by = ? limit 1"
BLOCKED_BY = "select count(*) from (select 1 from errands_jobs where blocked_by = ? limit ?)"
FIRST_ROW = f"""
select {ROWS} from (select * from errands_jobs where blocked_by = ? order by priority desc,
due_at, id limit 1)
"""


def in_use(db: Database, calls: list[tuple[int, int]]) -> list[list[LimitUse]]:
    """See `Store.limits_in_use`."""
    return [_in_use(db, limit, most) for limit, most in calls]


def claim(db: Database, call: Claim, look: Callable[[int], Sequence[Job]]) -> list[Job]:
    """Take the jobs that are free and have room; block those that have none.

    Args:
        look: Answers with the first jobs that are free, so many at the most.
    """
    quota, claimed, blocked = Quota(call.limits, call.now, call.watch), list[Job](), 0
    has_freed = False
    while (wanted := call.limit - len(claimed)) and blocked < MOST:
        found = look(wanted)
        taken, refused = _parted(db, quota, found)
        claimed += start(db, call, taken)
        blocked += _block(db, quota, call, refused)
        is_all = not refused and len(found) < wanted
        freed = _free(db, quota, wanted - len(taken)) if is_all else 0
        # where none is found, what was freed before is paused, or another worker's
        if is_all and not (freed and (found or not has_freed)):
            break
        has_freed = freed > 0
    else:
        _free(db, quota, 1)  # so that the next claim finds one, and looks for more
    if spent := quota.spent:
        db.execute(SPEND, (_rates.rows_of(spent),))
    return claimed


def pass_on(db: Database, jobs: Sequence[Job]) -> int:
    """Free as many jobs of each key as have left it, and say how many; these were saved."""
    left = Counter(j.concurrency_key for j in jobs if j.concurrency_key and is_out(j))
    freed = 0
    for key in decode(one(db, HAVE_BLOCKED, (as_json(sorted(left)),))) if left else ():
        db.execute(FREE, (key, left[key]))
        freed += db.changes()
    return freed


def has_blocked(db: Database, calls: list[None]) -> list[bool]:
    """Whether a limit keeps back any job."""
    found = bool(one(db, ANY, (WAITING,)))
    return [found for _ in calls]


def unblock(db: Database, calls: list[tuple[Claim, str]]) -> list[tuple[int, str]]:
    """Free what is kept back without need, by some of the keys after the one that is given.

    Answers with how many were freed, and the last of those keys; with `WAITING` after the last
    of all.
    """
    return [_unblock(db, call, after) for call, after in calls]


def forget(db: Database, before: datetime) -> None:
    """Forget the buckets that were full again by then."""
    db.execute(FORGET, (ms(before),))


def _parted(
    db: Database, quota: Quota, found: Sequence[Job]
) -> tuple[list[Job], list[tuple[Job, str]]]:
    """Those that have room; and those that have none, with the key that says so."""
    _learn(db, quota, found)
    taken, refused = list[Job](), list[tuple[Job, str]]()
    for job in found:
        by = quota.take(job)
        if by is None:
            taken.append(job)
        else:
            refused.append((job, by))
    return taken, refused


def _learn(db: Database, quota: Quota, jobs: Sequence[Job]) -> None:
    quota.look_at(jobs)
    at_once, rates = quota.unknown
    running = dict[str, int](decode(one(db, RUNNING, (as_json(at_once),)))) if at_once else {}
    taken = _rates.taken_of(decode(one(db, TAKEN, (as_json(rates),)))) if rates else {}
    quota.learn(running, taken)


def _block(db: Database, quota: Quota, call: Claim, refused: Sequence[tuple[Job, str]]) -> int:
    if not refused:
        return 0
    lost = [job.recovered(call.now) for job, _ in refused if job.state is State.RUNNING]
    write(db, update, lost)
    db.execute(BLOCK, (as_json([(job.id, by, ms(NEVER)) for job, by in refused]),))
    number, keys = len(refused), as_json(sorted({by for _, by in refused}))
    for place in sorted({(job.queue, job.priority, job.task) for job, _ in refused}):
        db.execute(BLOCK_ALL, (keys, *place, ms(call.now), keys, keys))
        number += db.changes()
    return number


def _free(db: Database, quota: Quota, most: int) -> int:
    """Free jobs that are kept back by keys with room; remind of a token that comes back later.

    Args:
        most: How many of each key.
    """
    if not quota.keys:
        return 0
    freed = 0
    for key in decode(one(db, HAVE_BLOCKED, (as_json(quota.keys),))):
        if (left := quota.left(key)) > 0:
            db.execute(FREE, (key, min(left, most)))
            freed += db.changes()
        elif (again := quota.next(key)) is not None:
            db.execute(REMIND, (again, key, again))
    return freed


def _in_use(db: Database, limit: int, most: int) -> list[LimitUse]:
    running = {key: (number, task) for key, number, task in decode(one(db, RUNNING_BY))}
    blocked, last = set[str](), WAITING
    while len(blocked) < limit and (keys := decode(one(db, NEXT_KEYS, (last,)))):
        blocked |= set(keys)
        last = max(keys)
    uses = []
    for key in sorted(running.keys() | blocked)[:limit]:
        number, task = running.get(key) or (0, one(db, TASK_OF, (key,)))
        kept_back = one(db, BLOCKED_BY, (key, most)) if key in blocked else 0
        uses.append(LimitUse(key=key, task=task, running=number, blocked=kept_back))
    return uses


def is_out(job: Job) -> bool:
    """Whether a saved job takes no place any more."""
    return job.state is not State.RUNNING


def _unblock(db: Database, call: Claim, after: str) -> tuple[int, str]:
    keys: Collection[str] = decode(one(db, NEXT_KEYS, (after,)))
    freed, quota = 0, Quota(call.limits, call.now, call.watch)
    for key in keys:
        [first] = read(db, FIRST_ROW, (key,))
        if first.task not in call.tasks:
            continue
        if is_limited(first, key, call.limits):
            _learn(db, quota, [first])
        else:  # its limit is gone
            db.execute(FREE, (key, PORTION))
            freed += db.changes()
    freed += _free_resting(db, call, [key for key in quota.keys if quota.left(key) > 0])
    freed += _free(db, quota, PORTION)
    return freed, max(keys) if len(keys) == KEYS else WAITING


def _free_resting(db: Database, call: Claim, keys: Collection[str]) -> int:
    freed, queues = 0, _workers.served(db, call) if keys else None
    if keys and (queues is not None or one(db, ARE_PAUSED)):
        served = None if queues is None else as_json(sorted(queues))
        for key in keys:
            db.execute(FREE_RESTING, (key, served, served))
            freed += db.changes()
    return freed

"""Who waits for whom, in the SQLite store: kept beside the jobs, in the same transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..._job import WAITING, Job, State
from .._rows import STATES, UNFINISHED, as_json, decode, is_stored, ms
from .._waits import Saved, is_kept_back, pairs_of, parents_of, refusal_of_circle
from ._database import Database
from ._reading import by_id, one
from ._writing import update_awaited, write

TABLE = """
create table errands_waits (
    parent text not null, child text not null, is_over integer not null,
    primary key (parent, child)) without rowid;
create index errands_waits_child on errands_waits (child, is_over);
alter table errands_jobs add column is_awaited integer;
"""
GIVEN = "(select value from json_each(?))"
CHILDREN = f"(select child from errands_waits where parent in {GIVEN})"
STATES_OF = f"select json_group_object(id, state) from errands_jobs where id in {GIVEN}"
CHILDREN_OF = """
select json_group_array(json_array(id, state)) from (
    select errands_jobs.id, errands_jobs.state from errands_waits
    cross join errands_jobs on errands_jobs.id = errands_waits.child
    where errands_waits.parent = ? and errands_waits.child > ?
    order by errands_waits.child limit ?
)
"""
REMEMBER = """
insert into errands_waits
select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
from json_each(?)
"""
MARK = f"""
update errands_jobs set is_awaited = 1 where id in {GIVEN}
and exists (select 1 from errands_waits where parent = errands_jobs.id)
"""
FREE = f"""
update errands_jobs set blocked_by = null, free_at = max(due_at, ?), version = version + 1
where blocked_by = '{WAITING}' and id in {{0}}
and not exists (select 1 from errands_waits where child = errands_jobs.id and not is_over)
"""
FREE_CHILDREN, FREE_GIVEN = FREE.format(CHILDREN), FREE.format(GIVEN)
CIRCLE = """
with recursive above (id) as (
    select value from json_each(?)
    union select parent from above join errands_waits on child = above.id
)
select exists (select 1 from above where id = ?)
"""
# What a pruning leaves: a job that has not ended may look at it.
IS_NEEDED = f"""(is_awaited and exists (
    select 1 from errands_waits join errands_jobs as child on child.id = errands_waits.child
    where errands_waits.parent = errands_jobs.id and child.{UNFINISHED}
))"""


def states(db: Database, calls: list[Sequence[str]]) -> list[Mapping[str, State]]:
    """See `Store.states`."""
    return [states_of(db, ids) for ids in calls]


def states_of(db: Database, ids: Sequence[str]) -> dict[str, State]:
    """The states of the jobs of these ids."""
    found = decode(one(db, STATES_OF, (as_json(ids),)))
    return {job_id: STATES[state] for job_id, state in found.items()}


def children(db: Database, calls: list[tuple[str, str | None, int]]) -> list[Mapping[str, State]]:
    """See `Store.children`."""
    answers = list[Mapping[str, State]]()
    for job_id, after, limit in calls:
        found = decode(one(db, CHILDREN_OF, (job_id, after or "", limit)))
        answers.append({child: STATES[state] for child, state in found})
    return answers


def save(db: Database, jobs: Sequence[Job]) -> Saved:
    """Save jobs of which some may be waited for, or are to wait. See `Store.save`."""
    write(db, update_awaited, jobs)
    there = {job.id: job for job in by_id(db, [job.id for job in jobs])}
    saved = [job for job in jobs if is_stored(job, there.get(job.id))]
    kept_back = [job for job in saved if is_kept_back(job)]
    frees = end(db, [job for job in saved if job.is_final])
    if kept_back:
        keep(db, kept_back)
        db.execute(FREE_GIVEN, (0, as_json([job.id for job in kept_back])))
        frees |= bool(db.changes())
    return Saved.of((job.id for job in saved), frees=frees)


def end(db: Database, jobs: Sequence[Job]) -> bool:
    """Let nobody wait for these jobs any longer, and say whether that frees others."""
    if not jobs:
        return False
    ids = as_json([job.id for job in jobs])
    db.execute(f"update errands_waits set is_over = 1 where parent in {GIVEN}", (ids,))
    db.execute(FREE_CHILDREN, (_last(jobs), ids))
    return bool(db.changes())


def keep(db: Database, jobs: Sequence[Job]) -> None:
    """Remember whom stored jobs wait for, instead of what was remembered of them."""
    ids, parents = as_json([job.id for job in jobs]), parents_of(jobs)
    db.execute(f"delete from errands_waits where child in {GIVEN}", (ids,))
    db.execute(REMEMBER, (as_json(pairs_of(jobs, states_of(db, parents))),))
    mark(db, parents)


def mark(db: Database, ids: Iterable[str]) -> None:
    """Let whoever saves these jobs know which of them others wait for."""
    db.execute(MARK, (as_json(list(ids)),))


def require_no_circle(db: Database, jobs: Iterable[Job]) -> None:
    """Refuse jobs that would wait for themselves, by way of jobs that are stored.

    Raises:
        ValueError: naming the one.
    """
    for job in jobs:
        if one(db, CIRCLE, (as_json(job.waits_for), job.id)):
            raise refusal_of_circle(job)


def unbind(db: Database, job_id: str) -> None:
    """Drop whom a job waits for."""
    db.execute("delete from errands_waits where child = ?", (job_id,))


def forget(db: Database, ids: Sequence[str]) -> None:
    """Drop what is remembered of jobs that are no longer there."""
    db.execute(f"delete from errands_waits where parent in {GIVEN}", (as_json(ids),))


def _last(jobs: Iterable[Job]) -> int:
    """When the last of these jobs ended, or long ago."""
    return max((ms(job.finished_at) or 0 for job in jobs), default=0)

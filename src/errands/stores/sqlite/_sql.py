"""The statements of the SQLite store: each work answers many calls in one transaction.

A batch is a few statements whatever its size, since each statement may cost a wait for
Python's global lock (see `_lane`): rows go in as `values` of up to 64 rows, and come out as
one JSON array.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from ..._job import Job, State
from ..._query import Query
from ..._store import OnConflict
from ...errors import JobExists
from .._rivals import rival_within
from .._rows import FINISHED, UNFINISHED, as_json, ms
from .._waits import Saved, are_kept_back
from . import _limits, _waiting
from ._database import Database
from ._reading import ROWS, by_id, many, one, read
from ._schema import ENDED_BADLY
from ._writing import add as add_rows
from ._writing import report_progress, update, write

WAITING = 2_000  # unfinished jobs from which on they are looked for in the order of all ids
NO_MORE = (None, None, None, None)
BADLY = {State.FAILED, State.CANCELLED}


def add(db: Database, calls: list[tuple[Sequence[Job], OnConflict]]) -> list[list[Job]]:
    """Add and keep what is there. See `Store.add`."""
    new = [job for jobs, _ in calls for job in jobs]
    if add_rows(db, new) == len(new):
        return [list(jobs) for jobs, _ in calls]
    return [[_there(db, job) or job for job in jobs] for jobs, _ in calls]


def add_anyway(db: Database, calls: list[tuple[Sequence[Job], OnConflict]]) -> list[list[Job]]:
    """Add and replace what is there, or refuse. See `Store.add`."""
    answers = []
    for jobs, on_conflict in calls:
        rivals = {job.id: rival for job in jobs if (rival := _there(db, job))}
        if on_conflict == "raise":
            taken = [rival for job_id, rival in rivals.items() if rival.id != job_id]
            taken += filter(None, [rival_within([job for job in jobs if job.id not in rivals])])
            if taken:
                raise JobExists(taken[0])
            answers.append(add(db, [(jobs, "keep")])[0])
        else:
            answers.append([_replace(db, job) for job in jobs])
    return answers


def save(db: Database, calls: list[Sequence[Job]]) -> list[Saved]:
    """See `Store.save`."""
    changed = [job for jobs in calls for job in jobs]
    if not are_kept_back(changed) and write(db, update, changed) == len(changed):
        return [Saved(job.id for job in jobs) for jobs in calls]
    return [_waiting.save(db, jobs) for jobs in calls]


def report(db: Database, calls: list[Collection[Job]]) -> list[None]:
    """See `Store.report`."""
    write(db, report_progress, [job for jobs in calls for job in jobs])
    return [None] * len(calls)


def extend(db: Database, calls: list[tuple[list[str], str, datetime]]) -> list[set[str]]:
    """See `Store.extend`."""
    held = "state = 'running' and worker = ? and id in (select value from json_each(?))"
    answers = []
    for ids, worker, until in calls:
        which = (worker, as_json(ids))
        db.execute(f"update errands_jobs set free_at = ? where {held}", (ms(until), *which))
        answers.append(set(many(db, f"select id from errands_jobs where {held}", which)))
    return answers


def remove(db: Database, calls: list[Sequence[Job]]) -> list[Saved]:
    """See `Store.remove`."""
    sql = "delete from errands_jobs where id = ? and version = ?"
    answers = []
    for jobs in calls:
        removed = set()
        for job in jobs:
            db.execute(sql, (job.id, job.version))
            removed |= {job.id} if db.changes() else set()
        frees = _waiting.end(db, [job for job in jobs if job.id in removed])
        _waiting.forget(db, list(removed))
        answers.append(Saved.of(removed, frees=frees))
    return answers


def get(db: Database, ids: list[str]) -> list[Job | None]:
    """See `Store.get`."""
    there = {job.id: job for job in by_id(db, ids)}
    return [there.get(job_id) for job_id in ids]


def find(db: Database, queries: list[Query]) -> list[list[Job]]:
    """See `Store.find`."""
    return [_found(db, query) for query in queries]


def count(db: Database, calls: list[None]) -> list[Mapping[tuple[str, State], int]]:
    """See `Store.count`."""
    sql = "select queue, state, count(*) from errands_jobs group by queue, state"
    counts = {(queue, State(state)): number for queue, state, number in db.execute(sql)}
    return [counts for _ in calls]


def backlog(db: Database, calls: list[tuple[str, int]]) -> list[int]:
    """See `Store.backlog`."""
    some = f"select 1 from errands_jobs where {UNFINISHED} and queue = ? limit ?"
    return [one(db, f"select count(*) from ({some})", call) for call in calls]


def prune(db: Database, calls: list[tuple[datetime, int]]) -> list[int]:
    """See `Store.prune`."""
    is_old = f"{FINISHED} and finished_at < ? and not {_waiting.IS_NEEDED}"
    old = f"select id from errands_jobs where {is_old} order by finished_at limit ?"
    answers = []
    for before, limit in calls:
        ids = list(many(db, old, (ms(before), limit)))
        which = "id in (select value from json_each(?))"
        db.execute(f"delete from errands_jobs where {which}", (as_json(ids),))
        answers.append(db.changes())
        _limits.forget(db, before)
        _waiting.forget(db, ids)
    return answers


def free(db: Database, calls: list[tuple[str, datetime]]) -> list[int]:
    """End the leases of a worker that died, and say how many there were."""
    sql = "update errands_jobs set free_at = ? where state = 'running' and worker = ?"
    answers = []
    for worker, now in calls:
        db.execute(sql, (ms(now), worker))
        answers.append(db.changes())
    return answers


def _found(db: Database, query: Query) -> list[Job]:
    """Those that failed or were cancelled are looked for by state: there are few, as a rule."""
    states = set(query.states)
    if states != BADLY:
        return _find(db, query)
    most = query.offset + query.limit
    each = [_find(db, replace(query, states=[s], limit=most, offset=0)) for s in states]
    return sorted(chain(*each), key=lambda job: job.id, reverse=True)[query.offset : most]


def _find(db: Database, query: Query) -> list[Job]:
    where, values = ["true"], list[Any]()
    if query.states:
        where.append("state in (select value from json_each(?))")
        values.append(as_json(query.states))
    if query.text is not None:
        where.append("(instr(payload, ?) or instr(history, ?))")
        values += [query.text, query.text]
    for clause, value in (
        ("queue = ?", query.queue),
        ("task = ?", query.task),
        ("key = ?", query.key),
        ("group_name = ?", query.group),
        ("id >= ?", query.first),
        ("id < ?", query.end),
    ):
        if value is not None:
            where.append(clause)
            values.append(value)
    index, known = _hint(db, query)
    where.append(known)
    where_text = " and ".join(where)
    sql = f"from errands_jobs {index} where {where_text} order by id desc limit ? offset ?"
    is_plain = (query.queue, query.task, query.key, query.text) == NO_MORE
    if is_plain and (query.group is not None or query.offset):
        # an index has all that is asked for: only those that are found are read
        sql = f"from errands_jobs where id in (select id {sql}) order by id desc"
    sql = f"select * {sql}"
    return list(read(db, f"select {ROWS} from ({sql})", (*values, query.limit, query.offset)))


def _hint(db: Database, query: Query) -> tuple[str, str]:
    """By which index a query is best answered, and what that index knows of its jobs.

    The order of the ids is best, but where few jobs are meant: it would pass by all others.
    """
    states = set(query.states)
    if not states or query.group is not None:
        return "", "true"
    if states < BADLY:
        return "indexed by errands_bad", f"{ENDED_BADLY} and state = '{min(states)}'"
    if not states <= {State.QUEUED, State.RUNNING}:
        return "", "true"
    if query.key is not None:
        return "indexed by errands_key", f"key is not null and {UNFINISHED}"
    if states == {State.RUNNING}:
        return "indexed by errands_held", "state = 'running'"
    some = f"select 1 from errands_jobs indexed by errands_free where {UNFINISHED} limit ?"
    unfinished = one(db, f"select count(*) from ({some})", (WAITING,))
    return ("", "true") if unfinished == WAITING else ("indexed by errands_free", UNFINISHED)


def _there(db: Database, job: Job) -> Job | None:
    """What is stored of this id, or else what has its key."""
    same = list(by_id(db, [job.id]))
    if not same and job.key is not None:
        sql = f"select {ROWS} from errands_jobs where key = ? and {UNFINISHED}"
        same = list(read(db, sql, (job.key,)))
    return same[0] if same else None


def _replace(db: Database, job: Job) -> Job:
    there = _there(db, job)
    if there is not None and there.id == job.id:
        return there
    if there is not None and there.state is State.QUEUED:
        db.execute("delete from errands_jobs where id = ?", (there.id,))
        if there.waits_for:  # as the new one may not
            _waiting.unbind(db, there.id)
        job = there.replaced(job)
    elif there is not None:
        db.execute("update errands_jobs set key = null where id = ?", (there.id,))
    add_rows(db, [job])
    _waiting.mark(db, [job.id])  # as the one was whose place it took
    return job

"""What is asked of the PostgreSQL store, but for additions: each work answers many calls at once.

Each statement is a transaction of its own.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..._job import Job, State
from ..._store import Claim
from .._rows import CHANGING, as_job, changed, instant, is_stored, ms, reported
from .._waits import Saved, are_kept_back, is_kept_back, parents_of
from ._link import Row, Session
from ._statements import (
    BACKLOG,
    CLAIM,
    CLAIM_KNOWN,
    COUNT,
    DEAD,
    NEXT,
    NOTIFY,
    PICK,
    PLACE,
    PRUNE,
    REMOVE,
    REPORT,
    RESCUE,
    SINCE,
    TIME,
    UPDATE,
    UPDATE_AWAITED,
    WAITING,
    as_rows,
    by_id,
    ids_of,
    wanted,
)
from ._trail import Trail
from ._waiting import end, forget, keep_back, locked


async def claim(trail: Trail, session: Session, calls: list[Claim]) -> list[list[Job]]:
    """See `Store.claim`."""
    return [await _claim(trail, session, call) for call in calls]


async def next_free(session: Session, calls: list[Claim]) -> list[datetime | None]:
    """See `Store.next_free`."""
    return [instant((await session.rows(NEXT, wanted(call)))[0][0]) for call in calls]


async def save(session: Session, calls: list[Sequence[Job]]) -> list[Saved]:
    """See `Store.save`.

    Raises:
        UniqueViolation: if one of the jobs would be the second of its key. None is written.
    """
    every = [job for jobs in calls for job in jobs]
    written = set() if are_kept_back(every) else await _written(session, UPDATE, every)
    frees = False
    if len(written) < len(every):
        more, frees = await _ordered(session, [job for job in every if id(job) not in written])
        written |= more
    refused = [job.id for job in every if id(job) not in written]
    there = {job.id: job for job in await by_id(session, refused)}
    saved = (
        {job.id for job in jobs if id(job) in written or is_stored(job, there.get(job.id))}
        for jobs in calls
    )
    return [Saved.of(ids, frees=frees) for ids in saved]


async def report(session: Session, calls: list[Collection[Job]]) -> list[None]:
    """See `Store.report`."""
    last = {(job.id, job.version): job for jobs in calls for job in jobs}
    rows = (reported(last[each]) for each in sorted(last))
    await session.rows(REPORT, as_rows(("id", "progress", "version"), rows))
    return [None] * len(calls)


async def remove(session: Session, calls: list[Sequence[Job]]) -> list[Saved]:
    """See `Store.remove`."""
    answers = []
    for jobs in calls:
        rows = [(job.id, job.version) for job in jobs]
        async with session.transaction():
            removed = set(await ids_of(session, REMOVE, ("id", "version"), rows))
            frees = await end(session, [job for job in jobs if job.id in removed])
            await forget(session, removed)
        answers.append(Saved.of(removed, frees=frees))
    return answers


async def get(session: Session, ids: list[str]) -> list[Job | None]:
    """See `Store.get`."""
    there = {job.id: job for job in await by_id(session, ids)}
    return [there.get(job_id) for job_id in ids]


async def count(session: Session, calls: list[None]) -> list[Mapping[tuple[str, State], int]]:
    """See `Store.count`."""
    rows = await session.rows(COUNT)
    counts = {(queue, State(state)): number for queue, state, number in rows}
    return [counts for _ in calls]


async def backlog(session: Session, calls: list[tuple[str, int]]) -> list[int]:
    """See `Store.backlog`."""
    return [
        (await session.rows(BACKLOG, {"queue": queue, "most": most}))[0][0] for queue, most in calls
    ]


async def places(session: Session, calls: list[datetime]) -> list[set[tuple[str, str]]]:
    """See `Store.places`."""
    return [
        {(queue, task) for queue, task in await session.rows(WAITING, {"before": ms(before)})}
        for before in calls
    ]


async def waiting_since(session: Session, calls: list[datetime]) -> list[Mapping[str, datetime]]:
    """See `Store.waiting_since`."""
    return [
        {queue: instant(free) for queue, free in await session.rows(SINCE, {"before": ms(before)})}
        for before in calls
    ]


async def prune(session: Session, calls: list[tuple[datetime, int]]) -> list[int]:
    """See `Store.prune`."""
    answers = []
    for before, limit in calls:
        async with session.transaction():
            picked = await session.rows(PICK, {"before": ms(before), "limit": limit})
            answers.append(len(await session.rows(PRUNE, {"ids": [each for (each,) in picked]})))
    return answers


async def now(session: Session, calls: list[None]) -> list[datetime]:
    """See `Store.now`."""
    [[found]] = await session.rows(TIME)
    return [instant(found) for _ in calls]


async def notify(session: Session, calls: list[tuple[str, str]]) -> list[None]:
    """Tell the other processes that there is news."""
    channel, name = calls[0]
    await session.rows(NOTIFY, {"channel": channel, "name": name})
    return [None] * len(calls)


async def place(session: Session, schemas: list[str]) -> list[Row]:
    """Which table has the jobs, in which database of which server."""
    return [
        (await session.rows(PLACE, {"table": f"{_quoted(schema)}.errands_jobs"}))[0]
        for schema in schemas
    ]


async def dead(session: Session, calls: list[tuple[str, list[str]]]) -> list[set[str]]:
    """The workers that do not hold the lock of their name, but for those named."""
    return [
        {worker for (worker,) in await session.rows(DEAD, {"prefix": prefix, "known": known})}
        for prefix, known in calls
    ]


async def rescue(session: Session, calls: list[tuple[str, list[str], datetime]]) -> list[int]:
    """End the leases of workers that died, if they still seem to have, and forget them."""
    answers = []
    for prefix, known, at in calls:
        values = {"prefix": prefix, "known": known, "now": ms(at)}
        answers.append(len(await session.rows(RESCUE, values)))
    return answers


def extension(ids: Collection[str], worker: str, until: datetime) -> dict[str, Any]:
    """What `EXTEND` is told."""
    return {"ids": sorted(ids), "worker": worker, "until": ms(until)}


async def _written(session: Session, sql: str, jobs: Sequence[Job]) -> set[int]:
    """Write jobs, and say which, by `id`: one job may be there at two versions."""
    written: set[int] = set()
    for layer in _layers(jobs):
        done = set(await ids_of(session, sql, ("id", *CHANGING), map(changed, layer)))
        written.update(id(job) for job in layer if job.id in done)
    return written


async def _ordered(session: Session, jobs: Sequence[Job]) -> tuple[set[int], bool]:
    """Write jobs of which some may be waited for, or are to wait; say whether that frees any."""
    async with session.transaction():
        # before their children: whoever ends a parent has it, and then asks for those
        await locked(session, parents_of(filter(is_kept_back, jobs)))
        written = await _written(session, UPDATE_AWAITED, jobs)
        saved = [job for job in jobs if id(job) in written]
        freed = await end(session, [job for job in saved if job.is_final])
        back = [job for job in saved if is_kept_back(job)]
        return written, await keep_back(session, back) or freed


def _quoted(schema: str) -> str:
    return '"{}"'.format(schema.replace('"', '""'))


async def _claim(trail: Trail, session: Session, call: Claim) -> list[Job]:
    values = wanted(call) | {"worker": call.worker, "until": ms(call.now + call.lease)}
    if (known := trail.known(call, time.monotonic())) is not None:
        claimed = await _taken(session, CLAIM_KNOWN, {**values, "known": known})
        if claimed:  # if they are fewer than wanted, the next claim looks everywhere
            trail.note(call, claimed, time.monotonic())
            return [job for job, _ in claimed]
    begun = time.monotonic()
    claimed = await _taken(session, CLAIM, values)
    now = time.monotonic()
    trail.note(call, claimed, now, everywhere=now - begun)
    return [job for job, _ in claimed]


async def _taken(session: Session, sql: str, values: dict[str, Any]) -> list[tuple[Job, int]]:
    """The jobs that a claim took, in their order, and since when they were free."""
    taken = [(as_job(row[:-1]), row[-1]) for row in await session.rows(sql, values)]
    taken.sort(key=lambda pair: (-pair[0].priority, pair[1], pair[0].id))
    return taken


def _layers(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Jobs in batches where each is there once, sorted so that no two batches cross."""
    layers: list[dict[str, Job]] = []
    for job in jobs:
        for layer in layers:
            if job.id not in layer:
                layer[job.id] = job
                break
        else:
            layers.append({job.id: job})
    for layer in layers:
        yield sorted(layer.values(), key=lambda job: job.id)

"""Additions to the PostgreSQL store, and what happens where a job is there already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter

from ..._job import Job, State
from ..._store import OnConflict
from ...errors import JobExists, StoreUnavailable
from .._bell import is_news
from .._rivals import rival_within
from .._rows import COLUMNS, FREQUENT, as_job, frequent, is_plain, new
from ._link import Session
from ._presence import Crier, Cry
from ._statements import AND_TELL, BY_KEY, INSERT, INSERT_FREQUENT, REPLACE, as_rows, by_id, ids_of
from ._waiting import unbind

ID, KEY = attrgetter("id"), attrgetter("key")

PORTION = 5000  # jobs of one statement
HEAVY = 4 << 20  # characters of arguments that one statement takes, or a little more
TRIES = 5  # times that one looks for a job which is there, and then is not


class Told(list[Job]):
    """Jobs that were kept, and of which the server told the other processes at the commit."""


async def add_and_tell(
    crier: Crier, session: Session, calls: list[Sequence[Job]]
) -> list[list[Job]]:
    """`add`; after a time without news the others are told of these without a further trip."""
    if not (crier.is_rested and is_news(chain.from_iterable(calls))):
        return await add(session, calls)
    with crier.telling() as cry:
        return await add(session, calls, cry)


async def add(
    session: Session, calls: list[Sequence[Job]], cry: Cry | None = None
) -> list[list[Job]]:
    """Add and keep what is there. See `Store.add`.

    Args:
        cry: What the other processes are told, in the same transaction.
    """
    first: dict[str, Job] = {}
    for jobs in calls:
        for job in jobs:
            first.setdefault(job.id, job)
    kept = await _insert(session, list(first.values()), cry)
    if len(kept) == sum(map(len, calls)):
        return [list(jobs) if cry is None else Told(jobs) for jobs in calls]
    answers = {job_id: first[job_id] for job_id in kept}
    for job in first.values():
        if job.id not in answers:
            answers[job.id] = await _kept_or_there(session, job)
    return [[answers[job.id] for job in jobs] for jobs in calls]


async def add_or_raise(session: Session, calls: list[Sequence[Job]]) -> list[list[Job]]:
    """Add, or refuse what is there. See `Store.add`."""
    return [await _add_or_raise(session, jobs) for jobs in calls]


async def add_and_replace(session: Session, calls: list[Sequence[Job]]) -> list[list[Job]]:
    """Add, and replace what is there. See `Store.add`."""
    answers = []
    for jobs in calls:
        async with session.transaction():
            answers.append([await _replace(session, job) for job in jobs])
    return answers


BY: Mapping[OnConflict, Callable[[Session, list[Sequence[Job]]], Awaitable[list[list[Job]]]]] = {
    "keep": add, "raise": add_or_raise, "replace": add_and_replace,
}  # fmt: skip  # a row


async def _insert(session: Session, jobs: Sequence[Job], cry: Cry | None = None) -> list[str]:
    """Insert jobs, as a whole, and answer with the ids of those that had no rival."""
    portions = list(_portions(_in_order(jobs)))
    if len(portions) < 2:
        return [kept for some in portions for kept in await _insert_some(session, some, cry)]
    async with session.transaction():
        return [kept for some in portions for kept in await _insert_some(session, some, cry)]


async def _insert_some(session: Session, jobs: Sequence[Job], cry: Cry | None) -> list[str]:
    if all(map(is_plain, jobs)):  # nearly always, and a quarter less to read for the server
        sql, given = INSERT_FREQUENT, as_rows(FREQUENT, map(frequent, jobs))
    else:
        sql, given = INSERT, as_rows(COLUMNS, map(new, jobs))
    if cry is not None:
        sql, given = sql + AND_TELL, given | dict(zip(("channel", "name"), cry, strict=True))
    return [row[0] for row in await session.rows(sql, given)]


async def _kept_or_there(session: Session, job: Job) -> Job:
    for _ in range(TRIES):
        if (there := await _there(session, job)) is not None:
            return there
        if await _insert(session, [job]):  # what was in its way has just ended
            return job
    raise StoreUnavailable(f"the key {job.key!r} changes hands too fast. Add the job again.")


async def _add_or_raise(session: Session, jobs: Sequence[Job]) -> list[Job]:
    async with session.transaction():
        there = {job.id: job for job in await by_id(session, [job.id for job in jobs])}
        fresh = [job for job in jobs if job.id not in there]
        if (rival := rival_within(fresh)) is not None:
            rivals = [await _rival(session, job) for job in fresh]
            raise JobExists(next(filter(None, rivals), rival))
        kept = set(await _insert(session, fresh))
        for job in fresh:
            if job.id not in kept:
                rival = await _there(session, job)
                if rival is None or rival.id != job.id:
                    raise JobExists(rival or job)
                there[job.id] = rival
        return [there.get(job.id, job) for job in jobs]


async def _replace(session: Session, job: Job) -> Job:
    for _ in range(TRIES):
        there = await _there(session, job, lock=" for update")
        if there is not None and there.id == job.id:
            return there
        if there is not None and there.state is State.QUEUED:
            stored = there.replaced(job)
            if there.waits_for:  # as the new one may not
                await unbind(session, there.id)
            await ids_of(session, REPLACE, COLUMNS, [new(stored)])
            return stored
        if there is not None:
            sql = "update errands_jobs set key = null where id = %(id)s"
            await session.rows(sql, {"id": there.id})
        if await _insert(session, [job]):
            return job
    raise StoreUnavailable(f"the key {job.key!r} changes hands too fast. Add the job again.")


async def _there(session: Session, job: Job, *, lock: str = "") -> Job | None:
    """What is stored of this id, or else what has its key."""
    same = await by_id(session, [job.id])
    return same[0] if same else await _rival(session, job, lock=lock)


async def _rival(session: Session, job: Job, *, lock: str = "") -> Job | None:
    if job.key is None:
        return None
    rows = await session.rows(BY_KEY + lock, {"key": job.key})
    return as_job(rows[0]) if rows else None


def _in_order(jobs: Sequence[Job]) -> list[Job]:
    """In that of ids, or else of keys: two processes do not wait for each other crosswise."""
    keyless = sorted((job for job in jobs if job.key is None), key=ID)
    keyed = [job for job in jobs if job.key is not None]
    return keyless + sorted(keyed, key=KEY)


def _portions(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs in batches that one statement can take."""
    portion: list[Job] = []
    weight = 0
    for job in jobs:
        portion.append(job)
        weight += len(job.payload)
        if len(portion) == PORTION or weight > HEAVY:
            yield portion
            portion, weight = [], 0
    if portion:
        yield portion

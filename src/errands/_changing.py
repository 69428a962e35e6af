"""Changes that operators make to jobs, one or many, with whoever else changes them meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from ._engine import Engine
from ._job import Job, State, id_of
from ._query import Query
from .errors import StoreUnavailable

PAGE = 500  # jobs that are changed in one go
TRIES = 20  # times that a job may change while we decide what becomes of it

Tell = Callable[[int], object]
Change = Callable[[Engine, Sequence[Job], datetime], Awaitable[Collection[str]]]


async def cancel(engine: Engine, jobs: Sequence[Job], now: datetime) -> Collection[str]:
    """Cancel those that are queued, ask for the end of those that run; the ids of both."""
    queued = {job.id: job.cancelled(now) for job in jobs if job.state is State.QUEUED}
    running = [job.id for job in jobs if job.state is State.RUNNING]
    cancelled = await engine.store.save(list(queued.values())) if queued else set()
    for job_id in cancelled:
        engine.ended(queued[job_id])
    return cancelled | (await engine.store.request_cancel(running) if running else set())


async def retry(engine: Engine, jobs: Sequence[Job], now: datetime) -> Collection[str]:
    """Queue them again, but for those that run or are kept back; the ids of the others."""
    again = [job.retried(now) for job in jobs if is_retried(job)]
    saved = await engine.store.save(again) if again else set()
    engine.hooks.tell("queued", [job for job in again if job.id in saved])
    return saved


def is_retried(job: Job) -> bool:
    """Whether a retry changes it: what is asked to be cancelled, and does not run, no longer is."""
    return job.state is not State.RUNNING and (job.blocked_by is None or job.is_cancelling)


async def delete(engine: Engine, jobs: Sequence[Job], now: datetime) -> Collection[str]:
    """Forget those that do not run; their ids."""
    resting = [job for job in jobs if job.state is not State.RUNNING]
    return await engine.store.remove(resting) if resting else set()


async def change(
    engine: Engine, change: Change, query: Query, states: Sequence[State], tell: Tell | None
) -> int:
    """Change all jobs that match, and say how many that were.

    Args:
        states: Which are meant where the query names none.
        tell: Called now and then with how many were looked at.
    """
    now, number, seen = engine.clock.now(), 0, 0
    query = replace(query, states=query.states or states, before=None, limit=PAGE, offset=0)
    # who waits for others is to wait again: so those are queued before, or in the same go
    pages = _oldest_first(engine, query) if change is retry else _newest_first(engine, query)
    async for page in pages:
        number += len(await change(engine, page, now))
        seen += len(page)
        if tell is not None:
            tell(seen)
    return number


async def _newest_first(engine: Engine, query: Query) -> AsyncIterator[list[Job]]:
    while page := await engine.store.find(query):
        yield page
        query = replace(query, before=page[-1].id)


async def _oldest_first(engine: Engine, query: Query) -> AsyncIterator[list[Job]]:
    ids = [[job.id for job in page] async for page in _newest_first(engine, query)]
    while ids:
        there = await asyncio.gather(*(engine.store.get(job_id) for job_id in ids.pop()))
        yield [job for job in there if job is not None and job.state in query.states]


async def each_look(engine: Engine, what: Job | str) -> AsyncIterator[Job]:
    """The job as it is now, for each try to change it.

    Raises:
        LookupError: if there is no such job, or no longer.
        StoreUnavailable: if it changes too fast.
    """
    job_id = id_of(what)
    for _ in range(TRIES):
        yield await look(engine, job_id)
    raise StoreUnavailable(f"job {job_id} changes too fast. Try again.")


async def look(engine: Engine, job_id: str) -> Job:
    """The job as it is now.

    Raises:
        LookupError: if there is no such job, or no longer.
    """
    job = await engine.store.get(job_id)
    if job is None:
        raise LookupError(f"there is no job {job_id!r}, or no longer")
    return job

"""Results: wait for the end of a job, wherever it runs, and read what its function returned."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from ._changing import look
from ._door import Door
from ._engine import Engine
from ._job import Job
from ._pace import Pace
from ._parents import value_of

POLL = (0.02, 0.5)  # seconds between two looks at a job that another process runs: first, longest


async def result(engine: Engine, job_id: str, limit: float | None) -> Any:
    """See `Errands.result`."""
    try:
        async with asyncio.timeout(limit):
            return value_of(engine.tasks, await _end_of(engine, job_id))
    except TimeoutError:
        raise TimeoutError(f"job {job_id} has not ended within {limit:g} s") from None


async def wait_or_202(engine: Engine, job_id: str, limit: float, door: Door) -> Any:
    """See `Errands.wait_or_202`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit):
            await _end_of(engine, job_id)
    job = await look(engine, job_id)
    return door.ready(job, value_of(engine.tasks, job)) if job.is_final else door.accepted(job)


async def _end_of(engine: Engine, job_id: str) -> Job:
    pace = Pace(*POLL)
    with engine.watching(job_id) as ended:
        while True:
            ended.clear()
            job = await look(engine, job_id)
            if job.is_final:
                return job
            await pace.wait(ended)

"""Events: a job as it is now, and again whenever that has changed, wherever it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from ._engine import Engine
from ._job import Job

POLL = (0.1, 0.5)  # seconds between two looks at a job that another process runs: first, longest


async def events(engine: Engine, job_id: str) -> AsyncGenerator[Job, None]:
    """See `Errands.events`.

    What this process stores wakes us at once; what others store is seen at the next look.
    """
    last: Job | None = None
    wait, longest = POLL
    with engine.watching(job_id) as changed:
        while True:
            changed.clear()
            job = await engine.store.get(job_id)
            if job is None:
                raise LookupError(f"there is no job {job_id!r}, or no longer")
            if last is None or _shown(job) != _shown(last):
                last, wait = job, POLL[0]
                yield job
            if job.is_final:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await changed.wait()
            wait = min(wait * 1.5, longest)


def _shown(job: Job) -> tuple[object, ...]:
    """What makes an event when it changes; the end of a lease, which is renewed, does not."""
    return job.version, job.progress

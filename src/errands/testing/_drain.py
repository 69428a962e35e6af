"""Wait until the background has nothing left to do."""

from __future__ import annotations

import asyncio
from datetime import datetime

from errands import Errands, Job, State

LOOK = 0.005  # seconds between two looks


async def drain(errands: Errands, timeout: float = 10.0) -> None:
    """Wait until no local task is pending and no job is running or due.

    Services, which never end, and jobs whose time has not come, retries among them, are left
    alone. In a synchronous test:
    `client.portal.call(drain, errands)`, inside `with TestClient(app) as client`.

    Raises:
        TimeoutError: if that takes longer than `timeout` seconds; it names what is left.
    """
    left: list[str] = []
    try:
        async with asyncio.timeout(timeout):
            while left := await _unfinished(errands):  # noqa: ASYNC110  # in other processes, too
                await asyncio.sleep(LOOK)
    except TimeoutError:
        raise TimeoutError(f"after {timeout:g} s there is still: {', '.join(left)}") from None


async def _unfinished(errands: Errands) -> list[str]:
    """What is left, as seen at one instant.

    What may still add a job is asked for before the store is read, too: it may add its job after
    that, and be over before the answer is here.
    """
    before = _adding(errands)
    jobs = await errands.jobs(states=[State.QUEUED, State.RUNNING], limit=1000)
    now = errands.now()
    left = [f"{job.task} ({job.state})" for job in jobs if _is_due(job, now)]
    return left + (_adding(errands) or before)


def _adding(errands: Errands) -> list[str]:
    """What runs in this process and may add jobs."""
    left = ["a schedule whose time has come"] * errands.is_behind
    return left + [f"{errands.pending} local tasks"] * bool(errands.pending)


def _is_due(job: Job, now: datetime) -> bool:
    is_service = (job.key or "").startswith("service:")
    return not is_service and (job.state is State.RUNNING or job.free_at <= now)

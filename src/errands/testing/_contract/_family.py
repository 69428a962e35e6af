"""Jobs that wait for others, as the contract makes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from errands import Job, Store

from ._rows import LATER, NOW, a_claim, ids, job

KEPT_BACK = job(waits_for=("a",)).retried(NOW)
SOON = NOW + timedelta(seconds=1)


def after(*parents: Job, **fields: Any) -> Job:
    """A job that waits for others."""
    waits: dict[str, Any] = {
        "waits_for": tuple(ids(parents)), "free_at": KEPT_BACK.free_at,
        "blocked_by": KEPT_BACK.blocked_by,
    }  # fmt: skip  # a row
    return job(**waits | fields)


async def ended(store: Store, *jobs: Job) -> None:
    """Let these jobs end, by being cancelled a second after they were due."""
    assert set(ids(jobs)) == await store.save([each.cancelled(SOON) for each in jobs])


async def claimed(store: Store) -> list[str]:
    """The ids of what is free by then."""
    return ids(await store.claim(a_claim(now=LATER, limit=50)))

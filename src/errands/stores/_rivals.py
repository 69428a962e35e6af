"""Jobs of one addition that would have the same key."""

from __future__ import annotations

from collections.abc import Sequence

from .._job import Job


def rival_within(jobs: Sequence[Job]) -> Job | None:
    """The first of these jobs whose key another of them has, too."""
    first: dict[str, Job] = {}
    for job in jobs:
        if job.key is not None and first.setdefault(job.key, job) is not job:
            return first[job.key]
    return None

"""The suspicion: keeps apart the jobs that may have killed their workers.

What runs beside a job that kills its process dies as often as it does. So a process has one
job at a time whose last workers were all lost; the others go back, before it starts, without
costing an attempt.
"""

from __future__ import annotations

import random
from datetime import timedelta

from ._clock import Clock
from ._job import Job
from ._runs import Runs
from ._store import Store
from ._supervisor import Patience

SHORTEST_PAUSE = timedelta(seconds=0.5)  # of a job that waits for others under suspicion
LONGEST_PAUSE = timedelta(seconds=30)


class Suspicion:
    """Looks at the jobs that one worker has claimed.

    Args:
        runs: What is running here.
    """

    def __init__(self, store: Store, clock: Clock, patience: Patience, runs: Runs) -> None:
        """Suspect nobody yet."""
        self._store, self._clock, self._patience, self._runs = store, clock, patience, runs

    async def sift(self, claimed: list[Job]) -> list[Job]:
        """Those that are to start; the others have gone back by then."""
        suspects = [job for job in claimed if job.history and job.is_suspect]
        if not suspects:
            return claimed
        starting = [job for job in claimed if not job.is_suspect]
        return starting + await self._one_of(suspects)

    async def _one_of(self, suspects: list[Job]) -> list[Job]:
        """One of them, or none if one is here already."""
        random.shuffle(suspects)
        one = [] if self._runs.has_suspect else [suspects.pop()]
        now = self._clock.now()
        later = [job.postponed(now + _pause(now - job.history[-1].ended_at)) for job in suspects]
        if later:
            await self._patience.until_done(lambda: self._store.save(later))
        return one


def _pause(since: timedelta) -> timedelta:
    """How long a job is postponed that is under suspicion for so long: about as long again."""
    longest = min(max(since, SHORTEST_PAUSE), LONGEST_PAUSE)
    return timedelta(milliseconds=round(longest.total_seconds() * random.uniform(500, 1000)))

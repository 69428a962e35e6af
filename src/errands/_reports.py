"""The progress of runs: kept for a moment, and then stored, that of many by one report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ._clock import Clock
from ._job import Job
from ._run import Run
from ._store import Store
from ._supervisor import Patience

TELL = 0.1  # seconds between two reports


class Reports:
    """Those of one worker.

    Args:
        told: Called with the jobs whose progress is stored.

    Attributes:
        waiting: The runs that have come further than what is stored, by the ids of their jobs.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        patience: Patience,
        told: Callable[[Sequence[Job]], object],
    ) -> None:
        """Belong to the running event loop; wait for none yet."""
        self._store, self._clock, self._patience = store, clock, patience
        self._told = told
        self.waiting: dict[str, Run] = {}
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def note(self, run: Run) -> None:
        """Have the progress of a run stored soon. Called by `progress`, from whatever thread."""
        if run.job.id not in self.waiting:
            self.waiting[run.job.id] = run
            self._loop.call_soon_threadsafe(self._news.set)

    async def save(self) -> None:
        """Store what is noted, without end."""
        while True:
            await self._news.wait()
            self._news.clear()
            # one by one, as threads add others meanwhile
            advanced = [self.waiting.pop(job_id) for job_id in list(self.waiting)]
            jobs = [run.job for run in advanced if not run.is_settling]
            if jobs:
                await self._patience.until_done(lambda: self._store.report(jobs))  # noqa: B023  # as above
                self._told(jobs)
            await self._clock.sleep(TELL)

"""The jobs of a request: stored and held until it is over, then started; or dropped."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

from ._intake import Intake
from ._job import Job, State
from ._store import OnConflict
from ._worker import Worker
from .errors import StoreUnavailable

logger = logging.getLogger("errands")

HELD = timedelta(seconds=60)  # a request whose jobs have limits is over by then, or it has died


class Reserving(Intake):
    """The part of `Engine` that requests ask, by their `BackgroundTasks`."""

    async def hold(self, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
        """Store jobs that are not to start before `start` is called.

        Those that this process may run are leased to it meanwhile, so that nobody else starts
        one before the request, and its transaction, are over. One that has a limit takes none of
        its places so early: it is due later, and at once when it is started.
        """
        async with self._room.kept_for(jobs, self.store):
            return await self._hold(jobs, on_conflict)

    def start(self, jobs: Sequence[Job]) -> None:
        """Start jobs that were held."""
        for job in jobs:
            if self._worker is not None and job.worker == self._worker.name:
                self._worker.start_held(job)
        if later := [job.due_again() for job in jobs if job.is_bound and job.free_at > job.due_at]:
            self.keep_up(self._free(later))

    async def drop(self, jobs: Sequence[Job]) -> None:
        """Remove jobs that were held: their request failed.

        If the store does not answer, they stay held until it does, and so are not run.
        """
        try:
            removed = await self.store.remove(jobs)
        except StoreUnavailable:
            self.keep_up(self._drop_later(jobs))
        else:
            self._dropped(jobs, removed)

    async def _hold(self, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
        worker = self._worker
        if worker is None or on_conflict == "replace":
            return self._added(jobs, await self.store.add(jobs, on_conflict))
        jobs = [self._held(job, worker) if worker.takes(job) else job for job in jobs]
        kept = self._added(jobs, await self.store.add(jobs, on_conflict))
        for job, there in zip(jobs, kept, strict=True):
            if job.state is State.RUNNING and there.id == job.id:
                worker.hold(there)
        return kept

    def _held(self, job: Job, worker: Worker) -> Job:
        return job.extended(self.clock.now() + HELD) if job.is_bound else worker.claimed(job)

    async def _free(self, jobs: Sequence[Job]) -> None:
        await self._patience.until_done(lambda: self._store.save(jobs))

    async def _drop_later(self, jobs: Sequence[Job]) -> None:
        self._dropped(jobs, await self._patience.until_done(lambda: self._store.remove(jobs)))

    def _dropped(self, jobs: Sequence[Job], removed: Collection[str]) -> None:
        for job in jobs:
            if self._worker is not None:
                self._worker.forget(job)
            if job.id not in removed:
                logger.warning("job %s (%s) has moved on and cannot be dropped", job.id, job.task)

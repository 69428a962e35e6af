"""The outcomes of runs: kept until they are stored, many by one save."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from ._clock import Clock
from ._job import Job, State
from ._plain import kept
from ._run import Run
from ._store import Store
from ._supervisor import Patience

logger = logging.getLogger("errands.worker")

Ended = tuple[Run, Job]  # a run, and its job as it is to be saved


class Outcomes:
    """Those of one worker that wait to be stored.

    Args:
        settled: Called with each once the store has answered, and with whether it is stored:
            it is not where somebody else has changed the job.
        told: Called with jobs that were cancelled, stored so, after their runs had settled.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        patience: Patience,
        settled: Callable[[Run, Job, bool], object],
        told: Callable[[Job], object],
    ) -> None:
        """Wait for none yet."""
        self._store, self._clock, self._patience = store, clock, patience
        self._settled, self._told = settled, told
        self._waiting: list[Ended] = []
        self._news = asyncio.Event()

    def add(self, run: Run, job: Job) -> None:
        """Have the outcome of a run stored soon."""
        self._waiting.append((run, job))
        self._news.set()

    async def save(self) -> None:
        """Store what is added, without end."""
        while True:
            await self._news.wait()
            self._news.clear()
            ended, self._waiting = self._waiting, []
            try:
                stored = await self._stored(ended)
            except BaseException:
                self._waiting = ended + self._waiting
                self._news.set()
                raise
            for (run, job), is_stored in stored:
                self._settled(run, job, is_stored)
            await self._cancel_asked([job for (_, job), is_stored in stored if is_stored])

    async def _stored(self, ended: Sequence[Ended]) -> list[tuple[Ended, bool]]:
        """The outcomes as they were saved, and whether each of them was."""
        try:
            saved = await self._saved([job for _, job in ended])
        except Exception:  # noqa: BLE001  # one of them sank the others; it is logged alone
            return [await self._stored_alone(run, job) for run, job in ended]
        return [((run, job), job.id in saved) for run, job in ended]

    async def _stored_alone(self, run: Run, job: Job) -> tuple[Ended, bool]:
        """What no store can keep has failed: it must not end the worker and all that runs there."""
        try:
            return (run, job), job.id in await self._saved([job])
        except Exception as error:
            logger.exception(
                "the outcome of job %s (%s), %s, cannot be stored: it has failed",
                job.id, job.task, job.state,
            )  # fmt: skip  # a message and its parts
            why = f"Its outcome, {job.state}, cannot be stored: {type(error).__name__}: {error}"
        failed = replace(run.job, progress=None).failed(kept(why), self._clock.now())
        return (run, failed), failed.id in await self._saved([failed])

    async def _saved(self, jobs: Sequence[Job]) -> set[str]:
        return await self._patience.until_done(lambda: self._store.save(jobs))

    async def _cancel_asked(self, saved: Sequence[Job]) -> None:
        """Cancel what waits for its next attempt, and was asked to end before the last was over.

        Nobody would see that before the next start. What goes back otherwise starts at once.
        """
        now = self._clock.now()
        waiting = [job.id for job in saved if job.state is State.QUEUED and job.free_at > now]
        if not waiting:
            return
        there = await self._patience.until_done(
            lambda: asyncio.gather(*(self._store.get(job_id) for job_id in waiting))
        )
        asked = [job for job in there if job and job.is_cancelling and job.state is State.QUEUED]
        if not asked:
            return
        cancelled = [job.cancelled(now) for job in asked]
        done = await self._saved(cancelled)
        for job in cancelled:
            if job.id in done:
                self._told(job)

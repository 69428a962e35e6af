"""What one worker holds: the jobs that are leased to it, and the slots of those that run.

A job is held from the moment its lease is ours until its outcome is stored. A slot is in use
only while its function runs, so that saving never keeps the next job waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta

from ._clock import Clock
from ._job import Job
from ._run import Run

PROBATION = timedelta(seconds=60)  # in which a job that lost its workers shows that it is not why


class Holdings:
    """The part of `Runs` that keeps count.

    Args:
        slots: How many run side by side, at the most.
        freed: Called when a slot is free again.
    """

    def __init__(self, slots: int, clock: Clock, freed: Callable[[], object]) -> None:
        """Hold nothing yet."""
        self.slots, self._clock, self._freed = slots, clock, freed
        self._held: dict[str, Run] = {}
        self._busy = 0
        self._nothing_runs, self._nothing_held = asyncio.Event(), asyncio.Event()
        self._nothing_runs.set()
        self._nothing_held.set()

    @property
    def free(self) -> int:
        """How many more jobs may start."""
        return self.slots - self._busy

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return sum(run.task is not None and not run.is_ended for run in self._held.values())

    @property
    def tasks(self) -> set[str]:
        """The names of the tasks of all jobs that are held."""
        return {run.job.task for run in self._held.values()}

    def count(self, tasks: Collection[str]) -> int:
        """How many jobs of these tasks are held."""
        return sum(run.job.task in tasks and not run.is_ended for run in self._held.values())

    @property
    def jobs(self) -> list[Job]:
        """The jobs that run now."""
        return [run.job for run in self._held.values() if run.task and not run.is_ended]

    @property
    def has_suspect(self) -> bool:
        """Whether a job is here that lost its last workers, and has not lived here for a while."""
        since = self._clock.now() - PROBATION
        return any(
            run.job.is_suspect and not run.is_ended and (run.job.started_at or since) > since
            for run in self._held.values()
        )

    def held(self) -> list[str]:
        """The ids of the jobs whose leases are to be kept. May be asked from any thread."""
        held = list(self._held.values())  # at once, as others come and go
        return [each.job.id for each in held if not each.is_stored]

    @property
    def is_busy(self) -> bool:
        """Whether a job is held."""
        return bool(self._held)

    def occupy(self, slots: int = 1) -> None:
        """Keep slots for jobs that are about to start."""
        self._busy += slots
        self._nothing_runs.clear()

    def vacate(self, slots: int = 1) -> None:
        """Free slots."""
        self._busy -= slots
        if not self._busy:
            self._nothing_runs.set()
        self._freed()

    def holds(self, job: Job) -> bool:
        """Whether the job's lease is ours, at this version, and it has not ended."""
        held = self._held.get(job.id)
        return held is not None and not held.is_ended and held.job.version == job.version

    async def ended(self) -> None:
        """Wait until nothing runs and every outcome is stored."""
        await self._nothing_held.wait()

    def _leave(self, held: Run | None, job_id: str) -> None:
        if held is not None and self._held.get(job_id) is held:
            del self._held[job_id]
        if not self._held:
            self._nothing_held.set()

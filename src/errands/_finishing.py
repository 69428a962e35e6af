"""A job that its own function finishes, in a transaction of the function's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ._clock import Clock
from ._job import Job
from ._store import Store
from ._task import Task
from .errors import JobLost


class Finishing:
    """What one run has done to finish its job; only the store knows what came of it.

    Args:
        task: What the job is a call of.
    """

    def __init__(self, store: Store, task: Task, clock: Clock) -> None:
        """Nothing has been done."""
        self._store, self._task, self._clock = store, task, clock
        self._outcomes: list[Job] = []  # more than one if a transaction was begun anew

    @property
    def is_begun(self) -> bool:
        """Whether the store is to be asked for the outcome."""
        return bool(self._outcomes)

    async def finish(self, job: Job, connection: Any, result: Any) -> None:
        """Mark the job done in the transaction of `connection`.

        Raises:
            JobLost: if the job is no longer this run's.
            NotSerializable: if the result cannot be kept.
            UnfitConnection: if the job cannot be written by that connection.
        """
        outcome = job.done(self._task.codec.dump_result(result), self._clock.now())
        self._outcomes.append(outcome)  # first, as an answer may get lost on its way
        if outcome.id not in await self._store.save_within(connection, [outcome]):
            raise JobLost(job)

    def committed(self, there: Job | None) -> Job | None:
        """The outcome that was committed, if what is stored is one of them.

        Args:
            there: What is stored.
        """
        if there is None:
            return None
        alike = (replace(outcome, key=there.key) for outcome in self._outcomes)
        return there if there in alike else None

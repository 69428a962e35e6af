"""Runs whose functions finish their jobs by themselves: the store is asked what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from ._clock import Clock
from ._job import Job, Outcome, State
from ._run import Run
from ._runner import not_committed
from ._store import Store
from ._supervisor import Patience
from ._task import Task

logger = logging.getLogger("errands.worker")


class Doubts:
    """Whether a job is done may be known to the database alone, once its function finished it.

    Args:
        give_up: Told about runs that have lost their job after all.
    """

    def __init__(
        self,
        store: Store,
        tasks: Mapping[str, Task],
        clock: Clock,
        patience: Patience,
        give_up: Callable[[Run], object],
    ) -> None:
        """Doubt nothing yet."""
        self._store, self._tasks, self._clock = store, tasks, clock
        self._patience, self._give_up = patience, give_up
        self._runs: list[Run] = []
        self._new = asyncio.Event()

    def add(self, run: Run) -> None:
        """Its lease is ours no longer: it is done while its function goes on, or lost."""
        self._runs.append(run)
        self._new.set()

    async def look(self) -> None:
        """Resolve what is added, without end."""
        while True:
            await self._new.wait()
            self._new.clear()
            doubtful, self._runs = self._runs, []
            for run in doubtful:
                there = await self._stored(run)
                if run.finishing is not None and run.finishing.committed(there) is not None:
                    run.is_stored = True
                elif not run.is_ended:
                    self._give_up(run)

    async def settled(self, run: Run, outcome: Job) -> Job:
        """What became of a job whose function has ended.

        Args:
            outcome: What becomes of it if the function has not finished it by itself.
        """
        if run.finishing is None or not run.finishing.is_begun:
            return outcome
        try:
            there = await self._stored(run)
        except asyncio.CancelledError:  # nobody can wait: where it is done, this is refused
            return run.job.released(self._clock.now())
        done = run.finishing.committed(there)
        if done is None and outcome.state is State.DONE:
            return not_committed(run, self._tasks[outcome.task], self._clock)
        if done is None:
            return outcome
        run.is_stored = True
        if outcome.history[-1].outcome is Outcome.FAILED:
            logger.error(
                "job %s (%s) is done, for its transaction was committed; then it failed: %s",
                done.id, done.task, outcome.error,
            )  # fmt: skip  # a call
        return done

    async def _stored(self, run: Run) -> Job | None:
        return await self._patience.until_done(lambda: self._store.get(run.job.id))

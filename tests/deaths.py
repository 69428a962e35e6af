"""Workplaces whose workers die: on any store, with many jobs added at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from server_driver import Effect, wait_until
from stored_jobs import stored_at
from worker_driver import Workplace, named

from errands import Errands, Job, Outcome, State

APP = "apps_deaths:errands"
UNFINISHED = (State.QUEUED, State.RUNNING)


@dataclass
class Anywhere(Workplace):
    """A workplace on the store that is named.

    Attributes:
        at: Its URL.
    """

    at: str

    @property
    def url(self) -> str:
        """The store's."""
        return self.at

    def add_all(self, task: str, texts: Sequence[str]) -> None:
        """Keep one job for each text."""

        async def add() -> None:
            errands = Errands(self.url)
            function = named(task)
            errands.task(name=task)(function)
            async with errands:
                await errands.add_tasks([(function, text) for text in texts])

        asyncio.run(add())

    def stored(self) -> dict[str, Job]:
        """All jobs in the store, by the text that each was given."""
        return stored_at(self.url)

    def wait_until_done(self, texts: Sequence[str]) -> None:
        """Return once the store says so of all these jobs."""

        def are_done() -> bool:
            jobs = self.stored()
            return all(text in jobs and jobs[text].state is State.DONE for text in texts)

        wait_until(are_done, lambda: f"done: {self.stored()}")

    def wait_until_all_ended(self, seconds: float) -> None:
        """Return once no job waits or runs; of many, this is known sooner than which are done."""

        async def count() -> int:
            async with Errands(self.url) as errands:
                counts = await errands.count()
            return sum(n for (_, state), n in counts.items() if state in UNFINISHED)

        wait_until(lambda: asyncio.run(count()) == 0, "all had ended", seconds)

    def wait_until_started(self, texts: Sequence[str], times: int = 1) -> list[list[Effect]]:
        """The starts of each of these jobs, once there are so many of each."""
        wait_until(
            lambda: len(self._starts(texts)) >= times * len(texts),
            lambda: f"{len(texts)} had started {times} times: {self._starts(texts)}",
        )
        return [self.effects("start", text) for text in texts]

    def _starts(self, texts: Sequence[str]) -> list[Effect]:
        return [effect for effect in self.effects("start") if effect.text in texts]


def outcomes(job: Job) -> list[Outcome]:
    """How its attempts ended."""
    return [attempt.outcome for attempt in job.history]

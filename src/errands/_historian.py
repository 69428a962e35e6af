"""The historian: counts what ends in this process, and adds it to the store's history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ._clock import Clock
from ._history import KEPT, Count, Tally
from ._job import Job
from ._store import Store
from ._supervisor import Patience
from .errors import StoreUnavailable

FLUSH = 5.0  # seconds between two additions to the store
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
PRUNE = 60  # additions between two prunings: every five minutes


class Historian:
    """Counts outcomes in memory; a store that is away gets them later."""

    def __init__(self, store: Store, clock: Clock, patience: Patience) -> None:
        """Count nothing yet."""
        self._store, self._clock, self._patience = store, clock, patience
        self._counts: dict[tuple[str, str], Count] = {}  # of this minute
        self._minute = LONG_AGO
        self._tallies: list[Tally] = []  # of the minutes before
        self._added = 0

    def note(self, job: Job) -> None:
        """Count the outcome of an attempt that is stored."""
        if job.started_at is None or not job.history:
            return
        last = job.history[-1]
        ended_at = last.ended_at
        # quicker than to compare instants, and enough: nobody is away for a day to the minute
        if (
            not self._counts
            or ended_at.minute != self._minute.minute
            or ended_at.hour != self._minute.hour
        ):
            self._close_minute()
            self._minute = ended_at.replace(second=0, microsecond=0)
        count = self._counts.get((job.queue, job.task))
        if count is None:
            count = self._counts[job.queue, job.task] = Count()
        count.add(job, last)

    async def run(self) -> None:
        """Add to the history now and then, without end."""
        while True:
            await self._clock.sleep(FLUSH)
            if tallies := self._taken():
                await self._patience.until_done(lambda: self._store.add_history(tallies))
            if self._added % PRUNE == 0:
                await self._patience.until_done(self._prune)
            self._added += 1

    async def stop(self) -> None:
        """Add what is left, if the store answers."""
        if tallies := self._taken():
            try:
                await self._store.add_history(tallies)
            except StoreUnavailable as error:
                self._patience.tell(error)

    def _close_minute(self) -> None:
        counts, self._counts = self._counts, {}
        for (queue, task), count in counts.items():
            self._tallies += count.tallies(self._minute, queue, task)

    def _taken(self) -> Sequence[Tally]:
        self._close_minute()
        tallies, self._tallies = self._tallies, []
        return tallies

    async def _prune(self) -> None:
        now = self._clock.now()
        for step, kept in KEPT.items():
            await self._store.prune_history(step, now - kept)

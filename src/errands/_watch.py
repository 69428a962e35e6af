"""The watch: warns of what an operator would want to know, each with its cure."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from ._clock import Clock
from ._local import Locals
from ._store import Store
from ._supervisor import Patience

logger = logging.getLogger("errands.watch")

LOOK = 15.0  # seconds between two looks
LATE = timedelta(seconds=60)  # for which jobs have been waiting that somebody should know
STARVED = 5.0  # seconds that a local task waits for a thread before that is told
QUIET = timedelta(minutes=10)  # between two warnings of the same thing
SKEW = 1.0  # seconds that this machine's clock may be wrong


class Watch:
    """Looks around now and then, and says nothing twice in ten minutes."""

    def __init__(self, store: Store, clock: Clock, patience: Patience, local: Locals) -> None:
        """See nothing yet."""
        self._store, self._clock, self._patience, self._local = store, clock, patience, local
        self._told: dict[str, datetime] = {}

    async def run(self) -> None:
        """Look, without end."""
        while True:
            await self._clock.sleep(LOOK)
            await self.look()

    async def look(self) -> None:
        """Look once."""
        await self._look_for_strangers()
        self._look_at_the_clock()
        self._look_at_threads()

    async def _look_for_strangers(self) -> None:
        """Jobs that wait, and no worker that lives would take them."""
        before = self._clock.now() - LATE
        places = await self._patience.until_done(lambda: self._store.places(before))
        if not places:
            return
        workers = await self._patience.until_done(self._store.workers)
        now = self._clock.now()
        alive = [worker for worker in workers if worker.is_alive(now)]
        for queue, task in sorted(places):
            if not any(worker.takes(queue, task) for worker in alive):
                self._warn(
                    f"{queue}/{task}",
                    "jobs of %r wait in the queue %r, and none of the %d workers that live would "
                    "take them: start one that imports this task and works for this queue, or "
                    "cancel them with errands.cancel(Query(task=%r))",
                    task, queue, len(alive), task,
                )  # fmt: skip  # a message and its parts

    def _look_at_the_clock(self) -> None:
        skew = self._clock.skew
        if abs(skew) > SKEW:
            self._warn(
                "clock",
                "this machine's clock is %.1f s %s the store's: jobs are due by the store's, "
                "log lines and your own timestamps are not. Set it by NTP",
                abs(skew), "ahead of" if skew > 0 else "behind",
            )  # fmt: skip  # a message and its parts

    def _look_at_threads(self) -> None:
        waiting, seconds = self._local.starving()
        if seconds > STARVED:
            self._warn(
                "threads",
                "%d local tasks wait for a thread, the first for %.0f s: raise "
                "Errands(threads=…), make them coroutines, or declare them with @errands.task",
                waiting, seconds,
            )  # fmt: skip  # a message and its parts

    def _warn(self, about: str, message: str, *parts: object) -> None:
        now = self._clock.now()
        if about not in self._told or now - self._told[about] >= QUIET:
            self._told[about] = now
            logger.warning(message, *parts)

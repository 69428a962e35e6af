"""The scheduler: adds the job of each tick when its time comes.

Each process at work has one, and none leads: the job of a tick has the same id whoever adds it,
and so it is kept once. What was dealt with stands in the store, so that mostly one of them does
it and the others see that it is done.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ._clock import Clock
from ._job import Job
from ._schedule import AHEAD, SILENCE, Schedule
from ._store import Store
from ._supervisor import Patience
from ._task import Tasks
from .errors import StoreUnavailable

logger = logging.getLogger("errands.scheduler")

LOOK = 1.0  # seconds between two looks at the schedules, at the most; less than `AHEAD`
KNOWN = timedelta(seconds=30)  # how often it is told that a schedule is declared
FRESH = timedelta(seconds=0.05)  # for which nobody has changed what we read, added and pruned
FORGET = timedelta(days=30)  # for which a schedule that the code declared no more is shown


class Scheduler:
    """Adds jobs for the schedules that this process declares, and those added at run time.

    Args:
        declared: Those of the code, as they are stored first.
        worker: By whom they are known.
    """

    def __init__(
        self,
        store: Store,
        tasks: Tasks,
        clock: Clock,
        patience: Patience,
        declared: Sequence[Schedule],
        worker: str,
    ) -> None:
        """Belong to the running event loop; look at nothing yet."""
        self._store, self._tasks, self._clock, self._patience = store, tasks, clock, patience
        self._declared: dict[str, Schedule] = {}
        self._worker, self._began = worker, clock.now()
        self._settled: set[str] = set()  # of the declared ones, those that the store knows
        self._told: set[str] = set()
        self._read_at = self._began  # when the store was asked for the schedules
        self._next: datetime | None = self._began  # the first tick that is not dealt with
        self._wake = asyncio.Event()
        self._asked = self._answered = 0  # looks
        self.adopt(declared)

    @property
    def is_behind(self) -> bool:
        """Whether the time of a tick has come, and its job is not in the store yet."""
        is_due = self._next is not None and self._next <= self._clock.now()
        return is_due or self._asked > self._answered

    def adopt(self, declared: Sequence[Schedule]) -> None:
        """See to these instead of those that the code declared before."""
        before, self._declared = self._declared, {each.name: each for each in declared}
        said = {name: each.declared for name, each in before.items()}
        self._settled -= {each.name for each in declared if said.get(each.name) != each.declared}
        self.wake()

    def wake(self) -> None:
        """Look at the schedules now: one has changed, or may be due."""
        self._asked += 1
        self._wake.set()

    async def begin(self) -> None:
        """Store what the code declares, as a start; if the store is away, `run` does it."""
        if self._declared:
            try:
                await self._declare()
            except StoreUnavailable as error:
                self._patience.tell(error)

    async def run(self) -> None:
        """Add jobs until cancelled."""
        while True:
            self._wake.clear()
            asked = self._asked
            schedules = await self._patience.until_done(self._declare)
            await self._tick([each for each in schedules if self._is_ours(each)])
            await self._look_after([each for each in schedules if not self._is_ours(each)])
            self._answered = asked
            await self._sleep()

    async def _declare(self) -> list[Schedule]:
        """Store what the code declares, unless it was stored before, and answer with all.

        What was changed at run time stays, until the code says something else. In a rolling
        deploy the code that was started last has its way.
        """
        self._read_at = self._clock.now()
        schedules, now = await self._store.schedules(), self._clock.now()
        there = {schedule.name: schedule for schedule in schedules}
        changes = []
        for name, declared in self._declared.items():
            before = there.get(name)
            if before is not None and before.declared == declared.declared:
                self._settled.add(name)
            elif before is None:
                changes.append(self._begun(declared, now))
            elif name not in self._settled:
                changes.append(before.redeclared(self._begun(declared, now)))
        if not changes:
            return schedules
        await self._store.put_schedules(changes)
        return await self._store.schedules()

    def _begun(self, declared: Schedule, now: datetime) -> Schedule:
        upcoming = declared.when.next_after(now)
        return replace(declared, next_tick=upcoming, known_at=now, known_by=self._worker)

    def _is_ours(self, schedule: Schedule) -> bool:
        """Whether we may add its jobs.

        One that the code declared is left to those whose code still does: a schedule that was
        taken out of the code must not go on because its task is still there.
        """
        is_declared = schedule.declared is None or schedule.name in self._declared
        return is_declared and schedule.task in self._tasks

    async def _tick(self, schedules: Sequence[Schedule]) -> None:
        """Add the jobs of all ticks whose time has come, and then store that this was done.

        In this order, since whoever comes to the same tick later adds the same jobs.
        """
        now, jobs, changes = self._clock.now(), dict[str, list[Job]](), list[Schedule]()
        upcoming: list[datetime] = []
        for before in schedules:
            after = before
            try:
                if before.next_tick is not None and before.next_tick <= now + AHEAD:
                    ticks, after = before.ticked(self._worker, now)
                    jobs[before.name] = [self._job(before, tick, now) for tick in ticks]
                if after.next_tick is not None:
                    upcoming.append(after.wanted_at(after.next_tick))
            except ValueError as error:  # another version's, or a zone that is gone
                self._tell_once(before, f"cannot be read here, and is left to others: {error}")
                continue
            if after.next_tick != before.next_tick:
                changes.append(after)
            elif now - before.known_at > KNOWN:
                changes.append(before.known(self._worker, now))
        if jobs:
            versions = {each.name: each.version for each in schedules}
            await self._patience.until_done(lambda: self._add(jobs, versions))
        if changes:
            await self._patience.until_done(lambda: self._store.put_schedules(changes))
        self._next = min(upcoming, default=None)

    async def _add(self, jobs: Mapping[str, Sequence[Job]], versions: Mapping[str, int]) -> None:
        """Add the jobs of each schedule, unless somebody has changed it since it was read.

        Then others may have added the same jobs, and they may be over and pruned already: the
        next look says which of them are missing.
        """
        if self._clock.now() - self._read_at > FRESH:  # we were held up
            there = {each.name: each.version for each in await self._store.schedules()}
            same = {n: these for n, these in jobs.items() if there.get(n) == versions[n]}
            if len(same) < len(jobs):
                self.wake()
            jobs = same
        await self._store.add([job for these in jobs.values() for job in these])

    def _job(self, schedule: Schedule, tick: datetime, now: datetime) -> Job:
        task, due_at = self._tasks[schedule.task], schedule.due_at(tick)
        return Job.of(
            id=schedule.tick_id(tick), task=task.name, payload=schedule.payload, due_at=due_at,
            free_at=due_at, added_at=now, queue=task.queue, priority=task.priority,
            key=schedule.key, **task.keys(schedule.payload),
        )  # fmt: skip  # a row

    async def _look_after(self, schedules: Sequence[Schedule]) -> None:
        """Say which schedules nobody declares any more, and forget them in the end."""
        now = self._clock.now()
        if now - self._began <= SILENCE:  # others may just be starting, too
            return
        orphans = [each for each in schedules if each.is_orphaned(now) and not each.is_removed]
        for each in orphans:
            self._tell_once(
                each,
                f"is orphaned: no process declares it, or its task {each.task}, any more. Declare "
                f"it, or remove it with errands.schedules.remove({each.name!r})",
            )
        old = [s.name for s in schedules if s.declared and now - s.known_at > FORGET]
        if old:
            await self._patience.until_done(lambda: self._store.remove_schedules(old))

    def _tell_once(self, schedule: Schedule, what: str) -> None:
        if schedule.name not in self._told:
            self._told.add(schedule.name)
            logger.warning("schedule %r %s", schedule.name, what)

    async def _sleep(self) -> None:
        """Until the next look, which is not that of all other processes, or the next tick."""
        pause = LOOK * random.uniform(0.5, 1.0)
        if self._next is not None:
            pause = min(pause, (self._next - self._clock.now()).total_seconds())
        if pause > 0:
            timer = self._clock.call_later(pause, self.wake)
            await self._wake.wait()
            timer.cancel()

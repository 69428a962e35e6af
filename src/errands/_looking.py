"""What an application asks of the store: jobs, counts, workers, history."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from ._engine import Engine
from ._heartbeat import Heartbeat
from ._history import KEPT, MINUTE, STEPS, Tally
from ._job import Job, State, id_of
from ._limit import LimitUse
from ._plain import Seconds, seconds
from ._query import Query
from ._results import result
from ._schedule import Schedule
from ._spec import Spec

MOST_COUNTED = 10_000  # jobs that one limit keeps back


class Looking:
    """The part of `Errands` that looks."""

    _engine: Engine

    async def job(self, job: Job | str, /) -> Job | None:
        """The job of this id as it is now, if it is still kept; of a job, the same of its id."""
        return await self._engine.store.get(id_of(job))

    async def jobs(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        task: str | None = None,
        key: str | None = None,
        group: str | None = None,
        text: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: str | None = None,
        oldest: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Job]:
        """The jobs that match everything that is given, newest first.

        Args:
            text: What their arguments or an attempt's error contain.
            since: Only those that were added at this instant or later.
            until: Only those that were added earlier.
            before: The id of the last job of the page before.
            oldest: The id of the last job that may be found.
            limit: How many at most.
            offset: How many of the newest to leave out. A page deep down is found sooner with
                `before`.
        """
        if limit < 1:
            raise ValueError(f"jobs(limit={limit!r}): expected 1 or more")
        if offset < 0:
            raise ValueError(f"jobs(offset={offset!r}): expected 0 or more")
        return await self._engine.store.find(
            Query(
                states=[
                    State(state) for state in ([states] if isinstance(states, str) else states)
                ],
                queue=queue,
                task=task,
                key=key,
                group=group,
                text=text,
                since=since,
                until=until,
                before=before,
                oldest=oldest,
                limit=limit,
                offset=offset,
            )
        )

    async def count(self) -> Mapping[tuple[str, State], int]:
        """How many jobs each queue has in each state; a missing pair has none."""
        return await self._engine.store.count()

    async def waiting_since(self) -> Mapping[str, datetime]:
        """Since when the job of each queue could start that could for longest, and waits still.

        A queue without such a job is missing; one that is paused is there.
        """
        return await self._engine.store.waiting_since(self._engine.clock.now())

    async def limits_in_use(self, *, limit: int = 100) -> list[LimitUse]:
        """The limits by which jobs run or are kept back just now, by key.

        Args:
            limit: How many at most. Of each 10,000 jobs are counted that are kept back.
        """
        return await self._engine.store.limits_in_use(limit, MOST_COUNTED)

    async def workers(self) -> list[Heartbeat]:
        """The workers of all processes on this store, newest first.

        Each tells of itself every 5 seconds; `is_alive(errands.now())` says whether it still
        does. One that is gone is shown for a day more.
        """
        return await self._engine.store.workers()

    async def history(
        self, since: datetime | None = None, *, step: timedelta = MINUTE
    ) -> list[Tally]:
        """How many attempts ended when, how long they had waited and run: for charts.

        Args:
            since: The first step's beginning; by default all that is kept.
            step: A minute, of which two hours are kept, or an hour, of which seven days are.

        Raises:
            ValueError: if it is another step.
        """
        if step not in STEPS:
            raise ValueError(f"history(step={step!r}): expected a minute or an hour")
        begin = self._engine.clock.now() - KEPT[step] if since is None else since
        return await self._engine.store.history(step, begin)

    def upcoming(self, schedule: Schedule | Spec, count: int = 5) -> list[datetime]:
        """The next instants at which it is due, before its jitter; in UTC.

        Fewer than asked for if it ends before, none if it is paused.
        """
        spec = schedule.when if isinstance(schedule, Schedule) else schedule
        is_still = isinstance(schedule, Schedule) and schedule.next_tick is None
        return [] if is_still else spec.upcoming(self._engine.clock.now(), count)

    async def result(self, job: Job | str, timeout: Seconds | None = None) -> Any:
        """What the job's function returned, as its return annotation says; waits for its end.

        Args:
            timeout: Seconds to wait at the most; without end by default.

        Raises:
            JobFailed: if the job failed for good.
            JobCancelled: if it was cancelled.
            NotSerializable: if it is done, but what it returned could not be kept.
            TimeoutError: if it has not ended in time.
            LookupError: if there is no such job, or no longer.
        """
        limit = None if timeout is None else seconds(timeout)
        return await result(self._engine, id_of(job), limit)

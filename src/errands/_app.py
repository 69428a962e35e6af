"""`Errands`: the one object that an application holds."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Self, TypeVar, cast, overload

from ._adding import Adding, Call
from ._background import BackgroundTasks
from ._clock import Clock
from ._declared import Declaration, require_spec
from ._door import Door
from ._engine import Engine
from ._following import Following
from ._grouping import Grouping
from ._heartbeat import Heartbeat
from ._history import KEPT, MINUTE, STEPS, Tally
from ._job import Job, State
from ._limit import Limit, Limits, LimitUse, Rate, limits_of
from ._options import DEFAULT, IfFailed, Options, Seconds, ids_of, seconds
from ._results import id_of, result
from ._retry import Retry
from ._runner import Middleware
from ._schedule import Schedule
from ._schedules import Schedules
from ._serving import Serving
from ._settings import Settings, require_bounds, require_numbers, require_queues
from ._spec import Spec
from ._steering import Steering
from ._store import OnConflict, Query, Store
from ._task import Declared, Place, Task, name_of
from .stores import store_at, without_password

P = ParamSpec("P")
R = TypeVar("R")

DAY = 86_400.0
MOST_COUNTED = 10_000  # jobs that one limit keeps back


class Errands(Following, Serving, Steering, Grouping):
    """Background tasks for one application.

    Args:
        store: A store, or the URL of one: `memory:`, `sqlite:///errands.db`,
            `postgresql://user:password@host/database`. Left out, it is `$ERRANDS_URL`, or else
            `sqlite:///errands.db`.
        middleware: What wraps each run of a job, outermost first: `async def layer(job,
            call_next)`, which returns what `await call_next(job)` returned.
        keep: How long finished jobs are kept, in seconds; a week by default.
        queues: Those that this process works for; all of them by default.
        slots: How many jobs run side by side in this process.
        threads: How many local tasks that are plain functions run side by side.
        processes: How many tasks with `run="process"` run side by side in processes of their
            own; as many as there are processors by default.
        lease: Seconds after which a job whose worker is silent goes to another.
        grace: Seconds that running jobs and local tasks get to end when the application
            stops. What is not done by then goes back to the store, and costs no attempt.
        max_payload: Bytes that the arguments of one job may take as JSON; 0 for any number.
        max_pending: Local tasks that may wait or run in this process; more are refused with
            `QueueFull`, which the middleware answers with 503.
        max_queued: Unfinished jobs that a queue may have, by its name, about; more are refused
            in the same way.
        clock: What tells the time; tests bring one that jumps.

    Attributes:
        schedules: Those in the store, to be looked at and changed.

    Raises:
        ValueError: if a number is out of its range, or the URL is of no store.
    """

    def __init__(
        self,
        store: Store | str | None = None,
        *,
        middleware: Iterable[Middleware] = (),
        keep: Seconds = 7 * DAY,
        queues: Collection[str] | None = None,
        slots: int = 50,
        threads: int = 40,
        processes: int | None = None,
        lease: Seconds = 15.0,
        grace: Seconds = 10.0,
        max_payload: int = 1 << 20,
        max_pending: int = 100_000,
        max_queued: Mapping[str, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Touch nothing yet: the store is opened when the application starts."""
        processes = (os.cpu_count() or 1) if processes is None else processes
        require_numbers(
            "Errands", slots=slots, processes=processes, threads=threads, max_payload=max_payload,
            max_pending=max_pending, lease=lease, grace=grace, keep=keep,
        )  # fmt: skip  # a table
        require_queues("Errands", queues)
        require_bounds("Errands", max_queued or {})
        store = store or os.environ.get("ERRANDS_URL") or "sqlite:///errands.db"
        self._address = without_password(store) if isinstance(store, str) else type(store).__name__
        self._engine = Engine(
            store_at(store) if isinstance(store, str) else store,
            clock or Clock(),
            Settings(
                middleware=tuple(middleware),
                keep=timedelta(seconds=seconds(keep)),
                queues=None if queues is None else frozenset(queues),
                slots=slots,
                threads=threads,
                processes=processes,
                lease=timedelta(seconds=seconds(lease)),
                grace=seconds(grace),
                max_payload=max_payload,
                max_pending=max_pending,
                max_queued=dict(max_queued or {}),
            ),
        )

        self.schedules = Schedules(self._engine)
        self._plainly = Adding(self._engine, DEFAULT)

    # Declaring

    @overload
    def task(self, function: Callable[P, R], /) -> Declared[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str = "default",
        priority: int = 0,
        retry: Retry | None = None,
        timeout: Seconds | tuple[Seconds, Seconds] | None = None,
        run: Place | None = None,
        max_memory: int | None = None,
        concurrency: int | Limit | None = None,
        rate: str | Rate | None = None,
    ) -> Callable[[Callable[P, R]], Declared[P, R]]: ...
    def task(  # type: ignore[misc]  # mypy asks that it take every `P`, which a value cannot show
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        queue: str = "default",
        priority: int = 0,
        retry: Retry | None = None,
        timeout: Seconds | tuple[Seconds, Seconds] | None = None,
        run: Place | None = None,
        max_memory: int | None = None,
        concurrency: int | Limit | None = None,
        rate: str | Rate | None = None,
    ) -> Any:
        """Declare a function as a task. The function itself stays as it is, to be called or added.

        Args:
            name: What its jobs are stored under; module and qualified name by default.
            queue: Where its jobs wait.
            priority: The higher, the sooner.
            retry: What happens when it fails; by default it is failed at once.
            timeout: Seconds after which a run counts as failed, and the function is told to
                end; with `(30, 35)` it gets until the second to do so. What has not ended by
                then is left to itself, and named in the log; a process is killed.
            run: Where the function runs: `loop`, the default of a coroutine function; `thread`,
                that of any other; or `process`, for what needs a processor for long.
            max_memory: Bytes that a process may take for it.
            concurrency: How many of its jobs run at once, in all processes and on all machines:
                `5`, or `Limit(2, per="customer_id")` for each value of a parameter.
            rate: How many of them start in a time: `"100/m"`, or
                `Rate("100/m", per="customer_id")`.

        Raises:
            ValueError: if the function has no name of its own and none is given, or the
                policy could never be meant.
            TypeError: if a process is to run what is no plain function.
            DuplicateTask: if another function has this name.
            SetupError: if this system has no such processes, or no such limit.
        """
        limits = limits_of(concurrency, rate)

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            if not callable(function):
                raise TypeError(f"a task is a function, not {function!r}")
            soft, hard = timeout if isinstance(timeout, tuple) else (timeout, None)
            task = Task(
                name=name or name_of(function),
                function=function,
                queue=queue,
                priority=priority,
                retry=retry or Retry(),
                timeout=None if soft is None else seconds(soft),
                hard_timeout=None if hard is None else seconds(hard),
                run=run,
                max_memory=max_memory,
                limits=limits,
            )
            self._engine.tasks.add(task)
            with suppress(AttributeError):  # a builtin or a method bears no mark
                function.__errands__ = task.name  # type: ignore[attr-defined]  # for `Declared`
            return function

        return declare if function is None else declare(function)

    def schedule(
        self, spec: Spec, /, *args: Any, name: str | None = None, **kwargs: Any
    ) -> Callable[[Callable[P, R]], Declared[P, R]]:
        """Have a function added by itself, with these arguments, whenever `spec` says so.

        Declares it as a task if it is none yet. It may stand several times above one function,
        each time with another spec or other arguments.

        Args:
            spec: `every(minutes=5)`, or `cron("0 3 * * mon-fri", tz="Europe/Zurich")`.
            name: What the schedule is stored under; the task and the spec by default.

        Raises:
            TypeError: if the spec is none, or the function cannot be called like that.
            DuplicateSchedule: if another schedule has this name.
        """
        require_spec(spec, "@errands.schedule")

        def declare(function: Callable[P, R]) -> Declared[P, R]:
            if self._engine.tasks.of(function) is None:
                self.task(function)
            self._engine.declare(name, Declaration(function, spec, args, kwargs))
            return cast("Declared[P, R]", function)

        return declare

    # Adding

    async def add_task(
        self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job:
        """Keep one call of a declared function in the store, to be run in the background.

        Returns:
            The job as it is stored.

        Raises:
            UnknownTask: if the function was not declared.
            TypeError: if it cannot be called with these arguments.
            NotSerializable: if one of them cannot be kept as JSON.
            PayloadTooLarge: if they take more than `max_payload`.
            NotOpen: if the store is closed.
            StoreUnavailable: if the store cannot be written; then there is no job.
        """
        return await self._plainly.add_task(function, *args, **kwargs)

    async def add_tasks(self, calls: Iterable[Call], /) -> list[Job]:
        """Keep many calls at once: all of them or, where one is refused, none.

        Args:
            calls: Each a declared function and its arguments: `(thumbnails, "cat.png")`.
        """
        return await self._plainly.add_tasks(calls)

    def options(
        self,
        *,
        after: Seconds | None = None,
        at: datetime | None = None,
        key: str | None = None,
        on_conflict: OnConflict = "keep",
        queue: str | None = None,
        priority: int | None = None,
        group: str | None = None,
        waits_for: Iterable[Job | str] = (),
        if_failed: IfFailed = "cancel",
        connection: Any = None,
    ) -> Adding:
        """Say more about the job that the next `add_task` makes.

        Args:
            after: Seconds before which it does not start.
            at: The instant before which it does not start; aware.
            key: At most one unfinished job has this key.
            on_conflict: Where there is one: `keep` it and answer with it; `replace` it, with
                the new arguments and time (one that runs already goes on beside the new one);
                or `raise` `JobExists`.
            queue: Instead of the task's own.
            priority: Instead of the task's own.
            group: Which jobs it is counted, cancelled and retried with.
            waits_for: Jobs, or their ids, that are to end before it starts; in it
                `current_job().parents()` gives what they returned.
            if_failed: If one of those failed, or was cancelled: `cancel` this one, too, or
                `run` it all the same.
            connection: A connection of yours to the database of the store, with a transaction
                open. The job is there once that is committed, and never if it is rolled back.
                See `docs/transactions.md` for the kinds.

        Raises:
            ValueError: if an option could never be meant.
        """
        options = Options(
            after=after, at=at, key=key, on_conflict=on_conflict, queue=queue, priority=priority,
            group=group, waits_for=ids_of(waits_for), if_failed=if_failed, connection=connection,
        )  # fmt: skip  # a call
        return Adding(self._engine, options)

    # Looking

    async def job(self, job_id: str) -> Job | None:
        """The job of this id, if it is still kept."""
        return await self._engine.store.get(job_id)

    async def jobs(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        task: str | None = None,
        key: str | None = None,
        group: str | None = None,
        text: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """The jobs that match everything that is given, newest first.

        Args:
            text: What their arguments or an attempt's error contain.
            before: The id of the last job of the page before.
            limit: How many at most.
        """
        if limit < 1:
            raise ValueError(f"jobs(limit={limit!r}): expected 1 or more")
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
                before=before,
                limit=limit,
            )
        )

    async def count(self) -> Mapping[tuple[str, State], int]:
        """How many jobs each queue has in each state; a missing pair has none."""
        return await self._engine.store.count()

    async def waiting_since(self) -> Mapping[str, datetime]:
        """Since when the job of each queue could start that could for longest, and waits still.

        A queue without such a job is missing; one that is paused is there.
        """
        return await self._engine.store.waiting_since(self.now())

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
        begin = self.now() - KEPT[step] if since is None else since
        return await self._engine.store.history(step, begin)

    def upcoming(self, schedule: Schedule | Spec, count: int = 5) -> list[datetime]:
        """The next instants at which it is due, before its jitter; in UTC.

        Fewer than asked for if it ends before, none if it is paused.
        """
        spec = schedule.when if isinstance(schedule, Schedule) else schedule
        is_still = isinstance(schedule, Schedule) and schedule.next_tick is None
        return [] if is_still else spec.upcoming(self.now(), count)

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

    # Living

    @property
    def is_open(self) -> bool:
        """Whether jobs can be added and read."""
        return self._engine.is_open

    @property
    def pending(self) -> int:
        """How many local tasks of this process have not ended, and late additions are under way."""
        return self._engine.pending

    def now(self) -> datetime:
        """The time by which jobs are due: the store's, in UTC and whole milliseconds."""
        return self._engine.clock.now()

    async def __aenter__(self) -> Self:
        """Open the store, to add and to look."""
        await self._engine.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the store."""
        await self._engine.close()

    @asynccontextmanager
    async def working(
        self,
        *,
        queues: Collection[str] | None = None,
        slots: int | None = None,
        grace: Seconds | None = None,
    ) -> AsyncIterator[Self]:
        """Open the store, and run jobs while in the block.

        At its end running jobs get `grace` seconds. What is given here stands in the block for
        what was given to `Errands`, as a worker process has other slots than the web.

        Raises:
            ValueError: if a number is out of its range, or the queues are none.
            SetupError: if we are at work already.
            StoreUnavailable: if the store cannot be opened.
            LoopGaveUp: in a group, at the end, if a loop of the worker would not stay up.
        """
        asked = {"slots": slots, "grace": grace}
        changes: dict[str, Any] = {k: seconds(v) for k, v in asked.items() if v is not None}
        require_numbers("working", **changes)
        require_queues("working", queues)
        if queues is not None:
            changes["queues"] = frozenset(queues)
        async with self._engine.working(**changes):
            yield self

    # For doors

    async def add_named(
        self,
        task: str,
        arguments: Mapping[str, Any],
        *,
        queue: str | None = None,
        priority: int | None = None,
        group: str | None = None,
    ) -> Job:
        """Add a call of the task of this name, with its arguments by their names, as JSON has them.

        Raises:
            UnknownTask: if no task of this name is declared in this process.
            NotSerializable: if the task cannot read the arguments.
        """
        found = self._engine.tasks[task]
        args, kwargs = found.codec.load(json.dumps(arguments))
        adding = self.options(queue=queue, priority=priority, group=group)
        return await adding.add_task(found.function, *args, **kwargs)

    @property
    def address(self) -> str:
        """Where the store is: its URL, with `***` for a password."""
        return self._address

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks that this process has declared, sorted."""
        return sorted(self._engine.tasks)

    @property
    def limits(self) -> Mapping[str, Limits]:
        """The limits of the tasks that this process has declared, by their names."""
        return self._engine.tasks.limits

    @property
    def worker(self) -> Heartbeat | None:
        """What the worker of this process is now, if it is at work.

        Its `seen_at` is when the store was told last.
        """
        return self._engine.heartbeat

    @property
    def grace(self) -> float:
        """Seconds that running jobs and local tasks get to end."""
        return self._engine.grace

    @property
    def is_up(self) -> bool:
        """Whether this process is at work, and no loop of its worker was given up."""
        return self._engine.is_up

    @property
    def is_claiming(self) -> bool:
        """Whether this process takes jobs from the store, and the store answers."""
        return self._engine.is_claiming

    @property
    def is_behind(self) -> bool:
        """Whether this process is to add the job of a tick whose time has come."""
        return self._engine.is_behind

    @property
    def left_behind(self) -> list[str]:
        """The tasks whose threads go on although their runs are over, the oldest first.

        Nobody can end a thread. There are as many of them as slots at the most.
        """
        return self._engine.left_behind

    @property
    def released(self) -> int:
        """How many jobs went back to the store unfinished when this process stopped last."""
        return self._engine.released

    async def secret(self) -> bytes:
        """32 random bytes that all processes on this store share, to sign with."""
        return await self._engine.store.secret()

    def background(self, scope: Any = None, door: Door | None = None) -> BackgroundTasks:
        """The background tasks of one request that begins now; a door closes them at its end.

        Args:
            scope: Of the request, as ASGI has it.
            door: How its application answers.
        """
        return BackgroundTasks(self._engine, scope, door)

    @property
    def is_open_for_long(self) -> bool:
        """Whether somebody opened it for longer than a request."""
        return self._engine.is_open_for_long

    def aside(self) -> AbstractAsyncContextManager[bool]:
        """Be at work for the length of one request, unless somebody opened us for longer.

        In the block jobs that were added there run, and no others. It is given whether the
        request is alone, so that nobody else will see its tasks to their end.
        """
        return self._engine.aside()

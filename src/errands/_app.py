"""`Errands`: the one object that an application holds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Self, TypeVar

from ._adding import Adding, Call
from ._behind import Behind
from ._clock import Clock
from ._declaring import Declaring
from ._engine import Engine
from ._following import Following
from ._grouping import Grouping
from ._inspecting import Inspecting
from ._job import Job
from ._looking import Looking
from ._options import DEFAULT, IfFailed, Options, ids_of
from ._plain import Seconds, seconds
from ._runner import Middleware
from ._schedules import Schedules
from ._serving import Serving
from ._settings import (
    Settings,
    require_bounds,
    require_layers,
    require_numbers,
    require_queues,
)
from ._steering import Steering
from ._store import OnConflict, Store
from .stores import store_at, without_password

P = ParamSpec("P")
R = TypeVar("R")

DAY = 86_400.0


class Errands(Declaring, Looking, Following, Grouping, Inspecting, Serving, Steering, Behind):
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
        TypeError: if something is of another kind than it has to be.
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
        require_layers("Errands", middleware := tuple(middleware))
        _require_store(store)
        store = store or os.environ.get("ERRANDS_URL") or "sqlite:///errands.db"
        self._address = without_password(store) if isinstance(store, str) else type(store).__name__
        self._engine = Engine(
            store_at(store) if isinstance(store, str) else store,
            clock or Clock(),
            Settings(
                middleware=middleware,
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


def _require_store(store: object) -> None:
    """Refuse what is neither a store, nor the URL of one, nor left out.

    Raises:
        TypeError: saying what to write.
    """
    if store is None or isinstance(store, str) or callable(getattr(store, "claim", None)):
        return
    url = f"sqlite:///{store}" if isinstance(store, os.PathLike) else "sqlite:///errands.db"
    raise TypeError(f"Errands({store!r}): expected a store or the URL of one, as {url!r}")

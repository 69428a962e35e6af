"""`BackgroundTasks`: what one request hands to the background.

The handler, its dependencies and whatever they call share one of these. A middleware decides
what becomes of it: kept if the handler returned, dropped if it raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token, copy_context
from dataclasses import dataclass
from datetime import datetime
from inspect import Signature
from typing import Any, ParamSpec, overload

from ._door import Door
from ._engine import Engine
from ._entry import Entry, batches, calls_of, stored_of, waiting_for_stored
from ._finish import finish
from ._function import called
from ._handling import Handling
from ._job import Job
from ._local import LocalCall
from ._options import DEFAULT, IfFailed, Options, ids_of
from ._plain import Seconds
from ._store import OnConflict
from ._task import Declared
from .errors import NoRequest, UnfitConnection

P = ParamSpec("P")

_current: ContextVar[BackgroundTasks | None] = ContextVar("errands_background", default=None)


class BackgroundTasks:
    """The background tasks of one request; see the door of your framework for how to get them.

    A declared task becomes a durable job: it is stored before the response starts, and runs
    once the request is over. A plain function becomes a local task: it runs in this process,
    after the request, in the order added, and is lost if the process dies.
    """

    __slots__ = (
        "_engine", "_entries", "_handling", "_has_jobs", "_is_closed", "door", "root", "scope"
    )  # fmt: skip  # a row

    def __init__(self, engine: Engine, scope: Any = None, door: Door | None = None) -> None:
        """Begin with nothing. Errors that are being handled now are none of the request's."""
        self._engine = engine
        self.enter_door(scope or {}, door)
        self._entries: list[Entry] = []
        self._has_jobs = self._is_closed = False  # jobs: to be stored, or stored
        self._handling = Handling()

    @classmethod
    def of(cls, connection: Any = None) -> BackgroundTasks:
        """Those of a request or a WebSocket; of the one that is being handled, if left out.

        Raises:
            NoRequest: outside a request, or where Errands was not set up.
        """
        found = _current.get() if connection is None else connection.scope.get("errands")
        if not isinstance(found, BackgroundTasks):
            where = "outside a request" if connection is None else "in this request"
            raise NoRequest(
                f"there are no background tasks {where}: call setup_errands(app, errands) "
                "before the application starts; elsewhere use `await errands.add_task(…)`"
            )
        return found

    @staticmethod
    def __from_request__(data: Any = None, req: Any = None) -> BackgroundTasks:
        """FastHTML's way of filling a parameter that is annotated with a class."""
        return BackgroundTasks.of(req)

    @overload
    def add_task(  # type: ignore[overload-overlap]  # a declared function is a callable with a mark
        self, function: Declared[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job: ...
    @overload
    def add_task(
        self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    def add_task(self, function: Any, /, *args: Any, **kwargs: Any) -> Job | None:
        """Have `function` called in the background once the request is over.

        What is added while an exception is being handled, in an `except` block, is kept
        although the handler then raises; all else is dropped with it.

        Returns:
            The job that will be stored, or `None` for a function that was not declared. With
            a key, `flush` says which job is stored indeed.

        Raises:
            TypeError: if a coroutine was passed, or the arguments do not fit.
            NotSerializable: if an argument of a declared task cannot be kept.
            QueueFull: if too many local tasks are pending.
        """
        return self._add(self._entry(DEFAULT, function, args, kwargs))

    def on_error(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Have `function` called in the background only if the handler raises."""
        entry = self._entry(DEFAULT, function, args, kwargs)
        entry.survives = entry.only_then = True
        self._add(entry)

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
    ) -> AddingLater:
        """Say more about the job that the next `add_task` makes; see `Errands.options`.

        Raises:
            UnfitConnection: for any `connection`: what is added here is stored later.
        """
        if connection is not None:
            raise UnfitConnection(
                "background.options(connection=…): what is added here is stored when the request "
                "ends, not in your transaction. "
                "Write `await errands.options(connection=…).add_task(…)`"
            )
        options = Options(
            after=after, at=at, key=key, on_conflict=on_conflict, queue=queue, priority=priority,
            group=group, waits_for=ids_of(waits_for), if_failed=if_failed,
        )  # fmt: skip  # a call
        return AddingLater(self, options)

    async def flush(self) -> list[Job]:
        """Store the jobs now, and answer with all that this request has stored.

        They still wait for its end to start, and are removed again if it fails.

        Raises:
            StoreUnavailable: if the store cannot be written; then nothing was promised.
            JobExists: with `on_conflict="raise"`, if an unfinished job has the key.
        """
        if self.is_unstored:
            await finish(self._store(self._entries))
        return [entry.stored for entry in self._entries if entry.stored is not None]

    # For the middleware

    def enter_door(self, scope: Any, door: Door | None) -> None:
        """The request is now with this application, whose `root` may be below another's.

        Args:
            scope: Of the request, as ASGI has it.
            door: How the application answers.
        """
        self.scope, self.door = scope, door
        self.root = scope.get("root_path", "")  # kept, since a router changes it on its way down

    def enter(self) -> Token[BackgroundTasks | None]:
        """Be the ones that `of()` finds, until `leave`."""
        return _current.set(self)

    def leave(self, token: Token[BackgroundTasks | None]) -> None:
        """Be found no longer."""
        _current.reset(token)

    def failure(self) -> BaseException | None:
        """The error that is being handled right now, if the request raised it."""
        return self._handling.error()

    async def drop(self) -> None:
        """The handler raised: forget what it added, but for what was added for that case."""
        dropped = [entry for entry in self._entries if not entry.survives]
        self._entries = [entry for entry in self._entries if entry.survives]
        for entry in self._entries:
            entry.only_then = False
        self._engine.locals.dismiss(calls_of(dropped))
        if stored := stored_of(dropped):
            await finish(self._engine.drop(stored))

    async def release(self) -> None:
        """Store what is not stored yet, and start everything that is there now."""
        if self.is_unstored:
            await finish(self._release())
        else:
            self._start(self._taken())

    async def close(self, *, wait: bool) -> None:
        """The request is over: start everything; what is added from now on starts at once.

        Args:
            wait: Return when all of it has ended, as for a request without a lifespan.
        """
        self._is_closed = True
        try:
            await self.release()
        finally:
            self.forget_compensation()
        if wait:
            await self._engine.settled()

    def end(self) -> None:
        """As `close`, for a request whose jobs are stored or that has none."""
        self._is_closed = True
        if self._entries:
            self._start(self._taken())
            self.forget_compensation()

    def forget_compensation(self) -> None:
        """The handler has not raised: forget what was added for that case."""
        if self._entries:
            unneeded = [entry for entry in self._entries if entry.only_then]
            self._engine.locals.dismiss(calls_of(unneeded))
            self._entries = [entry for entry in self._entries if not entry.only_then]

    @property
    def is_unstored(self) -> bool:
        """Whether there is a job that the store does not have yet."""
        return self._has_jobs and any(entry.is_unstored for entry in self._entries)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store or to start."""
        return not self._entries

    async def __call__(self) -> None:
        """Do nothing: attached to a response by habit, where the middleware does the work."""

    def __ft__(self) -> str:
        """Show nothing: returned among FastHTML's components by habit."""
        return ""

    def _add(self, entry: Entry) -> Job | None:
        if self._is_closed:
            self._handling.loop.call_soon_threadsafe(self._start_late, entry)
        else:
            self._entries.append(entry)
        return entry.what if isinstance(entry.what, Job) else None

    def _entry(
        self, options: Options, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Entry:
        survives = self.failure() is not None
        if self._engine.tasks.of(called(function)) is not None:
            self._has_jobs = True
            job = self._engine.make(options, function, args, kwargs)
            return Entry(job, options, survives)
        if options != DEFAULT:
            self._engine.make(options, function, args, kwargs)  # says that it was not declared
        self._engine.locals.admit()
        return Entry(LocalCall(function, args, kwargs, copy_context()), options, survives)

    async def _release(self) -> None:
        ready = self._taken()
        try:
            await self._store(ready)
        finally:  # what the store refuses is no reason to lose the rest
            self._start(ready)

    def _taken(self) -> list[Entry]:
        ready = [entry for entry in self._entries if not entry.only_then]
        self._entries = [entry for entry in self._entries if entry.only_then]
        return ready

    def _start(self, ready: list[Entry]) -> None:
        if self._has_jobs:
            self._engine.start(stored_of(ready))
        if calls := calls_of(ready):
            self._engine.locals.start(calls)

    async def _store(self, entries: list[Entry]) -> None:
        for batch in batches([entry for entry in entries if entry.is_unstored]):
            jobs = [entry.what for entry in batch if isinstance(entry.what, Job)]
            if any(job.waits_for for job in jobs):
                jobs = [waiting_for_stored(job, [*self._entries, *entries]) for job in jobs]
            on_conflict = batch[0].options.on_conflict
            for entry, job in zip(batch, await self._engine.hold(jobs, on_conflict), strict=True):
                entry.stored = job

    def _start_late(self, entry: Entry) -> None:
        """Added by something that outlived the request."""
        late = BackgroundTasks(self._engine, self.scope, self.door)
        late._entries.append(entry)
        late._has_jobs = True
        self._engine.keep_up(late.close(wait=False))


# FastHTML reads the signature anew at each request: one that is ready takes a tenth of the time
BackgroundTasks.__from_request__.__signature__ = Signature()  # type: ignore[attr-defined]  # see inspect


@dataclass(frozen=True, slots=True)
class AddingLater:
    """An addition with options; see `BackgroundTasks.options`."""

    _background: BackgroundTasks
    _options: Options

    def add_task(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """See `BackgroundTasks.add_task`; only declared tasks have options.

        Raises:
            UnknownTask: if the function was not declared.
        """
        entry = self._background._entry(self._options, function, args, kwargs)
        self._background._add(entry)
        assert isinstance(entry.what, Job)
        return entry.what

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

from ._bag import Bag
from ._entry import Entry
from ._function import called
from ._job import Job
from ._local import LocalCall
from ._options import DEFAULT, IfFailed, Options, ids_of
from ._plain import Seconds
from ._store import OnConflict
from ._task import Declared
from .errors import NoRequest, UnfitConnection

P = ParamSpec("P")

_current: ContextVar[BackgroundTasks | None] = ContextVar("errands_background", default=None)


class BackgroundTasks(Bag):
    """The background tasks of one request; see the door of your framework for how to get them.

    A declared task becomes a durable job: it is stored before the response starts, and runs
    once the request is over. A plain function becomes a local task: it runs in this process,
    after the request, in the order added, and is lost if the process dies.
    """

    __slots__ = ()

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

    def enter(self) -> Token[BackgroundTasks | None]:
        """Be the ones that `of()` finds, until `leave`."""
        return _current.set(self)

    def leave(self, token: Token[BackgroundTasks | None]) -> None:
        """Be found no longer."""
        _current.reset(token)

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

"""Run one claimed job, and say what became of it.

Middleware wraps each run, outermost first, as in Starlette. A task may ask for the job that
it is part of with `current_job`, and say how far it is with `progress` or `track`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
    Sized,
)
from contextvars import Context, ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, overload

from ._clock import Clock
from ._finishing import Finishing
from ._job import Job, Progress
from ._task import Task
from .errors import NotCommitted, NotSerializable, RunStopped
from .executors.thread import Threads

T = TypeVar("T")
Next = Callable[[Job], Coroutine[Any, Any, Any]]
Middleware = Callable[[Job, Next], Coroutine[Any, Any, Any]]

HOME = str(Path(__file__).parent)
LONGEST = 16_384  # characters of a traceback that are kept; its end says most


class Run:
    """One run of a job: what the worker and the function say to each other.

    Attributes:
        job: The job, with the progress that was told last.
        is_stopped: Whether the worker has given this run up; `progress` raises then.
        is_cancelled: Whether somebody asked for its end; then it counts as cancelled.
        is_lost: Whether the job is somebody else's now, so that the outcome does not count.
        is_ended: Whether there is an outcome.
        is_stored: Whether the function itself has finished the job, and that was committed.
        finishing: How the function may do so, once it runs.
        task: What runs it, in its `context`, once it runs.
    """

    __slots__ = (
        "_tell", "context", "finishing", "is_cancelled", "is_ended", "is_lost", "is_stopped",
        "is_stored", "job", "task",
    )  # fmt: skip  # names

    def __init__(self, job: Job, tell: Callable[[Run], object]) -> None:
        """Call `tell`, from whatever thread, when there is progress."""
        self.job, self._tell = job, tell
        self.is_stopped = self.is_lost = self.is_ended = self.is_stored = False
        self.is_cancelled = False
        self.task: asyncio.Task[None] | None = None
        self.context: Context | None = None
        self.finishing: Finishing | None = None

    def tell(self, progress: Progress) -> None:
        """Note how far the function is.

        Raises:
            RunStopped: if the run was given up: whoever took the job over is ahead of it.
        """
        self.require()
        self.job = self.job.progressed(progress)
        self._tell(self)

    @property
    def is_settling(self) -> bool:
        """Whether there is an outcome, or one in a transaction that may lock the job."""
        return self.is_ended or (self.finishing is not None and self.finishing.is_begun)

    def require(self) -> None:
        """Do nothing, as long as the job belongs to this run.

        Raises:
            RunStopped: if the run was given up.
        """
        if self.is_stopped:
            raise RunStopped(f"job {self.job.id} ({self.job.task}) no longer belongs to this run")


class CurrentJob(Job):
    """The job that is being run, as its own function sees it. Equal to the plain `Job`."""

    async def finish(self, connection: Any, result: Any = None) -> None:
        """Mark the job done in the transaction that is open on `connection`.

        So what the task does to the database happens once, however often it is started: once
        the transaction is committed the job is done, whatever becomes of this process or of
        the rest of the function; rolled back, the attempt has failed.

        Args:
            connection: A connection of yours to the database of the store, with a transaction
                open. See `docs/transactions.md` for the kinds.
            result: What the job is to answer; what the function returns is not kept.

        Raises:
            JobLost: if the job is somebody else's by now. Let it end your transaction.
            RunStopped: if this run was given up.
            NotSerializable: if the result cannot be kept as JSON.
            UnfitConnection: if the job cannot be written by that connection.
            LookupError: anywhere but in the function whose job it is.
        """
        run = _running.get(None)
        if run is None or run.finishing is None or run.job.id != self.id:
            raise LookupError(f"job {self.id} is not being run here; finish() belongs in its task")
        run.require()
        await run.finishing.finish(run.job, connection, result)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, Job) else NotImplemented

    __hash__ = Job.__hash__


_running: ContextVar[Run] = ContextVar("errands_run")


def current_job() -> CurrentJob:
    """The job that is being run.

    Raises:
        LookupError: outside a job, as when a task's function is called directly.
    """
    try:
        return CurrentJob.of(**vars(_running.get().job))
    except LookupError:
        raise LookupError("no job is being run here; current_job() belongs inside a task") from None


def progress(done: float, total: float | None = None, text: str | None = None) -> None:
    """Say how far the running job is. Outside a job this does nothing.

    Raises:
        RunStopped: in a thread whose run was given up, by a timeout or a lost lease.
    """
    run = _running.get(None)
    if run is not None:
        run.tell(Progress(done, total, text))


@overload
def track(
    items: Iterable[T], text: str | None = None, *, total: float | None = None
) -> Iterator[T]: ...
@overload
def track(
    items: AsyncIterable[T], text: str | None = None, *, total: float | None = None
) -> AsyncIterator[T]: ...
def track(items: Any, text: str | None = None, *, total: float | None = None) -> Any:
    """Go through `items`, plain or asynchronous, and tell the progress of the job meanwhile.

    Args:
        text: What is being done, in a few words.
        total: How many there are, where `len(items)` does not say.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    steps = _track_async if isinstance(items, AsyncIterable) else _track
    return steps(items, text, total)


def _track(items: Iterable[T], text: str | None, total: float | None) -> Iterator[T]:
    done = 0
    progress(done, total, text)
    for item in items:
        yield item
        done += 1
        progress(done, total, text)


async def _track_async(
    items: AsyncIterable[T], text: str | None, total: float | None
) -> AsyncIterator[T]:
    done = 0
    progress(done, total, text)
    async for item in items:
        yield item
        done += 1
        progress(done, total, text)


async def run(
    run: Run, task: Task, middleware: Sequence[Middleware], threads: Threads, clock: Clock
) -> Job:
    """Run a job and answer with it as it is to be saved: done, queued again, or failed.

    No error of the task leaves this function. A cancellation does, if the run was stopped.
    """
    job = run.job
    if not task.retry.survives(job.attempt):
        reason = f"Its worker was lost {job.attempt - 1} times in a row; no start is left."
        return job.failed(reason, clock.now())
    token = _running.set(run)
    limit = asyncio.timeout(task.timeout)
    try:
        call = wrapped(_called(task, threads), middleware)
        async with limit:
            value = await call(job)
        if limit.expired():  # it was told, and went on
            raise TimeoutError
    except asyncio.CancelledError as error:
        if run.is_stopped:
            raise
        return _after(error, run, task, clock)
    except TimeoutError as error:
        run.is_stopped = limit.expired()
        told = TimeoutError(f"{task.name} ran for longer than its timeout of {task.timeout} s")
        return _after(told if limit.expired() else error, run, task, clock)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # also sys.exit() ends its job alone
        return _after(error, run, task, clock)
    finally:
        _running.reset(token)
    return _done(value, run, task, clock)


def begin(run: Run) -> None:
    """From here on, in this context, the job of this run is the current one."""
    _running.set(run)


def wrapped(function: Next, middleware: Sequence[Middleware]) -> Next:
    """The function with all layers around it."""
    call = function
    for layer in reversed(middleware):
        call = _inside(layer, call)
    return call


def told(error: BaseException) -> str:
    """The traceback without the frames that are ours: the user's code is what failed."""
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(HOME):
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    return text if len(text) <= LONGEST else f"…{text[-LONGEST:]}"


def not_committed(run: Run, task: Task, clock: Clock) -> Job:
    """A job whose function finished it in a transaction that did not come to be."""
    error = NotCommitted(
        f"{task.name} finished its job in a transaction that was not committed when it returned"
    )
    return _after(error, run, task, clock)


def _called(task: Task, threads: Threads) -> Next:
    async def function(job: Job) -> Any:
        args, kwargs = task.codec.load(job.payload)
        if task.is_async:
            return await task.function(*args, **kwargs)
        return await threads.run(task.function, *args, **kwargs)

    return function


def _inside(layer: Middleware, inner: Next) -> Next:
    return lambda job: layer(job, inner)


def _done(value: Any, run: Run, task: Task, clock: Clock) -> Job:
    try:
        return run.job.done(task.codec.dump_result(value), clock.now())
    except NotSerializable as error:  # what the task did it has done: running it again cannot help
        return run.job.done(None, clock.now(), note=f"{type(error).__name__}: {error}")


def _after(error: BaseException, run: Run, task: Task, clock: Clock) -> Job:
    if run.is_cancelled:
        return run.job.cancelled(clock.now())
    spoilt = isinstance(error, NotSerializable)
    wait = None if spoilt else task.retry.wait_after(run.job.attempt, error)
    return run.job.failed(told(error), clock.now(), wait)

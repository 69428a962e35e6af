"""Run one claimed job, and say what became of it.

Middleware wraps each run, outermost first, as in Starlette.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ._calling import Executors, Kept, call
from ._clock import Clock
from ._job import Job
from ._plain import kept
from ._run import Run, running
from ._task import Task
from .errors import NotCommitted, NotSerializable, RunStopped
from .executors._remote import Remote

Next = Callable[[Job], Coroutine[Any, Any, Any]]
Middleware = Callable[[Job, Next], Coroutine[Any, Any, Any]]

HOME = str(Path(__file__).parent)
LONGEST = 16_384  # characters of a traceback that are kept; its end says most


async def run(
    run: Run, task: Task, middleware: Sequence[Middleware], executors: Executors, clock: Clock
) -> Job:
    """Run a job and answer with it as it is to be saved: done, queued again, or failed.

    No error of the task leaves this function. A cancellation does, if the run was stopped.
    """
    job = run.job
    if not task.retry.survives(job.attempt):
        reason = f"Its worker was lost {job.attempt - 1} times in a row; no start is left."
        return job.failed(reason, clock.now())
    token = running.set(run)
    run.watch(task)
    try:
        work = wrapped(_called(run, task, executors, is_wrapped=bool(middleware)), middleware)
        value = await run.lead(work(job))
        if run.is_late:  # it was told, and went on
            raise TimeoutError
    except asyncio.CancelledError as error:
        if run.is_stopped and not run.is_late:
            raise
        return _after(error, run, task, clock)
    except BaseException as error:  # also sys.exit(), or a panic in Rust, ends its job alone
        if _ends_more(error, run, task):
            raise
        return _after(error, run, task, clock)
    finally:
        running.reset(token)
    return _done(value, run, task, clock)


def wrapped(function: Next, middleware: Sequence[Middleware]) -> Next:
    """The function with all layers around it."""
    call = function
    for layer in reversed(middleware):
        call = _inside(layer, call)
    return call


def told(error: BaseException) -> str:
    """The traceback without the frames that are ours: the user's code is what failed."""
    if isinstance(error, Remote):  # it was shown where it was raised
        return _short(error.trace)
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(HOME):
        frames = frames.tb_next
    parts = traceback.format_exception(type(error), error, frames)
    return _short("".join(map(_clipped, parts)).rstrip())


def _short(text: str) -> str:
    return kept(text if len(text) <= LONGEST else f"…{text[-LONGEST:]}")


def _clipped(part: str) -> str:
    """A part of a traceback: a message as long as a book must not push its own type out."""
    half = LONGEST // 4
    return part if len(part) <= 2 * half else f"{part[:half]}…{part[-half:]}"


def not_committed(run: Run, task: Task, clock: Clock) -> Job:
    """A job whose function finished it in a transaction that did not come to be."""
    error = NotCommitted(
        f"{task.name} finished its job in a transaction that was not committed when it returned"
    )
    return _after(error, run, task, clock)


def _called(run: Run, task: Task, executors: Executors, *, is_wrapped: bool) -> Next:
    return lambda job: call(task, run.job, executors, run.tell, is_wrapped=is_wrapped)


def _inside(layer: Middleware, inner: Next) -> Next:
    return lambda job: layer(job, inner)


def _done(value: Any, run: Run, task: Task, clock: Clock) -> Job:
    if isinstance(value, Kept):
        return run.job.done(value.text, clock.now(), note=value.note)
    try:
        return run.job.done(task.codec.dump_result(value), clock.now())
    except NotSerializable as error:  # what the task did it has done: running it again cannot help
        return run.job.done(None, clock.now(), note=f"{type(error).__name__}: {error}")


def _ends_more(error: BaseException, run: Run, task: Task) -> bool:
    """Whether it is not the function's: Ctrl-C is the process', and who is closed has no say."""
    if isinstance(error, KeyboardInterrupt):
        return task.place == "loop"
    return isinstance(error, GeneratorExit) and not _is_driven(run)


def _is_driven(run: Run) -> bool:
    try:
        return asyncio.current_task() is run.task
    except RuntimeError:  # no event loop is left
        return False


def _after(error: BaseException, run: Run, task: Task, clock: Clock) -> Job:
    if run.is_cancelled:
        return run.job.cancelled(clock.now())
    spoilt = isinstance(error, NotSerializable)
    if run.is_late and isinstance(error, (asyncio.CancelledError, RunStopped, TimeoutError)):
        late = TimeoutError(f"{task.name} ran for longer than its timeout of {task.timeout} s")
        error = late.with_traceback(error.__traceback__)
    wait = None if spoilt else task.retry.wait_after(run.job.attempt, error)
    return run.job.failed(told(error), clock.now(), wait)

"""A run of a job: what its worker and its function say to each other.

Inside the function, `current_job` is the job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, Self

from ._finishing import Finishing
from ._job import Job
from ._leash import Leash
from ._progress import Progress
from ._task import GRACE, Task
from .errors import RunStopped

logger = logging.getLogger("errands.worker")

CANCEL = GRACE + 1  # seconds after which a cancelled run is let go; a process is killed before


class Run:
    """One run of a job: what the worker and the function say to each other.

    Attributes:
        job: The job, with the progress that was told last.
        is_stopped: Whether the function is to end; `progress` raises then.
        is_late: Whether that is because its timeout is over.
        is_cancelled: Whether somebody asked for its end; then it counts as cancelled.
        is_lost: Whether the job is somebody else's now, so that the outcome does not count.
        is_ended: Whether there is an outcome.
        is_stored: Whether the function itself has finished the job, and that was committed.
        finishing: How the function may do so, once it runs.
        task: What runs it, in its `context`, once it runs.
        parents: What reads what the jobs returned that it waited for.
    """

    __slots__ = (
        "_is_plain", "_leash", "_tell", "_timers", "context", "finishing", "is_cancelled",
        "is_ended", "is_late", "is_lost", "is_stopped", "is_stored", "job", "parents", "task",
    )  # fmt: skip  # names

    def __init__(self, job: Job, tell: Callable[[Run], object]) -> None:
        """Call `tell`, from whatever thread, when there is progress."""
        self.job, self._tell = job, tell
        self.is_stopped = self.is_lost = self.is_ended = self.is_stored = False
        self.is_late = self.is_cancelled = self._is_plain = False
        self.task: asyncio.Task[None] | None = None
        self.context: Context | None = None
        self.finishing: Finishing | None = None
        self.parents: Callable[[], Awaitable[list[Any]]] | None = None
        self._leash: Leash | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def tell(self, progress: Progress) -> None:
        """Note how far the function is.

        Raises:
            RunStopped: if the run was given up: whoever took the job over is ahead of it.
        """
        self.require()
        self.job = self.job.progressed(progress)
        self._tell(self)

    def watch(self, task: Task) -> None:
        """Have the function end by the timeout of its task; a process sees to that by itself."""
        self._is_plain = task.place == "thread"
        if task.timeout is None or task.deadline is None or task.place == "process":
            return
        self._later(task.timeout, self._expire)
        if task.place == "thread":  # which is asked, and then waited for no longer
            self._later(task.deadline, partial(self.cancel, "timeout", GRACE))
        else:
            self._later(task.timeout, partial(self.cancel, "timeout", task.deadline - task.timeout))

    def cancel(self, reason: str, grace: float = CANCEL) -> None:
        """Tell the function to end, and let it go if it has not in so many seconds."""
        self.is_stopped = True
        if self.task is not None:
            self.interrupt(reason)
            self._later(grace, self.let_go)

    def end(self, reason: str) -> None:
        """As `cancel`; but a plain function is asked, and has `GRACE` seconds to stop by itself."""
        if self._is_plain:
            self.is_stopped = True
            self._later(GRACE, partial(self.cancel, reason))
        else:
            self.cancel(reason)

    def interrupt(self, reason: str) -> None:
        """Cancel what runs it; where that has just been made, once it has begun.

        A task of asyncio that is cancelled before its first step has none: nobody would ever
        say what became of the job.
        """
        if self.task is None:
            return
        if self.finishing is None:
            asyncio.get_running_loop().call_soon(self.task.cancel, reason)
        else:
            self.task.cancel(reason)

    def let_go(self) -> None:
        """Wait no longer for a function that ignores its cancellation."""
        leash, self._leash = self._leash, None
        if leash is not None and self.task is not None:
            logger.error("%s ignores its cancellation and is left behind", self.job.task)
            leash.drop()
            self.task.cancel()

    async def lead(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await what the function answers, for as long as we are not to let it go."""
        leash = self._leash = Leash(work)
        try:
            return await leash
        finally:
            self._leash = None
            for timer in self._timers:
                timer.cancel()

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, act))

    def _expire(self) -> None:
        self.is_late = self.is_stopped = True

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


running: ContextVar[Run] = ContextVar("errands_run")


class CurrentJob(Job):
    """The job that is being run, as its own function sees it. Equal to the plain `Job`."""

    __slots__ = ("_run",)  # and no attribute, so that it is equal

    _run: Run

    @classmethod
    def of_run(cls, run: Run) -> Self:
        """The job of this run."""
        job = cls.of(**vars(run.job))
        object.__setattr__(job, "_run", run)
        return job

    @property
    def is_cancelled(self) -> bool:
        """Whether the function is to end: by a cancellation, a timeout, or a worker that stops.

        A plain function asks again and again; `track` and `progress` raise by themselves.
        """
        return self._run.is_stopped

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
        run = running.get(None)
        if run is None or run.finishing is None or run.job.id != self.id:
            raise LookupError(f"job {self.id} is not being run here; finish() belongs in its task")
        run.require()
        await run.finishing.finish(run.job, connection, result)

    async def parents(self) -> list[Any]:
        """What the jobs returned that this one waited for, in the order of `waits_for`.

        A value is as the return annotation of its task says, where that is declared here. With
        `if_failed="run"`, the error that `errands.result` would raise stands in the place of
        a job that failed (`JobFailed`) or was cancelled (`JobCancelled`).

        Raises:
            LookupError: anywhere but in the function whose job it is.
            StoreUnavailable: if the store does not answer.
        """
        run = running.get(None)
        if run is None or run.parents is None or run.job.id != self.id:
            raise LookupError(f"job {self.id} is not being run here; parents() belongs in its task")
        return await run.parents()

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, Job) else NotImplemented

    __hash__ = Job.__hash__


def current_job() -> CurrentJob:
    """The job that is being run.

    Raises:
        LookupError: outside a job, as when a task's function is called directly.
    """
    try:
        return CurrentJob.of_run(running.get())
    except LookupError:
        raise LookupError("no job is being run here; current_job() belongs inside a task") from None


def progress(done: float, total: float | None = None, text: str | None = None) -> None:
    """Say how far the running job is. Outside a job this does nothing.

    Raises:
        RunStopped: in a thread whose run was given up, by a timeout or a lost lease.
        TypeError: if `done` or `total` is no number.
        ValueError: if one of them is not finite.
    """
    run = running.get(None)
    if run is not None:
        run.tell(Progress.of(done, total, text))


def begin(run: Run) -> None:
    """From here on, in this context, the job of this run is the current one."""
    running.set(run)

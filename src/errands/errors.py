"""Every error that Errands raises by its own name.

ErrandsError
├── SetupError            the application and Errands were put together in a way that cannot work
├── NotOpen               the store is closed: nothing can be added or read
├── NoRequest             there is no request whose background tasks could be meant
├── UnknownTask           a function or a name that was not declared as a task
├── DuplicateTask         two different functions under one name
├── UnknownSchedule       a name that no schedule has
├── UnknownWorker         a name that no worker has, or none that is there any longer
├── DuplicateSchedule     two different schedules under one name
├── NotSerializable       an argument or a result that cannot be kept as JSON
├── PayloadTooLarge       the arguments of one job are bigger than `max_payload`
├── JobExists             an unfinished job has this key already
├── UnknownJob            a job that is to be waited for is not in the store
├── UnfitConnection       jobs cannot be written by the connection that was handed to us
├── JobLost               the job that was to be finished is somebody else's now
├── NotCommitted          a job was finished in a transaction that was not committed
├── QueueFull             too many local tasks wait in this process, or jobs in a queue
├── JobFailed             the job whose result was asked for failed
├── JobCancelled          the job whose result was asked for was cancelled
├── ProcessDied           the process that ran a task ended, by a crash or from outside
├── RunStopped            raised inside a task that was stopped, in its own thread
├── StoreInUse            somebody works on a store that is to rest
├── StoreUnavailable      the store did not answer, or could not write
│   ├── StoreFull         its disk is full
│   ├── NotAStore         what is there is no store of Errands
│   └── SchemaTooNew      a newer version of Errands wrote it
└── LoopGaveUp            a supervised loop failed too often, too fast

What the signature of a call says already is a `TypeError` or a `ValueError`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._job import Job

HEADER = "Traceback (most recent call last):"
GROUP = "  | "  # stands before each line of a group of errors
CUT = "…"  # begins what was too long to be kept whole
CHAINED = re.compile(
    r"\n\n(?:The above exception was the direct cause of the following exception"
    r"|During handling of the above exception, another exception occurred):\n\n"
)


def reason_of(error: str | None) -> str:
    """What a traceback says in one line: the type of the error, and how its message begins.

    The last line would be a rule in a group of errors, and a link to somebody's documentation
    in those of pydantic and SQLAlchemy.
    """
    lines = CHAINED.split((error or "").rstrip())[-1].splitlines() or [""]
    if HEADER not in lines[0] and not lines[0].startswith(CUT):
        return lines[0]
    indent = GROUP if lines[0].startswith(GROUP[:2]) else ""
    for line in lines[1:]:
        said = line.removeprefix(indent)
        if line.startswith(indent) and said and not said[0].isspace():
            return said
    return lines[-1]


class ErrandsError(Exception):
    """The base of every error below, for callers who want to catch them all."""


class SetupError(ErrandsError):
    """The application and Errands were put together in a way that cannot work."""


class NotOpen(ErrandsError):
    """The store is closed, so no job can be added or read."""


class NoRequest(ErrandsError, LookupError):
    """Background tasks were asked for where no request is being handled."""


class UnknownTask(ErrandsError, LookupError):
    """A function, or a name found in the store, that was not declared as a task."""


class DuplicateTask(ErrandsError, ValueError):
    """Two different functions were declared under one name."""


class UnknownSchedule(ErrandsError, LookupError):
    """No schedule has this name."""


class UnknownWorker(ErrandsError, LookupError):
    """No worker has this name, or none that is there any longer."""


class DuplicateSchedule(ErrandsError, ValueError):
    """Two different schedules were given one name."""


class NotSerializable(ErrandsError, TypeError):
    """An argument or a result cannot be written as JSON, or not without a loss."""


class PayloadTooLarge(ErrandsError, ValueError):
    """The arguments of one job are bigger than `max_payload` allows.

    Attributes:
        size: What they take as JSON, in bytes.
        limit: What is allowed, in bytes.
    """

    def __init__(self, task: str, size: int, limit: int) -> None:
        """Say how big the arguments of `task` are, and what to pass instead."""
        super().__init__(
            f"the arguments of {task} take {size:,} bytes, and max_payload is {limit:,}. "
            "Pass an id or a path, or raise Errands(max_payload=…)."
        )
        self.size, self.limit = size, limit


class JobExists(ErrandsError):
    """An unfinished job has this key, and `on_conflict="raise"` was asked for.

    Attributes:
        job: The job that is there.
    """

    def __init__(self, job: Job) -> None:
        """Name the key and the job that holds it."""
        super().__init__(f"an unfinished job has the key {job.key!r}: {job.id} ({job.task})")
        self.job = job


class UnknownJob(ErrandsError, LookupError):
    """A job was to wait for another one that is not in the store.

    Attributes:
        job_id: The id that there is not.
    """

    def __init__(self, task: str, job_id: str) -> None:
        """Say which job, a call of `task`, was to wait for it."""
        super().__init__(
            f"{task} was to wait for job {job_id!r}, and there is no such job in this store, or no "
            "longer: pass what add_task answered, of jobs that are kept here"
        )
        self.job_id = job_id


class UnfitConnection(ErrandsError, ValueError):
    """Jobs cannot be written by the connection that was handed to us."""


class JobLost(ErrandsError):
    """The job that was to be finished is somebody else's now: let the transaction fail.

    Attributes:
        job: The job, as this run had it.
    """

    def __init__(self, job: Job) -> None:
        """Name the job."""
        super().__init__(
            f"job {job.id} ({job.task}) was taken over, cancelled, or finished before: "
            "roll back what this run did"
        )
        self.job = job


class NotCommitted(ErrandsError):
    """A task finished its job in a transaction that was rolled back or is still open."""


class QueueFull(ErrandsError):
    """As many local tasks wait in this process as `max_pending` allows, or jobs as `max_queued`."""


class JobFailed(ErrandsError):
    """The job whose result was asked for failed.

    Attributes:
        job: The job, with the traceback in `job.error`.
    """

    def __init__(self, job: Job) -> None:
        """Quote what the job's traceback says in one line."""
        super().__init__(
            f"job {job.id} ({job.task}) failed: {reason_of(job.error) or 'no reason was kept'}"
        )
        self.job = job


class JobCancelled(ErrandsError):
    """The job whose result was asked for was cancelled.

    Attributes:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        """Name the job."""
        super().__init__(f"job {job.id} ({job.task}) was cancelled")
        self.job = job


class ProcessDied(ErrandsError):
    """The process in which a task ran has ended: it crashed, left, or was killed."""


class RunStopped(ErrandsError):
    """Raised by `progress` and `track` in a thread or process whose run was given up.

    A thread cannot be interrupted from outside; this ends it at its next step.
    """


class StoreInUse(ErrandsError):
    """Somebody works, or may work, on a store that is to rest: to be moved, for example."""


class StoreUnavailable(ErrandsError):
    """The store did not answer, or could not write. What it had acknowledged it still has."""


class StoreFull(StoreUnavailable):
    """The store's disk is full."""


class NotAStore(StoreUnavailable):
    """What the URL names is there, but it is no store of Errands."""


class SchemaTooNew(StoreUnavailable):
    """A newer version of Errands wrote this store."""


class LoopGaveUp(ErrandsError):
    """A supervised loop failed more often than its restart limit allows."""

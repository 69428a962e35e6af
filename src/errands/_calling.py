"""Call the function of a job where it is to run: in the event loop, a thread or a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ._function import awaited_by_itself
from ._job import Job
from ._progress import Progress
from ._task import Task
from .errors import NotSerializable, RunStopped
from .executors._records import levels
from .executors._wire import Assignment
from .executors.process import Processes
from .executors.thread import Threads

Tell = Callable[[Progress], object]


@dataclass(frozen=True, slots=True)
class Executors:
    """Where the functions of one worker run, besides its event loop."""

    threads: Threads
    processes: Processes


@dataclass(frozen=True, slots=True)
class Kept:
    """A result that is written as it is to be stored already; or why it cannot be."""

    text: str | None
    note: str | None = None


async def call(task: Task, job: Job, executors: Executors, tell: Tell, *, is_wrapped: bool) -> Any:
    """Call the function of a task with the arguments of a job, and answer with what it returns.

    Args:
        tell: Called with the progress of a process.
        is_wrapped: Whether somebody looks at the result, so that it is to be read.
    """
    if task.place == "process":
        kept = await _by_process(task, job, executors.processes, tell)
        return _read(task, kept) if is_wrapped and kept.note is None else kept
    args, kwargs = task.codec.load(job.payload)
    if task.place == "thread":
        value = await executors.threads.run_named(task.name, task.function, *args, **kwargs)
        return awaited_by_itself(task.name, value)
    value = task.function(*args, **kwargs)
    return await value if task.is_async else awaited_by_itself(task.name, value)


async def _by_process(task: Task, job: Job, processes: Processes, tell: Tell) -> Kept:
    def hear(progress: Progress) -> None:
        with suppress(RunStopped):  # it is told to end by another way
            tell(progress)

    work = Assignment(
        job=job,
        task=task.name,
        reference=task.reference,
        timeout=task.timeout,
        max_memory=task.max_memory,
        levels=levels(),
    )
    done, body = await processes.run(work, task.deadline, hear, _names(task))
    return Kept(body.decode() if done.has_result else None, done.note)


def _names(task: Task) -> Mapping[str, str]:
    """Modules that have another name in a process: the program itself."""
    return {task.reference.module: task.function.__module__}


def _read(task: Task, kept: Kept) -> Any:
    """The result for middleware; one that is not what it is annotated as stays as it is."""
    try:
        return task.codec.load_result(kept.text)
    except NotSerializable:
        return kept

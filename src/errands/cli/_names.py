"""Names as people type them: the whole id of a job, the whole name of a task or a worker."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import click

from errands import Errands, Job

HOUR = timedelta(hours=1)
SHORT_ID = 18  # characters of an id that tell its millisecond, and its place in that
FEWEST = 8  # characters of an id that may stand for it
SHOWN = 10  # names that are told of those that there are


async def required(errands: Errands, job_id: str) -> Job:
    """The job of this id, or the only one whose id begins like that.

    Raises:
        click.ClickException: if there is none, or more than one.
    """
    found = await errands.job(job_id)
    if found is not None:
        return found
    if len(job_id) < FEWEST:
        raise click.ClickException(
            f"{job_id!r} is no id, and too short for the beginning of one: give {SHORT_ID} "
            "characters, as `errands jobs` shows them"
        )
    near = await errands.jobs(before=f"{job_id.lower()}~", limit=3)
    alike = [job for job in near if job.id.startswith(job_id.lower())]
    if not alike:
        raise click.ClickException(
            f"there is no job {job_id!r} in {errands.address}, or no longer: "
            "`errands jobs` lists those that there are"
        )
    if len(alike) > 1:
        raise click.ClickException(
            f"{job_id!r} begins more than one id: {', '.join(job.id for job in alike)}"
        )
    return alike[0]


async def known_tasks(errands: Errands) -> set[str]:
    """The tasks that are declared here, that a worker of the last day knows, or that have run.

    No store could tell quickly of which tasks it has jobs.
    """
    known = set(errands.tasks)
    for worker in await errands.workers():
        known.update(worker.tasks)
    known.update(each.task for each in await errands.schedules.list())
    known.update(tally.task for tally in await errands.history(step=HOUR))
    return known


async def known_queues(errands: Errands) -> set[str]:
    """The queues that have jobs, or a worker of the last day."""
    known = {queue for queue, _ in await errands.count()}
    for worker in await errands.workers():
        known.update(worker.queues or ())
    return known


async def full_task(errands: Errands, name: str) -> str:
    """The task of this name, or the only one whose name ends like that; else what was given.

    Raises:
        click.ClickException: if the names of several end like that.
    """
    known = await known_tasks(errands)
    if name in known:
        return name
    alike = [each for each in known if each.endswith(f".{name}")]
    if len(alike) > 1:
        raise click.ClickException(f"{name!r} ends the names of several tasks: {some(alike)}")
    return alike[0] if alike else name


async def hint_of(errands: Errands, task: str | None, queue: str | None) -> str:
    """What to say beside "nothing was found": that nobody knows the task, or the queue."""
    for kind, name in (("task", task), ("queue", queue)):
        if name is not None and (note := await note_of(errands, kind, name)):
            return f": {note}"
    return ""


async def note_of(errands: Errands, kind: str, name: str) -> str:
    """What to say of a queue or a task that may be mistyped: that nobody knows it by now."""
    if kind == "task":
        known, said = await known_tasks(errands), f"no task is known as {name!r}"
    elif kind == "queue":
        known, said = await known_queues(errands), f"there are no jobs in a queue {name!r} so far"
    else:
        return ""
    return f"{said}; there are {some(known)}" if known and name not in known else ""


async def full_worker(errands: Errands, name: str) -> str:
    """The worker of this name, or the only one at work whose name begins like that.

    Raises:
        click.ClickException: if there is none, or more than one.
    """
    alive = [w.worker for w in await errands.workers() if w.is_alive(errands.now())]
    alike = [name] if name in alive else [each for each in alive if each.startswith(name)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise click.ClickException(f"{name!r} begins the names of several workers: {some(alike)}")
    there = f"there are {some(alive)}" if alive else "none is at work"
    raise click.ClickException(f"no worker at work is named {name!r}: {there}")


def some(names: Collection[str]) -> str:
    """The first ten of names, and how many more there are."""
    shown = ", ".join(sorted(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"

"""Names as people type them: the whole name of a task, of a worker, whether there is such a one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import click

from errands import Errands

HOUR = timedelta(hours=1)
SHOWN = 10  # names that are told of those that there are


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


async def hint_of(errands: Errands, task: str | None) -> str:
    """What to say beside "nothing was found": that nobody knows the task."""
    if task is None or task in (known := await known_tasks(errands)):
        return ""
    return f": no task is known as {task!r}; there are {some(known)}" if known else ""


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

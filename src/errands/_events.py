"""Events: a job or a group as it is now, and again whenever that has changed, wherever it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ._changing import look
from ._engine import Engine
from ._group import Group
from ._job import Job
from ._pace import Pace

POLL = (0.1, 0.5)  # seconds between two looks at a job that another process runs: first, longest
GROUP_POLL = (0.1, 1.0)  # the same for a group: to count it costs more


async def events(engine: Engine, job_id: str) -> AsyncGenerator[Job, None]:
    """See `Errands.events`.

    What this process stores wakes us at once; what others store is seen at the next look.
    """
    last: Job | None = None
    pace = Pace(*POLL)
    with engine.watching(job_id) as changed:
        while True:
            changed.clear()
            job = await look(engine, job_id)
            if last is None or _shown(job) != _shown(last):
                last = job
                pace.begin_anew()
                yield job
            if job.is_final:
                return
            await pace.wait(changed)


async def group_events(engine: Engine, name: str) -> AsyncGenerator[Group, None]:
    """See `Errands.events`.

    A group whose jobs change all the time is looked at no more often than one that rests.
    """
    last: Group | None = None
    pace, nobody_tells = Pace(*GROUP_POLL), asyncio.Event()  # since jobs are told by their ids
    while True:
        group = await engine.store.group(name)
        if last is not None and last.total and not group.total:
            raise LookupError(f"there is no job of the group {name!r} any longer")
        if group != last:
            last = group
            yield group
        if group.is_final:
            return
        await pace.wait(nobody_tells)


def _shown(job: Job) -> tuple[object, ...]:
    """What makes an event when it changes; the end of a lease, which is renewed, does not."""
    return job.version, job.progress

"""What an application asks of a job or a group: how it goes on, an answer in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, overload

from ._background import BackgroundTasks
from ._door import Door
from ._engine import Engine
from ._events import events, group_events
from ._group import Group
from ._job import Job, id_of
from ._parents import value_of
from ._plain import Seconds, seconds
from ._results import wait_or_202
from .errors import SetupError


class Following:
    """The part of `Errands` that follows jobs and groups."""

    _engine: Engine

    def value(self, job: Job) -> Any:
        """What the function of a job that has ended returned; as `result`, without a wait.

        Raises:
            ValueError: if the job has not ended.
            JobFailed: if the job failed for good.
            JobCancelled: if it was cancelled.
            NotSerializable: if it is done, but what it returned could not be kept.
        """
        if not job.is_final:
            raise ValueError(f"job {job.id} is {job.state}: its value is known once it has ended")
        return value_of(self._engine.tasks, job)

    @overload
    def events(self, what: Job | str, /) -> AsyncGenerator[Job, None]: ...
    @overload
    def events(self, what: Group, /) -> AsyncGenerator[Group, None]: ...
    def events(
        self, what: Job | str | Group, /
    ) -> AsyncGenerator[Job, None] | AsyncGenerator[Group, None]:
        """A job, or a group, as it is now, and again at each change of it, until it has ended.

        Changes that come fast may be told as one; the last one, its end, is always told.

        Raises:
            LookupError: while iterating, if there is no such job, or no longer; or if all jobs
                of the group were forgotten meanwhile. A group that has none yet is waited for.
        """
        if isinstance(what, Group):
            return group_events(self._engine, what.name)
        return events(self._engine, id_of(what))

    async def wait_or_202(self, what: Job | str | Group, /, timeout: Seconds = 1.0) -> Any:
        """What a handler is to return: the job's value if it has ended in time, else a 202.

        The 202 says in `Location` where to ask for the job, which goes on. How both look is
        up to the framework: FastHTML shows the job, which then keeps itself up to date.
        Of a group it is how far it is, in either case.

        Args:
            timeout: Seconds to wait at the most.

        Raises:
            SetupError: outside of a request, or in an application whose door cannot answer.
            JobFailed: if the job failed for good.
            JobCancelled: if it was cancelled.
            NotSerializable: if it is done, but what it returned could not be kept.
            LookupError: if there is no such job; one that was added by `background.add_task`
                is there when the request is over: use `await errands.add_task(…)`.
        """
        door = BackgroundTasks.of().door
        if door is None:
            raise SetupError(
                "wait_or_202 answers by way of the framework: call setup_errands of "
                "errands.fasthtml, errands.fastapi or errands.starlette"
            )
        if isinstance(what, Group):
            return await _group_or_202(self._engine, what.name, seconds(timeout), door)
        return await wait_or_202(self._engine, id_of(what), seconds(timeout), door)


async def _group_or_202(engine: Engine, name: str, limit: float, door: Door) -> Any:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit):
            async for _ in group_events(engine, name):
                pass
    group = await engine.store.group(name)
    return door.ready(group, group) if group.is_final else door.accepted(group)

"""What an application asks of one job: what it came to, how it goes on, an answer in time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from ._background import BackgroundTasks
from ._engine import Engine
from ._events import events
from ._job import Job, id_of
from ._options import Seconds, seconds
from ._parents import value_of
from ._results import wait_or_202
from .errors import SetupError


class Following:
    """The part of `Errands` that follows jobs."""

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

    def events(self, job: Job | str) -> AsyncGenerator[Job, None]:
        """The job as it is now, and again at each change of it, until it has ended.

        Changes that come fast may be told as one; the last one, its end, is always told.

        Raises:
            LookupError: while iterating, if there is no such job, or no longer.
        """
        return events(self._engine, id_of(job))

    async def wait_or_202(self, job: Job | str, timeout: Seconds = 1.0) -> Any:
        """What a handler is to return: the job's value if it has ended in time, else a 202.

        The 202 says in `Location` where to ask for the job, which goes on. How both look is
        up to the framework: FastHTML shows the job, which then keeps itself up to date.

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
        return await wait_or_202(self._engine, id_of(job), seconds(timeout), door)

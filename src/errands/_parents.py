"""The parents of a job: the jobs that it waited for, and what came of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._clock import Clock
from ._job import FINAL, Job, State
from ._store import Store
from ._supervisor import Patience
from ._task import Task
from .errors import ErrandsError, JobCancelled, JobFailed, NotSerializable

PAGE = 500  # jobs that are read at once


class Parents:
    """Looks at what the jobs waited for that one worker has claimed.

    Args:
        ended: Told about each job that is cancelled here, once that is stored.
    """

    def __init__(
        self, store: Store, clock: Clock, patience: Patience, ended: Callable[[Job], object]
    ) -> None:
        """Look at nothing yet."""
        self._store, self._clock, self._patience, self._ended = store, clock, patience, ended

    async def sift(self, claimed: list[Job]) -> list[Job]:
        """Those that are to start; the others have been cancelled, or wait again, by then."""
        ids = {parent for job in claimed for parent in job.waits_for}
        if not ids:
            return claimed
        states = await self._patience.until_done(lambda: self._store.states(ids))
        verdicts = [self._verdict(job, states) for job in claimed]
        refused = [verdict for verdict in verdicts if verdict is not None]
        if refused:
            saved = await self._patience.until_done(lambda: self._store.save(refused))
            for job in refused:
                if job.is_final and job.id in saved:
                    self._ended(job)
        return [job for job, no in zip(claimed, verdicts, strict=True) if no is None]

    def _verdict(self, job: Job, states: Mapping[str, State]) -> Job | None:
        """What becomes of a job that is not to start."""
        known = {parent: states.get(parent) for parent in job.waits_for}
        if any(state is not None and state not in FINAL for state in known.values()):
            return job.returned()  # it was asked for once more
        bad = [parent for parent, state in known.items() if state is not State.DONE]
        if job.runs_anyway or not bad:
            return None
        became = states.get(bad[0], "is no longer kept")
        how = {State.FAILED: "failed", State.CANCELLED: "was cancelled"}.get(became, became)  # type: ignore[call-overload]  # a text stays as it is
        more = f", and {len(bad) - 1} more" if bad[1:] else ""
        return job.cancelled(self._clock.now(), f"It waited for job {bad[0]}, which {how}{more}.")


async def results_of(store: Store, tasks: Mapping[str, Task], ids: Sequence[str]) -> list[Any]:
    """What these jobs returned; in place of a value that there is not, the reason."""
    answers: list[Any] = []
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        jobs = await asyncio.gather(*(store.get(job_id) for job_id in page))
        answers += [_answer(tasks, job_id, job) for job_id, job in zip(page, jobs, strict=True)]
    return answers


def value_of(tasks: Mapping[str, Task], job: Job) -> Any:
    """What the function of a job returned that has ended, as its return annotation says.

    Raises:
        JobFailed: if the job failed for good.
        JobCancelled: if it was cancelled.
        NotSerializable: if it is done, but what it returned could not be kept.
    """
    if job.state is State.FAILED:
        raise JobFailed(job)
    if job.state is State.CANCELLED:
        raise JobCancelled(job)
    if job.result is None and job.error:
        raise NotSerializable(job.error)
    task = tasks.get(job.task)
    return json.loads(job.result or "null") if task is None else task.codec.load_result(job.result)


def _answer(tasks: Mapping[str, Task], job_id: str, job: Job | None) -> Any:
    if job is None:
        return LookupError(f"there is no job {job_id!r}, or no longer")
    try:
        return value_of(tasks, job)
    except ErrandsError as error:
        return error

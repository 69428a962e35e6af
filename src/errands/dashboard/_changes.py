"""Changes of many jobs: of those that were selected, or of all that match, as a job of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

from errands import Errands, Job, Query, Retry, State
from errands.errors import JobExists

from ._glance import Counts

Do = Literal["cancel", "delete", "retry"]

STATES: Mapping[Do, tuple[State, ...]] = {  # which jobs each is for
    "retry": (State.FAILED, State.CANCELLED),
    "cancel": (State.QUEUED, State.RUNNING),
    "delete": (State.DONE, State.FAILED, State.CANCELLED),
}
TASK = "errands.dashboard.change"
MOST = 5_000  # jobs that are counted one by one
PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are meant: those that match everything that is not empty."""

    state: str = ""
    queue: str = ""
    task: str = ""
    key: str = ""
    group: str = ""
    text: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """What the fields of a form, or of an address, ask for."""
        return cls(**{name: fields.get(name, "") for name in cls.__dataclass_fields__})

    def states(self, do: Do) -> tuple[State, ...]:
        """Those that the change is for; none if there is no such state."""
        return tuple(s for s in STATES[do] if self.state in ("", str(s)))

    def query(self, do: Do) -> Query:
        """As the store is asked."""
        return Query(
            states=self.states(do), queue=self.queue or None, task=self.task or None,
            key=self.key or None, group=self.group or None, text=self.text or None,
        )  # fmt: skip  # a call


def declare(errands: Errands) -> None:
    """Let this process change jobs in the background."""
    if TASK in errands.tasks:
        return  # there is another dashboard of it

    # started again after a crash, it goes on with those that still match
    @errands.task(name=TASK, retry=Retry(attempts=10))
    async def change_all(do: Do, wanted: dict[str, str], who: str) -> int:
        return await _all(errands, do, Wanted.of(wanted))


async def change_some(errands: Errands, do: Do, ids: Collection[str]) -> int:
    """Change these jobs, and say with how many of them it could be done."""
    return sum(await asyncio.gather(*(_one(errands, do, each) for each in ids)))


async def change(errands: Errands, do: Do, wanted: Wanted, who: str) -> Job | int:
    """Change all that match.

    Returns:
        The job that does it, where this process is at work; else how many jobs were changed.
    """
    worker = errands.worker
    if worker is None:
        return await _all(errands, do, wanted)
    queue = None if worker.queues is None or "default" in worker.queues else worker.queues[0]
    arguments = {"do": do, "wanted": asdict(wanted), "who": who}
    return await errands.add_named(TASK, arguments, queue=queue)


async def number_of(errands: Errands, do: Do, wanted: Wanted, counts: Counts | None) -> int:
    """How many match; those that are beyond `MOST` are not looked for."""
    states = wanted.states(do)
    if counts is not None and not (wanted.task or wanted.key or wanted.group or wanted.text):
        return sum(
            n
            for (queue, state), n in counts.items()
            if state in states and wanted.queue in ("", queue)
        )
    asked = {name: value or None for name, value in asdict(wanted).items() if name != "state"}
    number, before = 0, None
    while states and number <= MOST:
        page = await errands.jobs(**asked, states=states, before=before, limit=PAGE)
        number += len(page)
        if len(page) < PAGE:
            break
        before = page[-1].id
    return number


async def _one(errands: Errands, do: Do, job_id: str) -> bool:
    """Whether it could be done: it may have gone meanwhile, or have ended, or run."""
    try:
        match do:
            case "cancel":
                await errands.cancel(job_id)
            case "delete":
                await errands.delete(job_id)
            case "retry":
                await errands.retry(job_id)
    except (JobExists, LookupError, ValueError):
        return False
    return True


async def _all(errands: Errands, do: Do, wanted: Wanted) -> int:
    query = wanted.query(do)
    if not query.states:  # those in this state cannot be changed so
        return 0
    match do:
        case "cancel":
            return await errands.cancel(query)
        case "delete":
            return await errands.delete(query)
        case "retry":
            return await errands.retry(query)

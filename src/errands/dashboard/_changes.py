"""Changes of many jobs: of those that were selected, or of all that match, as a job of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from errands import Errands, ErrandsError, Job, Query, Retry, State
from errands.errors import JobExists

from ._glance import Counts

Do = Literal["cancel", "delete", "retry"]

STATES: Mapping[Do, tuple[State, ...]] = {  # which jobs each is for
    "retry": (State.FAILED, State.CANCELLED),
    "cancel": (State.QUEUED, State.RUNNING),
    "delete": (State.DONE, State.FAILED, State.CANCELLED),
}
TEXTS = ("text", "task", "queue", "key", "group")  # as `Errands.jobs` calls them
TIMES = ("since", "until")
TASK = "errands.dashboard.change"
MOST = 1_000  # jobs that are counted one by one


class Refused(ErrandsError):
    """What was asked for makes no sense; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are meant: those that match everything that is not empty."""

    state: str = ""
    queue: str = ""
    task: str = ""
    key: str = ""
    group: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """What the fields of a form, or of an address, ask for."""
        return cls(**{name: fields.get(name, "") for name in cls.__dataclass_fields__})

    def states(self, do: Do) -> tuple[State, ...]:
        """Those that the change is for; none if there is no such state."""
        return tuple(s for s in STATES[do] if self.state in ("", str(s)))

    def query(self, do: Do) -> Query:
        """As the store is asked."""
        return Query(states=self.states(do), **self.asked())

    def asked(self) -> dict[str, Any]:
        """What `Errands.jobs` is asked, but for the states.

        Raises:
            Refused: if a time is none, which would mean all jobs.
        """
        asked: dict[str, Any] = {name: getattr(self, name) or None for name in TEXTS}
        for name in TIMES:
            asked[name] = instant(getattr(self, name))
            if asked[name] is None and getattr(self, name):
                raise Refused(f"{getattr(self, name)!r} is no time: write 2026-02-01T03:00, in UTC")
        return asked

    @property
    def is_of_queues(self) -> bool:
        """Whether no more is asked for than a state and a queue, which are counted anyway."""
        return not any(getattr(self, name) for name in (*TEXTS, *TIMES) if name != "queue")


def instant(text: str | None) -> datetime | None:
    """What a field for a time holds, in UTC; `None` if that is no time."""
    if not text:
        return None
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found
    return None


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
    wanted.asked()  # refused here, and not by a job
    worker = errands.worker
    if worker is None:
        return await _all(errands, do, wanted)
    queue = None if worker.queues is None or "default" in worker.queues else worker.queues[0]
    arguments = {"do": do, "wanted": asdict(wanted), "who": who}
    return await errands.add_named(TASK, arguments, queue=queue)


async def matching(
    errands: Errands, do: Do, wanted: Wanted, counts: Counts | None, shown: int
) -> tuple[int, list[Job]]:
    """How many match, and the newest of them; beyond `MOST` they are not looked for."""
    states = wanted.states(do)
    if not states:
        return 0, []
    if counts is None or not wanted.is_of_queues:
        jobs = await errands.jobs(**wanted.asked(), states=states, limit=MOST + 1)
        return len(jobs), jobs[:shown]
    places = ((queue, state) for queue in {queue for queue, _ in counts} for state in states)
    number = sum(counts.get(place, 0) for place in places if wanted.queue in ("", place[0]))
    return number, await errands.jobs(**wanted.asked(), states=states, limit=shown)


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

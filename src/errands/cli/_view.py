"""The view: what `errands top` shows, read from a store, and compared with the look before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from errands import Errands, State

from ._records import of_job
from ._tables import Record
from ._workers import workers_of

ENDED = (State.DONE, State.FAILED, State.CANCELLED)
FAILURES = 20  # newest failed jobs, of which the last to fail are shown

Counts = Mapping[tuple[str, State], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One queue.

    Attributes:
        ended: Jobs that have ended and are still kept.
        rate: Jobs that ended in a second since the look before; `None` if nobody knows, as at
            the first look, or when old jobs were forgotten meanwhile.
        age: How long the job that waits longest has been due; `None` if none is.
    """

    name: str
    queued: int
    running: int
    failed: int
    ended: int
    rate: float | None
    age: timedelta | None
    is_paused: bool


@dataclass(frozen=True, slots=True)
class Minute:
    """What ended within a minute: attempts of jobs, and those among them that failed for good."""

    ended: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What was seen at one look.

    Attributes:
        hour: The last sixty minutes, the one that has begun as the last.
    """

    address: str
    now: datetime
    queues: list[QueueView]
    workers: list[Record]
    failures: list[dict[str, Any]]
    hour: Sequence[Minute] = ()

    @property
    def rate(self) -> float | None:
        """Jobs that ended in a second, in all queues of which that is known."""
        known = [queue.rate for queue in self.queues if queue.rate is not None]
        return sum(known) if known else None

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "store": self.address,
            "now": self.now,
            "queues": [
                {
                    "name": queue.name, "queued": queue.queued, "running": queue.running,
                    "failed": queue.failed, "ended": queue.ended, "per_second": queue.rate,
                    "oldest": None if queue.age is None else queue.age.total_seconds(),
                    "is_paused": queue.is_paused,
                }
                for queue in self.queues
            ],
            "workers": self.workers,
            "failures": self.failures,
            "last_hour": [{"ended": each.ended, "failed": each.failed} for each in self.hour],
        }  # fmt: skip  # tables


async def look(errands: Errands, before: View | None = None) -> View:
    """Look, and compare with the look before."""
    counts, oldest, orders = await errands.count(), await errands.oldest(), await errands.orders()
    now = errands.now()
    paused = {order.name for order in orders if order.kind == "queue"}
    names = sorted({queue for queue, _ in counts} | paused | set(oldest))
    failed = await errands.jobs(states=[State.FAILED], limit=FAILURES)
    failed.sort(key=lambda job: job.finished_at or job.added_at, reverse=True)
    return View(
        address=errands.address,
        now=now,
        queues=[
            _queue(name, counts, oldest.get(name), before, now, is_paused=name in paused)
            for name in names
        ],
        workers=[each for each in await workers_of(errands) if each["state"] != "gone"],
        failures=[of_job(job, now) for job in failed],
        hour=await _hour(errands, now),
    )


async def _hour(errands: Errands, now: datetime) -> list[Minute]:
    last = now.replace(second=0, microsecond=0)
    minutes = [last - timedelta(minutes=ago) for ago in range(59, -1, -1)]
    ended, failed = Counter[datetime](), Counter[datetime]()
    for tally in await errands.history(minutes[0]):
        ended[tally.at] += sum(tally.counts.values())
        failed[tally.at] += tally.counts.get("failed", 0)
    return [Minute(ended[each], failed[each]) for each in minutes]


def _queue(
    name: str,
    counts: Counts,
    since: datetime | None,
    before: View | None,
    now: datetime,
    *,
    is_paused: bool,
) -> QueueView:
    ended = sum(counts.get((name, state), 0) for state in ENDED)
    return QueueView(
        name=name,
        queued=counts.get((name, State.QUEUED), 0),
        running=counts.get((name, State.RUNNING), 0),
        failed=counts.get((name, State.FAILED), 0),
        ended=ended,
        rate=_rate(name, ended, before, now),
        age=None if since is None else now - since,
        is_paused=is_paused,
    )


def _rate(name: str, ended: int, before: View | None, now: datetime) -> float | None:
    if before is None or now <= before.now:
        return None
    last = next((queue.ended for queue in before.queues if queue.name == name), 0)
    return None if ended < last else (ended - last) / (now - before.now).total_seconds()

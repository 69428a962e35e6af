"""The last hour, minute by minute: what the store's history says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from errands import Sketch, Tally

MINUTES = 60
TONES = ("done", "retried", "failed", "cancelled", "released")  # from the ground of a column up


@dataclass(slots=True)
class Span:
    """What ended in a minute, or in all of them.

    Attributes:
        ended: How many attempts, by what became of them, in the order of `TONES`.
    """

    at: datetime
    ended: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(TONES, 0)))
    _waits: Counter[int] = field(default_factory=Counter)
    _runs: Counter[int] = field(default_factory=Counter)

    def add(self, tally: Tally | Span) -> None:
        """Count these, too; in place, since a busy hour has thousands of them."""
        self.ended.update(tally.counts if isinstance(tally, Tally) else tally.ended)
        self._waits.update(tally.wait.counts)
        self._runs.update(tally.run.counts)

    @property
    def wait(self) -> Sketch:
        """From the time at which they were due to the first start."""
        return Sketch(self._waits)

    @property
    def run(self) -> Sketch:
        """From a start to its end."""
        return Sketch(self._runs)

    @property
    def failing(self) -> float | None:
        """The share that failed for good, of those that were done or failed."""
        ended = self.ended["done"] + self.ended["failed"]
        return self.ended["failed"] / ended if ended else None


def by_minute(tallies: Iterable[Tally], now: datetime) -> Sequence[Span]:
    """Each of the last sixty minutes, that of `now` last."""
    last = now.replace(second=0, microsecond=0)
    ago = (last - timedelta(minutes=n) for n in range(MINUTES - 1, -1, -1))
    minutes = {minute: Span(minute) for minute in ago}
    for tally in tallies:
        if tally.at in minutes:
            minutes[tally.at].add(tally)
    return list(minutes.values())


def by_queue(tallies: Iterable[Tally], now: datetime) -> Mapping[str, Span]:
    """All that ended in each queue."""
    queues: dict[str, Span] = {}
    for tally in tallies:
        queues.setdefault(tally.queue, Span(now)).add(tally)
    return queues


def whole(minutes: Sequence[Span]) -> Span:
    """All of them together."""
    found = Span(minutes[0].at)
    for minute in minutes:
        found.add(minute)
    return found

"""History: how many jobs ended when, and how long they had waited and run, for charts.

A tally sums up the attempts of one task that ended within a minute, or within an hour. What
it keeps of a length of time is a sketch, which answers quantiles: a histogram whose buckets
grow with the length, four to each power of two, as in HdrHistogram. So a quantile is off by
an eighth at the most, and two sketches are added by adding their counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ._job import Attempt, Job, Outcome

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
STEPS = (MINUTE, HOUR)
KEPT = {MINUTE: timedelta(hours=2), HOUR: timedelta(days=7)}

NAMES = {outcome: outcome.value for outcome in Outcome}  # `value` is slow

Key = tuple[datetime, timedelta, str, str]  # see `Tally`


@dataclass(frozen=True, slots=True)
class Sketch:
    """Many lengths of time, about.

    Attributes:
        counts: How many fell into each bucket; see `bucket_of`.
    """

    counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """How many lengths there are."""
        return sum(self.counts.values())

    def quantile(self, q: float) -> timedelta | None:
        """The length that a share `q` of them does not exceed, or `None` if there is none.

        Args:
            q: Between 0 and 1; 0.5 for the median.
        """
        rank, seen = q * (self.number - 1), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen > rank:
                return timedelta(milliseconds=_middle_of(bucket))
        return None

    def __add__(self, other: Sketch) -> Sketch:
        return Sketch(Counter(self.counts) + Counter(other.counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The attempts of one task's jobs in one queue that ended within one step of time.

    Attributes:
        at: The instant at which the step begins.
        step: A minute or an hour.
        counts: How many attempts ended as what: `done`, `failed` for good, `retried`,
            `cancelled`, `released`.
        wait: From the time at which they were due to the first start.
        run: From a start to its end.
    """

    at: datetime
    step: timedelta
    queue: str
    task: str
    counts: Mapping[str, int]
    wait: Sketch = Sketch()
    run: Sketch = Sketch()

    @property
    def key(self) -> Key:
        """What tallies that are added have in common."""
        return self.at, self.step, self.queue, self.task

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            at=self.at,
            step=self.step,
            queue=self.queue,
            task=self.task,
            counts=Counter(self.counts) + Counter(other.counts),
            wait=self.wait + other.wait,
            run=self.run + other.run,
        )


class Count:
    """A tally that is being counted, in place and quickly."""

    __slots__ = ("counts", "run", "wait")

    def __init__(self) -> None:
        """Count nothing yet."""
        self.counts: dict[str, int] = {}
        self.wait: dict[int, int] = {}
        self.run: dict[int, int] = {}

    def add(self, job: Job, last: Attempt) -> None:
        """Count the attempt of a job that ended last."""
        is_retried = last.outcome is Outcome.FAILED and not job.is_final
        what = "retried" if is_retried else NAMES[last.outcome]
        self.counts[what] = self.counts.get(what, 0) + 1
        _note(self.run, last.ended_at - last.started_at)
        if len(job.history) == 1:  # a job that is retried was due long ago
            _note(self.wait, last.started_at - job.due_at)

    def tallies(self, minute: datetime, queue: str, task: str) -> list[Tally]:
        """What was counted, for its minute and for its hour."""
        return [
            Tally(
                at=minute.replace(minute=0) if step == HOUR else minute,
                step=step,
                queue=queue,
                task=task,
                counts=dict(self.counts),
                wait=Sketch(dict(self.wait)),
                run=Sketch(dict(self.run)),
            )
            for step in STEPS
        ]


def merged(tallies: Iterable[Tally]) -> dict[Key, Tally]:
    """Tallies of the same key, added."""
    sums: dict[Key, Tally] = {}
    for tally in tallies:
        sums[tally.key] = sums[tally.key] + tally if tally.key in sums else tally
    return sums


def bucket_of(ms: int) -> int:
    """The bucket of a length in milliseconds: up to 3 exact, then four to each power of two."""
    if ms < 4:
        return max(ms, 0)
    power = ms.bit_length() - 3
    return (power + 1) * 4 + (ms >> power & 3)


def _middle_of(bucket: int) -> float:
    if bucket < 4:
        return bucket
    power = bucket // 4 - 1
    return ((4 + bucket % 4) << power) + ((1 << power) - 1) / 2


def _note(counts: dict[int, int], length: timedelta) -> None:
    ms = length.seconds * 1000 + length.microseconds // 1000
    if days := length.days:
        ms += days * 86_400_000
    bucket = ms if 0 <= ms < 4 else bucket_of(ms)
    counts[bucket] = counts.get(bucket, 0) + 1

"""When a schedule comes due: what all specs have in common, and `every` so often.

A spec is a value: of all processes that have the same one, each finds the same instants.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, get_args

Missed = Literal["skip", "one", "all"]
Overlap = Literal["allow", "skip"]

MONDAY = datetime(2001, 1, 1, tzinfo=UTC)  # an interval without a start is counted from here
MILLISECOND = timedelta(milliseconds=1)
SHORTEST, LONGEST = timedelta(seconds=0.1), timedelta(days=36_600)
UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What `every` and `cron` have in common.

    Attributes:
        start: No tick before this instant.
        until: No tick after it.
        jitter: Each job is due up to so many seconds after its tick.
        missed: Which ticks are made up for when nobody was at work.
        overlap: Whether a job is added while the one before it has not ended.
    """

    start: datetime | None = None
    until: datetime | None = None
    jitter: float | timedelta = 0.0
    missed: Missed = "one"
    overlap: Overlap = "allow"

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        """Refuse what could never be meant; see `every`."""
        for name in ("start", "until"):
            self._set(name, self._instant(name, getattr(self, name)))
        if self.start and self.until and self.until < self.start:
            raise ValueError(
                f"{self.kind}: until={self.until.isoformat()} is before "
                f"start={self.start.isoformat()}, so it would never be due"
            )
        for name, allowed in (("missed", get_args(Missed)), ("overlap", get_args(Overlap))):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{self.kind}: {name}={value!r}: expected {', '.join(allowed)}")
        if self.missed == "all" and self.overlap == "skip":
            raise ValueError(
                f"{self.kind}: missed='all' would add many jobs at once, and overlap='skip' drops "
                "all but one of them: choose missed='one', or overlap='allow'"
            )
        jitter = self.jitter
        if isinstance(jitter, timedelta):
            jitter = jitter.total_seconds()
        if isinstance(jitter, bool) or not 0 <= jitter <= LONGEST.total_seconds():
            raise ValueError(f"{self.kind}: jitter={jitter!r}: expected 0 seconds or more")
        self._set("jitter", float(jitter))

    @property
    def spread(self) -> timedelta:
        """The jitter, in whole milliseconds."""
        return (
            self.jitter if isinstance(self.jitter, timedelta) else whole_length(seconds=self.jitter)
        )

    def next_after(self, instant: datetime) -> datetime | None:
        """The first tick after an instant, in UTC; `None` if there is none any more."""
        begin = instant if self.start is None else max(instant, self.start - MILLISECOND)
        try:
            tick = self._tick_after(begin)
        except OverflowError:  # the end of the calendar, in the year 9999
            return None
        return None if tick is None or (self.until and tick > self.until) else tick

    def last_until(self, instant: datetime, first: datetime) -> datetime:
        """The last tick up to an instant, where `first` is a tick that is not after it.

        Looks back further and further, so that a downtime of a month costs no more than one
        of an hour.
        """
        window = timedelta(minutes=1)
        tick: datetime | None = None
        while tick is None or tick > instant:
            begin = instant - window
            tick = first if begin <= first else self.next_after(begin)
            window *= 8
        while (following := self.next_after(tick)) is not None and following <= instant:
            tick = following
        return tick

    def between(self, begin: datetime, end: datetime) -> list[datetime]:
        """The ticks after an instant and up to another."""
        ticks: list[datetime] = []
        while (tick := self.next_after(begin)) is not None and tick <= end:
            ticks.append(tick)
            begin = tick
        return ticks

    def upcoming(self, instant: datetime, count: int) -> list[datetime]:
        """The next ticks after an instant, at most so many."""
        ticks: list[datetime] = []
        while len(ticks) < count and (tick := self.next_after(instant)) is not None:
            ticks.append(tick)
            instant = tick
        return ticks

    @property
    def text(self) -> str:
        """All of it as the text of a JSON object, for the store."""
        common: dict[str, Any] = {
            "start": self.start and self.start.isoformat(),
            "until": self.until and self.until.isoformat(),
            "jitter": self.jitter,
            "missed": self.missed,
            "overlap": self.overlap,
        }
        kept = {name: v for name, v in common.items() if v != getattr(Spec, name)}
        return json.dumps(self._own | kept, ensure_ascii=False)

    @property
    def _own(self) -> dict[str, Any]:
        raise NotImplementedError

    def _tick_after(self, instant: datetime) -> datetime | None:
        raise NotImplementedError

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _instant(self, name: str, value: object) -> datetime | None:
        if value is None:
            return None
        if not isinstance(value, datetime):
            raise TypeError(f"{self.kind}: {name}={value!r}: expected a datetime")
        if value.tzinfo is None:
            raise ValueError(f"{self.kind}: {name}={value!r}: which time zone? Pass an aware one")
        value = value.astimezone(UTC)
        return value.replace(microsecond=value.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class Every(Spec):
    """Ticks that are as far apart as `interval`; see `every`."""

    interval: timedelta

    kind: ClassVar[str] = "every(…)"

    def __post_init__(self) -> None:
        """Refuse what could never be meant; see `every`."""
        super().__post_init__()
        if not SHORTEST <= self.interval <= LONGEST:
            raise ValueError(
                f"every(…): an interval of {self.interval.total_seconds():g} s: expected 0.1 s to "
                "100 years, as in every(minutes=5)"
            )
        if self.spread > self.interval:
            raise ValueError(
                f"every(…): jitter={self.jitter:g} is longer than the interval of "
                f"{self.interval.total_seconds():g} s"
            )

    def __str__(self) -> str:
        """As in `every 1 h 30 min`."""
        left, parts = self.interval // MILLISECOND, []
        for unit, size in UNITS:
            number, left = divmod(left, size)
            parts += [f"{number} {unit}"] if number else []
        return f"every {' '.join(parts)}"

    @property
    def _own(self) -> dict[str, Any]:
        return {"every": self.interval.total_seconds()}

    def _tick_after(self, instant: datetime) -> datetime:
        origin = self.start or MONDAY
        return origin + ((instant - origin) // self.interval + 1) * self.interval


def every(
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    start: datetime | None = None,
    until: datetime | None = None,
    jitter: float | timedelta = 0.0,
    missed: Missed = "one",
    overlap: Overlap = "allow",
) -> Every:
    """At equal distances: `every(minutes=5)`, `every(hours=1, minutes=30)`.

    They are counted from `start`, without one from a Monday at midnight in UTC: an interval
    that divides the hour comes at the full hour, whenever the process was started.

    Args:
        seconds: In all at least 0.1 and at most 100 years.
        start: No tick before this instant, which is the first one; aware.
        until: No tick after it.
        jitter: Each job is due up to so many seconds after its tick, the same in every process.
        missed: Which ticks are made up for after a time in which nobody was at work: `skip`
            none, `one` the last, `all` of them.
        overlap: With `skip` no job is added while the one before it has not ended.

    Raises:
        ValueError: naming what could never be meant.
    """
    try:
        interval = whole_length(
            weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
        )
    except (OverflowError, ValueError) as error:
        raise ValueError(f"every(…): {error}") from None
    return Every(
        interval=interval, start=start, until=until, jitter=jitter, missed=missed, overlap=overlap
    )


def whole_length(**lengths: float) -> timedelta:
    """A length of time in whole milliseconds."""
    return timedelta(milliseconds=round(timedelta(**lengths) / MILLISECOND))

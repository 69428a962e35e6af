"""When a schedule comes due: `every` so often, or as `cron` says.

A spec is a value: of all processes that have the same one, each finds the same instants.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from typing import Any, ClassVar, Literal, get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

Missed = Literal["skip", "one", "all"]
Overlap = Literal["allow", "skip"]

MONDAY = datetime(2001, 1, 1, tzinfo=UTC)  # an interval without a start is counted from here
MILLISECOND = timedelta(milliseconds=1)
SHORTEST, LONGEST = timedelta(seconds=0.1), timedelta(days=36_600)
UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


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
        return self.jitter if isinstance(self.jitter, timedelta) else _whole(seconds=self.jitter)

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


@dataclass(frozen=True)
class Cron(Spec):
    """Ticks at which the clock of a zone shows what the expression says; see `cron`."""

    expression: str
    tz: str = "UTC"

    kind: ClassVar[str] = "cron(…)"

    def __post_init__(self) -> None:
        """Refuse what could never be meant; see `cron`."""
        super().__post_init__()
        if not isinstance(self.expression, str):
            raise TypeError(f"cron({self.expression!r}): expected text such as '0 3 * * mon-fri'")
        self._set("expression", " ".join(self.expression.split()))
        self._require_fields()
        zone_of(self.tz)
        try:
            never = self._tick_after(MONDAY) is None
        except CronSimError as error:
            raise ValueError(f"cron({self.expression!r}): {str(error).lower()}") from None
        except AssertionError:  # as it meets a step on something that is no number
            raise ValueError(
                f"cron({self.expression!r}): a step needs a number or a range"
            ) from None
        if never:
            raise ValueError(f"cron({self.expression!r}): there is no such date within 50 years")

    def __str__(self) -> str:
        """The expression, and the zone if it is not UTC."""
        return self.expression if self.tz == "UTC" else f"{self.expression} {self.tz}"

    @property
    def _own(self) -> dict[str, Any]:
        return {"cron": self.expression, "tz": self.tz}

    @cached_property
    def _fields(self) -> str:
        return NICKNAMES.get(self.expression.lower(), self.expression)

    @cached_property
    def _names_times(self) -> bool:
        """Whether minute and hour are named: then it is about the time on the wall.

        Debian's cron keeps such a job to once a day when the clocks change, while one with a
        star goes by elapsed time (cron(8), "Daylight Saving Time and other time changes").
        """
        minute, hour = self._fields.split()[-5:-3]
        return not minute.startswith("*") and not hour.startswith("*")

    def _require_fields(self) -> None:
        if self._fields.startswith("@"):
            known = ", ".join(NICKNAMES)
            raise ValueError(f"cron({self.expression!r}): unknown, expected one of {known}")
        if (number := len(self._fields.split())) not in (5, 6):
            raise ValueError(
                f"cron({self.expression!r}): expected 5 fields (minute hour day month weekday), "
                f"or 6 with seconds before them, got {number}"
            )

    def _tick_after(self, instant: datetime) -> datetime | None:
        zone = zone_of(self.tz)
        local = instant.astimezone(zone) if zone is not None else instant.astimezone(UTC)
        is_wall = zone is not None and self._names_times
        # a tick that the autumn shows twice is the first of the two, and may be past
        for found in CronSim(self._fields, local.replace(tzinfo=None) if is_wall else local):
            tick = _on_wall(found, zone) if is_wall and zone else found.astimezone(UTC)
            if tick > instant:
                return tick
        return None


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
        interval = _whole(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"every(…): {error}") from None
    return Every(
        interval=interval, start=start, until=until, jitter=jitter, missed=missed, overlap=overlap
    )


def cron(
    expression: str,
    *,
    tz: str = "UTC",
    start: datetime | None = None,
    until: datetime | None = None,
    jitter: float | timedelta = 0.0,
    missed: Missed = "one",
    overlap: Overlap = "allow",
) -> Cron:
    """As cron has it: `cron("0 3 * * mon-fri", tz="Europe/Zurich")`.

    Args:
        expression: Minute, hour, day of the month, month, day of the week; a sixth field
            before them is seconds. Or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
        tz: The zone whose clock counts, by its IANA name.

    The other arguments are those of `every`. When clocks change, a time that is named comes
    once: one that the spring leaves out, at the end of the gap; one that the autumn shows
    twice, at the first. What has a star for the minute or the hour goes by elapsed time.

    Raises:
        ValueError: naming what could never be meant.
    """
    return Cron(
        expression=expression, tz=tz, start=start, until=until, jitter=jitter, missed=missed,
        overlap=overlap,
    )  # fmt: skip  # a call


@lru_cache(maxsize=4096)
def spec_of(text: str) -> Spec:
    """The spec of a text that `Spec.text` made.

    Raises:
        ValueError: if this version, or this machine, cannot make sense of it.
    """
    try:
        given = json.loads(text)
        for name in ("start", "until"):
            if name in given:
                given[name] = datetime.fromisoformat(given[name])
        if "every" in given:
            return Every(interval=_whole(seconds=given.pop("every")), **given)
        return Cron(expression=given.pop("cron"), **given)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{text}: this is no schedule to this version: {error}") from None


@cache
def zone_of(name: str) -> ZoneInfo | None:
    """The zone of a name; `None` for UTC, which needs no table.

    Raises:
        ValueError: if there is no such zone here.
    """
    if name == "UTC":
        return None
    try:
        return ZoneInfo(name)
    except (OSError, TypeError, ValueError, LookupError, AttributeError):
        raise ValueError(
            f"cron(…, tz={name!r}): no such time zone. Write one such as 'Europe/Zurich'; where "
            "the machine has no zones at all, pip install tzdata"
        ) from None


def _on_wall(shown: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the clocks of a zone show a time, or would first be past it."""
    while True:
        tick = shown.replace(tzinfo=zone).astimezone(UTC)
        if tick.astimezone(zone).replace(tzinfo=None, fold=0) == shown:
            return tick
        shown = shown.replace(second=0) + timedelta(minutes=1)  # the spring leaves it out


def _whole(**lengths: float) -> timedelta:
    """A length of time in whole milliseconds."""
    return timedelta(milliseconds=round(timedelta(**lengths) / MILLISECOND))

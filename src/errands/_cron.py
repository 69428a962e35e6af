"""When a schedule comes due: as `cron` says, by the clocks of a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ._spec import MONDAY, Missed, Overlap, Spec

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


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
            if "day-of-month" in str(error) and self._has_a_day_that_other_months_have:
                raise ValueError(f"cron({self.expression!r}): there is no such date") from None
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

    @property
    def _has_a_day_that_other_months_have(self) -> bool:
        """Whether it is but in its months that there is no such day."""
        *others, _, weekday = self._fields.split()
        try:
            CronSim(" ".join([*others, "*", weekday]), MONDAY)
        except (AssertionError, CronSimError):
            return False
        return True

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

"""Limits: how many jobs of a task run at once, and how many start in a time.

What is counted together has one key: the task's own, or one for each value of the parameter
that `per` names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ._job import Job

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
WORDS = re.compile(
    r"(\d+)\s*/\s*(\d*)\s*"
    r"(?:(s|secs?|seconds?)|(m|mins?|minutes?)|(h|hours?)|(d|days?))"
)
MOST = 1_000_000  # jobs at once, or starts in a window
LONGEST = timedelta(days=366)
LONG = 200  # characters of a key that are kept as they are

# A job starts a moment after it was claimed. So that those who count the starts themselves never
# find one too many, a token comes back a little later than the window says.
LATE, LATEST = 30, timedelta(seconds=0.5)  # a thirtieth of the window, and so much at the most


@dataclass(frozen=True, slots=True)
class Limit:
    """So many jobs of a task at once, in all processes and on all machines.

    Args:
        at_once: How many, from 1.
        per: The parameter of the task for each of whose values there may be so many.
    """

    at_once: int
    per: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could never be meant.

        Raises:
            ValueError: if the number is no whole number from 1, or `per` is no name.
        """
        at_once: object = self.at_once
        if isinstance(at_once, bool) or not isinstance(at_once, int) or not 1 <= at_once <= MOST:
            raise ValueError(f"Limit({at_once!r}): expected a whole number, 1 to {MOST:,}")
        _require_name(f"Limit({at_once!r}, per={self.per!r})", self.per)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts of a task's jobs in any span of time of that length.

    A bucket has so many tokens; each start takes one, which comes back a window later. So jobs
    that come together start together, up to so many.

    Args:
        rate: `"100/m"`, `"10/s"`, `"5/h"`, `"1000/d"`, `"20/15m"`; also in words, `"5/minute"`.
        per: The parameter of the task for each of whose values there may be so many.

    Attributes:
        starts: How many.
        window: In how long.
    """

    rate: str
    per: str | None = None
    starts: int = field(init=False, repr=False, compare=False)
    window: timedelta = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the rate.

        Raises:
            ValueError: if it cannot be read, or is out of its range, or `per` is no name.
        """
        rate: object = self.rate
        match = WORDS.fullmatch(rate.strip().lower()) if isinstance(rate, str) else None
        if match is None:
            raise ValueError(
                f"Rate({self.rate!r}): expected a number and a time, as in '100/m', '10/s', "
                "'5/h', '1000/d' or '20/15m'"
            )
        unit = next(unit for unit, word in zip(UNITS, match.groups()[2:], strict=True) if word)
        starts, length = int(match[1]), int(match[2] or 1)
        if not 1 <= starts <= MOST:
            raise ValueError(f"Rate({self.rate!r}): expected 1 to {MOST:,} starts")
        if not 1 <= length * UNITS[unit] <= LONGEST.total_seconds():
            raise ValueError(f"Rate({self.rate!r}): expected a time of 1 s to {LONGEST.days} days")
        _require_name(f"Rate({self.rate!r}, per={self.per!r})", self.per)
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "window", timedelta(seconds=length * UNITS[unit]))

    @property
    def comes_back(self) -> int:
        """Milliseconds after which a token that was taken is there again."""
        return round((self.window + min(self.window / LATE, LATEST)).total_seconds() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """How far one limit is used.

    Attributes:
        key: What is counted together: `limit:app.mail`, `rate:app.mail:customer_id=42`.
        task: Whose jobs those are.
        running: How many of them run; of a rate, which counts starts, 0.
        blocked: How many are kept back.
    """

    key: str
    task: str
    running: int
    blocked: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one task."""

    concurrency: Limit | None = None
    rate: Rate | None = None


NO_LIMITS = Limits()


def limits_of(concurrency: int | Limit | None, rate: str | Rate | None) -> Limits:
    """What a declaration says, in short or in full.

    Raises:
        ValueError: if a number or a rate could never be meant.
    """
    if concurrency is None and rate is None:
        return NO_LIMITS
    if concurrency is not None and not isinstance(concurrency, Limit):
        concurrency = Limit(concurrency)
    return Limits(concurrency, Rate(rate) if isinstance(rate, str) else _rate(rate))


def _rate(rate: object) -> Rate | None:
    return rate if rate is None or isinstance(rate, Rate) else Rate(rate)  # type: ignore[arg-type]


def is_limited(job: Job, key: str, limits: Mapping[str, Limits]) -> bool:
    """Whether the task of a job still has the limit of one of its keys."""
    its = limits.get(job.task, NO_LIMITS)
    return (its.concurrency if key == job.concurrency_key else its.rate) is not None


def key_of(kind: str, task: str, per: str | None, value: str) -> str:
    """What is counted together: `limit:app.mail` or `rate:app.mail:customer_id=42`.

    Args:
        kind: `limit` or `rate`.
        value: The JSON text of the argument; of a long one a hash stands in the key.
    """
    key = f"{kind}:{task}" if per is None else f"{kind}:{task}:{per}={value}"
    if len(key) <= LONG:
        return key
    return f"{key[: LONG // 2]}…{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _require_name(where: str, per: object) -> None:
    if per is not None and (not isinstance(per, str) or not per.isidentifier()):
        raise ValueError(f"{where}: per is the name of one of the task's parameters")

"""A query: which jobs to find."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from ._ids import first_id
from ._job import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs to find, newest first. An empty field matches every job.

    Attributes:
        text: What the arguments or an attempt's error contain.
        since: Only jobs that were added at this instant or later, as their ids tell: those of
            a schedule's ticks tell the tick.
        until: Only jobs that were added earlier.
        before: Only ids that sort below this one: the next page.
        oldest: Only this id, and those that sort above it.
        limit: How many at most, from 1.
        offset: How many of the newest that match to leave out.
    """

    states: Collection[State] = ()
    queue: str | None = None
    task: str | None = None
    key: str | None = None
    group: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    oldest: str | None = None
    limit: int = 50
    offset: int = 0

    def __post_init__(self) -> None:
        """Refuse an instant of no zone.

        Raises:
            ValueError: if there is one.
        """
        for name, at in (("since", self.since), ("until", self.until)):
            if at is not None and at.tzinfo is None:
                raise ValueError(f"Query({name}={at!r}): name a zone, as datetime.now(UTC) has one")

    @property
    def first(self) -> str | None:
        """The least id that matches, if there is such a bound."""
        bounds = [self.oldest, None if self.since is None else first_id(self.since)]
        return max((bound for bound in bounds if bound is not None), default=None)

    @property
    def end(self) -> str | None:
        """What all ids sort below that match, if there is such a bound."""
        bounds = [self.before, None if self.until is None else first_id(self.until)]
        return min((bound for bound in bounds if bound is not None), default=None)

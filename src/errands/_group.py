"""A group: jobs that are counted, cancelled and retried together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ._job import FINAL, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How far the jobs of one group are.

    Attributes:
        name: What they were added with, `options(group=…)`.
        counts: How many jobs are in each state; a missing one has none.
        started_at: When the first of them started, of the last attempt of each.
        finished_at: When the last of them ended, once all have.
    """

    name: str
    counts: Mapping[State, int]
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def total(self) -> int:
        """How many jobs there are; one that nobody knows has none."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """How many have ended for good, well or not."""
        return sum(self.counts.get(state, 0) for state in FINAL)

    @property
    def done(self) -> int:
        """How many are done."""
        return self.counts.get(State.DONE, 0)

    @property
    def failed(self) -> int:
        """How many have failed for good."""
        return self.counts.get(State.FAILED, 0)

    @property
    def cancelled(self) -> int:
        """How many were cancelled."""
        return self.counts.get(State.CANCELLED, 0)

    @property
    def fraction(self) -> float | None:
        """The share that has ended, between 0 and 1; `None` if there is no job."""
        return self.ended / self.total if self.total else None

    @property
    def is_final(self) -> bool:
        """Whether there are jobs, and all have ended."""
        return 0 < self.total == self.ended

    @classmethod
    def of(
        cls, name: str, counts: Mapping[State, int], started: datetime | None,
        finished: datetime | None,
    ) -> Group:  # fmt: skip  # a row
        """A group whose last job that has ended did so at `finished`."""
        group = cls(name=name, counts=counts, started_at=started)
        if not group.is_final:
            return group
        return cls(name=name, counts=counts, started_at=started, finished_at=finished)

"""An examination: what a store is, told without a change to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found where a store is.

    Attributes:
        engine: What keeps the jobs, and its version: `SQLite 3.54.1`, `PostgreSQL 16.2`.
        schema: The version of its tables.
        known: The version that this Errands makes, and upgrades older ones to.
        flaw: What is wrong with that engine, and what to do about it.
    """

    engine: str
    schema: int
    known: int
    flaw: str | None = None

    @property
    def is_old(self) -> bool:
        """Whether to open the store would upgrade its tables."""
        return self.schema < self.known


@runtime_checkable
class Examinable(Protocol):
    """A store that can be looked at before it is opened, which may make or upgrade its tables."""

    async def examine(self) -> Examination:
        """What is there; nothing is made or changed.

        Raises:
            StoreUnavailable: if there is nothing, or it does not answer.
            NotAStore: if what is there has no tables of ours.
            SchemaTooNew: if a newer version of Errands made them.
        """
        ...

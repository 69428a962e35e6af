"""The settings of an application: what they are, and what cannot be meant by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ._options import LONGEST, Seconds, seconds
from ._runner import Middleware

LEAST = {"threads": 1, "slots": 1, "max_pending": 1, "lease": 0.1}  # 0 for what is not here


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an engine works; see `Errands`."""

    middleware: Sequence[Middleware]
    keep: timedelta
    queues: Collection[str] | None
    slots: int
    threads: int
    lease: timedelta
    grace: float
    max_payload: int
    max_pending: int
    max_queued: Mapping[str, int]


def require_numbers(where: str, **numbers: Seconds) -> None:
    """Refuse numbers that are out of their range.

    Raises:
        ValueError: naming the one, `where` it stands, and the range.
    """
    for name, value in numbers.items():
        least = LEAST.get(name, 0)
        if not least <= seconds(value) <= LONGEST:
            raise ValueError(f"{where}({name}={value!r}): expected {least} to {LONGEST:g}")


def require_queues(where: str, queues: Collection[str] | None) -> None:
    """Refuse queues that are none.

    Raises:
        ValueError: saying `where` they stand.
    """
    if isinstance(queues, str) or (queues is not None and not queues):
        raise ValueError(f"{where}(queues={queues!r}): expected names of queues, or None for all")


def require_bounds(where: str, bounds: Mapping[str, int]) -> None:
    """Refuse bounds of queues that could never be meant.

    Raises:
        ValueError: naming the queue.
    """
    for queue, bound in bounds.items():
        if not bound >= 1:
            raise ValueError(f"{where}(max_queued={{{queue!r}: {bound!r}}}): expected 1 or more")

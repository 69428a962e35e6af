"""The settings of an application: what they are, and what cannot be meant by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ._plain import LONGEST, Seconds, is_text, is_whole, seconds
from ._runner import Middleware

LEAST = {
    "threads": 1,
    "processes": 1,
    "slots": 1,
    "max_pending": 1,
    "lease": 0.1,
}  # 0 for what is not here
WHOLE = {"threads", "processes", "slots", "max_pending", "max_payload"}  # the others are seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an engine works; see `Errands`."""

    middleware: Sequence[Middleware]
    keep: timedelta
    queues: Collection[str] | None
    slots: int
    threads: int
    processes: int
    lease: timedelta
    grace: float
    max_payload: int
    max_pending: int
    max_queued: Mapping[str, int]


def require_numbers(where: str, **numbers: Seconds) -> None:
    """Refuse numbers that are out of their range.

    Raises:
        ValueError: naming the one, `where` it stands, and the range.
        TypeError: if it is no number.
    """
    for name, value in numbers.items():
        least = LEAST.get(name, 0)
        if name in WHOLE and not is_whole(value):
            raise TypeError(f"{where}({name}={value!r}): expected a whole number")
        if not least <= seconds(value) <= LONGEST:
            raise ValueError(f"{where}({name}={value!r}): expected {least} to {LONGEST:g}")


def require_queues(where: str, queues: Collection[str] | None) -> None:
    """Refuse queues that are none.

    Raises:
        ValueError: saying `where` they stand.
    """
    if queues is None:
        return
    if isinstance(queues, str) or not queues or not all(is_text(queue) for queue in queues):
        raise ValueError(f"{where}(queues={queues!r}): expected names of queues, or None for all")


def require_bounds(where: str, bounds: Mapping[str, int]) -> None:
    """Refuse bounds of queues that could never be meant.

    Raises:
        ValueError: naming the queue.
        TypeError: if it says of no queue what its bound is.
    """
    if not isinstance(bounds, Mapping):
        raise TypeError(f"{where}(max_queued={bounds!r}): expected a bound for each queue's name")
    for queue, bound in bounds.items():
        if not (is_whole(bound) and bound >= 1):
            raise ValueError(f"{where}(max_queued={{{queue!r}: {bound!r}}}): expected 1 or more")


def require_layers(where: str, middleware: Sequence[object]) -> None:
    """Refuse middleware that is none.

    Raises:
        TypeError: naming the one.
    """
    for layer in middleware:
        if not callable(layer):
            raise TypeError(
                f"{where}(middleware=[{layer!r}]): expected `async def layer(job, call_next)`"
            )

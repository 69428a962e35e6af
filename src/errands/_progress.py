"""A progress: how far a running job has come, as its function tells it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

from ._plain import kept

WIDEST = 1000  # characters of what it says


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job has come.

    Attributes:
        done: Steps that are behind it.
        total: Steps in all, or `None` if nobody knows.
        text: What it is doing, in a few words: 1,000 characters at the most.
    """

    done: float
    total: float | None = None
    text: str | None = None

    @classmethod
    def of(cls, done: Any, total: Any = None, text: Any = None) -> Self:
        """As a task tells it: with numbers of whatever library, and with any text.

        Raises:
            TypeError: if `done` or `total` is no number.
            ValueError: if one of them is not finite.
        """
        return cls(
            _number("done", done),
            None if total is None else _number("total", total),
            None if text is None else kept(str(text)[:WIDEST]),
        )

    @property
    def fraction(self) -> float | None:
        """Between 0 and 1, or `None` if the total is not known."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total else None


def _number(name: str, value: Any) -> float:
    if type(value) not in (int, float):
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"progress({name}={value!r}): expected a number") from None
    if not math.isfinite(value):
        raise ValueError(f"progress({name}={value!r}): expected a finite number")
    return value  # type: ignore[no-any-return]  # an int or a float

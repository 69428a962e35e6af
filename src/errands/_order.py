"""An order: what an operator asks of the workers, until it is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

OrderKind = Literal["queue", "task", "key", "worker", "slots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One of them; there is at most one of each kind and name.

    Attributes:
        kind: What is paused: a `queue`, a `task`, the job that has a `key`, a `worker`, which
            then claims nothing. Or `slots`: how many jobs a worker runs side by side.
        name: Of the queue, the task, the key or the worker.
        value: The number of slots; `None` for what is paused.
        since: When it was given.
    """

    kind: OrderKind
    name: str
    since: datetime
    value: int | None = None

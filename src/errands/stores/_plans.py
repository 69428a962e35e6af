"""Schedules as rows, and back, in every SQL store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._schedule import Schedule
from ._rows import instant, ms

NAME = "errands_schedules"
COLUMNS = (
    "name", "task", "spec", "payload", "declared", "is_paused", "is_removed", "last_tick",
    "next_tick", "known_at", "known_by", "version",
)  # fmt: skip  # as they stand in a row


def row_of(schedule: Schedule) -> Sequence[str | int | None]:
    """A schedule, in the order of `COLUMNS`."""
    s = schedule
    return (
        s.name, s.task, s.spec, s.payload, s.declared, int(s.is_paused), int(s.is_removed),
        ms(s.last_tick), ms(s.next_tick), ms(s.known_at), s.known_by, s.version,
    )  # fmt: skip  # in the order of `COLUMNS`


def schedule_of(row: Sequence[Any]) -> Schedule:
    """The schedule of a row of `COLUMNS`."""
    (name, task, spec, payload, declared, is_paused, is_removed, last_tick, next_tick, known_at,
     known_by, version) = row  # fmt: skip  # as above
    return Schedule(
        name=name, task=task, spec=spec, payload=payload, declared=declared,
        is_paused=bool(is_paused), is_removed=bool(is_removed), last_tick=instant(last_tick),
        next_tick=instant(next_tick), known_at=instant(known_at),
        known_by=known_by, version=version,
    )  # fmt: skip  # as above

"""A report: how one worker process does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from errands import Errands


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a process tells of its worker.

    Attributes:
        ready: Whether it takes jobs from the store, and the store answers.
        grace: Seconds that its jobs get to end.
    """

    name: str
    running: int
    slots: int
    ready: bool
    grace: float


def report_of(errands: Errands) -> Report | None:
    """How the worker of this process does; `None` if it is not at work."""
    worker = errands.worker
    if worker is None:
        return None
    return Report(
        name=worker.worker,
        running=worker.running,
        slots=worker.slots,
        ready=errands.is_claiming,
        grace=errands.grace,
    )


def encode(report: Report) -> bytes:
    """One line."""
    return msgspec.json.encode(report) + b"\n"


decode = msgspec.json.Decoder(Report).decode


def summary(reports: Sequence[Report], *, is_ready: bool) -> bytes:
    """What is told about all workers of a command, as JSON."""
    return msgspec.json.encode(
        {
            "ready": is_ready,
            "running": sum(report.running for report in reports),
            "slots": sum(report.slots for report in reports),
            "workers": [
                {"name": r.name, "running": r.running, "slots": r.slots, "ready": r.ready}
                for r in reports
            ],
        }
    )

"""Jobs, claims, heartbeats and schedules for the contract, each plain but for what a test says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from errands import Claim, Heartbeat, Job, Schedule, every, new_id

NOW = datetime(2026, 1, 1, 12, 34, 56, 123000, tzinfo=UTC)
LEASE = timedelta(seconds=60)
LATER = NOW + LEASE


def job(**fields: Any) -> Job:
    """A job that is due now, but for what `fields` say."""
    due_at = fields.get("due_at", NOW)
    common: dict[str, Any] = {
        "id": new_id(NOW), "task": "t", "payload": '{"n":1}', "added_at": NOW,
        "due_at": due_at, "free_at": due_at,
    }  # fmt: skip  # a row
    return Job(**common | fields)


def a_claim(**fields: Any) -> Claim:
    """A claim of up to ten jobs of any queue, but for what `fields` say."""
    common: dict[str, Any] = {
        "worker": "w", "queues": None, "tasks": ["t"], "limit": 10, "now": NOW, "lease": LEASE,
    }  # fmt: skip  # as above
    return Claim(**common | fields)


def a_beat(worker: str = "w", **fields: Any) -> Heartbeat:
    """A heartbeat of a worker that has just started, but for what `fields` say."""
    common: dict[str, Any] = {
        "worker": worker, "host": "h", "pid": 7, "queues": None, "slots": 5, "running": 0,
        "version": "1.2", "started_at": NOW, "seen_at": NOW,
    }  # fmt: skip  # as above
    return Heartbeat(**common | fields)


def a_schedule(name: str = "s", **fields: Any) -> Schedule:
    """A schedule that is new, but for what `fields` say."""
    common: dict[str, Any] = {
        "name": name, "task": "t", "spec": every(minutes=5).text, "payload": "{}",
        "next_tick": LATER, "known_at": NOW,
    }  # fmt: skip  # as above
    return Schedule(**common | fields)


def id_at(at: datetime) -> str:
    """An id of this millisecond, whatever ids this process has made before."""
    made, stamp = new_id(at), f"{round(at.timestamp() * 1000):012x}"
    return f"{stamp[:8]}-{stamp[8:]}{made[13:]}"


def ids(jobs: Sequence[Job]) -> list[str]:
    """The ids of jobs, in their order."""
    return [job.id for job in jobs]

"""Jobs for the tests of a store: due now, which is always the same instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from errands import Job, new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(**fields: Any) -> Job:
    """A job that is due now, but for what `fields` say."""
    common: dict[str, Any] = {
        "id": new_id(NOW), "task": "t", "payload": "{}", "due_at": NOW, "free_at": NOW,
        "added_at": NOW,
    }  # fmt: skip  # a row
    return Job(**common | fields)

"""What is told of a job or a group to those who wait: not its arguments, and no traceback."""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any

from .. import Group, Job, State
from ..errors import reason_of


def mark_of(what: Job | Group) -> str:
    """A short text that is another one whenever it has changed."""
    if isinstance(what, Group):
        return "-".join(map(str, _counts(what).values()))
    if what.progress is None:
        return f"{what.version}"
    return f"{what.version}-{zlib.crc32(repr(what.progress).encode()):x}"


def last_words(job: Job) -> str:
    """What its last error says in one line: the rest of a traceback is for the log."""
    return reason_of(job.error)


def as_json(what: Job | Group, **more: Any) -> bytes:
    """It as the text of a JSON object; all instants in ISO 8601."""
    told = (_group(what) if isinstance(what, Group) else _job(what)) | more
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _job(job: Job) -> dict[str, Any]:
    progress = job.progress
    return {
        "id": job.id,
        "state": job.state,
        "attempt": job.attempt,
        "progress": None
        if progress is None
        else {"done": progress.done, "total": progress.total, "text": progress.text},
        "added_at": _iso(job.added_at),
        "due_at": _iso(job.due_at),
        "started_at": _iso(job.started_at),
        "finished_at": _iso(job.finished_at),
        "result": json.loads(job.result or "null"),
        "error": None if job.state is State.DONE else last_words(job) or None,
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "total": group.total,
        "counts": _counts(group),
        "ended": group.ended,
        "fraction": group.fraction,
        "is_final": group.is_final,
        "started_at": _iso(group.started_at),
        "finished_at": _iso(group.finished_at),
    }


def _counts(group: Group) -> dict[State, int]:
    return {state: group.counts.get(state, 0) for state in State}


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")

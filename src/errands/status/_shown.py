"""What is told of a job to those who wait for it: not its arguments, and no traceback."""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any

from .. import Job, State


def mark_of(job: Job) -> str:
    """A short text that is another one whenever the job has changed."""
    if job.progress is None:
        return f"{job.version}"
    return f"{job.version}-{zlib.crc32(repr(job.progress).encode()):x}"


def last_words(job: Job) -> str:
    """The last line of its last error: the rest of a traceback is for the log."""
    return (job.error or "").strip().rpartition("\n")[2]


def as_json(job: Job, **more: Any) -> bytes:
    """The job as the text of a JSON object; all instants in ISO 8601."""
    progress = job.progress
    told = {
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
        **more,
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")

"""How far a job is, for those who wait for it: as JSON, as a stream, behind signed links."""

from __future__ import annotations

from ._links import GROUPS, JOBS, Links, StatusKey
from ._routes import JsonDoor, add_routes, as_response, is_asked_for_json
from ._shown import last_words, mark_of
from ._stream import Frame, event_stream, last_event, seen_by, unless_gone

__all__ = [
    "GROUPS",
    "JOBS",
    "Frame",
    "JsonDoor",
    "Links",
    "StatusKey",
    "add_routes",
    "as_response",
    "event_stream",
    "is_asked_for_json",
    "last_event",
    "last_words",
    "mark_of",
    "seen_by",
    "unless_gone",
]

"""Jobs in an SQLite file."""

from __future__ import annotations

from ._store import SQLiteStore

__all__ = ["SQLiteStore"]

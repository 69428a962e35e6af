"""Jobs in PostgreSQL."""

from __future__ import annotations

from ._store import PostgresStore

__all__ = ["PostgresStore"]

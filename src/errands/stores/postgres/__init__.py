"""Jobs in PostgreSQL."""

from __future__ import annotations

from ...errors import SetupError

try:
    from ._store import PostgresStore
except ImportError as error:
    if not (error.name or "psycopg").startswith("psycopg"):
        raise
    # psycopg that is there, but finds no libpq, is no missing module
    missing = "errands[postgres]" if isinstance(error, ModuleNotFoundError) else "psycopg[binary]"
    said = "; ".join(str(error).splitlines())
    raise SetupError(
        f"a store in PostgreSQL needs its driver ({said}): pip install '{missing}'"
    ) from error

__all__ = ["PostgresStore"]

"""Connections that callers lend us, told apart without importing their drivers.

A driver that is not loaded made no connection, and so its name in the ancestry of a type says
enough. What is lent is neither begun, committed nor closed here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from ..errors import UnfitConnection

T = TypeVar("T")

SQLALCHEMY = (
    "sqlalchemy.Connection", "sqlalchemy.Session",
    "sqlalchemy.AsyncConnection", "sqlalchemy.AsyncSession",
)  # fmt: skip  # on any driver
SQLITE = ("sqlite3.Connection", "apsw.Connection", "aiosqlite.Connection", "apswutils.Database")
POSTGRESQL = (
    "psycopg.Connection", "psycopg.AsyncConnection",
    "asyncpg.Connection", "asyncpg.PoolConnectionProxy",
)  # fmt: skip  # in pairs
SHOWN = {"apswutils.Database": "fastlite.Database"}  # by its user's name

NO_TRANSACTION = (
    "connection=… has no transaction open, so that each statement would be committed by itself: "
    "begin one first, or leave connection=… out"
)
FAILED = "the transaction of connection=… has failed: roll it back, and begin a new one"


def kind_of(connection: object, wanted: Collection[str]) -> str:
    """The kind of a connection, as `sqlalchemy.Session`.

    Args:
        wanted: Those that the store can use, beside SQLAlchemy's.

    Raises:
        UnfitConnection: if it is of no such kind.
    """
    ancestry = [_name(base) for base in type(connection).__mro__]
    kind = next((kind for kind in (*wanted, *SQLALCHEMY) if kind in ancestry), None)
    if kind is None:
        known = ", ".join(SHOWN.get(kind, kind) for kind in (*wanted, *SQLALCHEMY))
        shown = f"{type(connection).__module__}.{type(connection).__qualname__}"
        raise UnfitConnection(f"connection=… is a {shown}, expected one of {known}")
    return kind


async def in_sqlalchemy(kind: str, connection: Any, work: Callable[[Any], T]) -> T:
    """What `work` answers to a plain SQLAlchemy connection, which an asynchronous one has inside.

    Raises:
        UnfitConnection: if it is of a session whose transaction has failed.
    """
    if kind.endswith("Session") and not connection.is_active:
        raise UnfitConnection(FAILED)
    match kind:
        case "sqlalchemy.AsyncConnection":
            return await connection.run_sync(work)  # type: ignore[no-any-return]  # as `work` says
        case "sqlalchemy.AsyncSession":
            return await connection.run_sync(lambda session: work(session.connection()))  # type: ignore[no-any-return]  # as above
        case "sqlalchemy.Session":
            return work(connection.connection())
        case _:
            return work(connection)


def rows_of(connection: Any, sql: str, values: Any) -> list[tuple[Any, ...]]:
    """What a statement answers on a plain SQLAlchemy connection."""
    result = connection.exec_driver_sql(sql, values or None)
    return [tuple(row) for row in result] if result.returns_rows else []


def _name(kind: type) -> str:
    """Its library and its own name."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"

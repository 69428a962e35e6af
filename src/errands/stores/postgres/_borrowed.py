"""Statements of the PostgreSQL store inside a transaction of the caller's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from ..._job import Job
from ...errors import UnfitConnection
from .._connections import FAILED, NO_TRANSACTION, POSTGRESQL, in_sqlalchemy, kind_of, rows_of
from .._waits import Saved
from . import _sql
from ._link import Row, Session, qualified

Values = Mapping[str, Any]
Execute = Callable[[str, Values], Awaitable[list[Row]]]

NAMED = re.compile(r"%\((\w+)\)s(::json\b)?")
NO_BLOCK, ABORTED, UNIQUE = (
    "25P01",
    "25P02",
    "23505",
)  # https://www.postgresql.org/docs/current/errcodes-appendix.html


class Borrowed(Session):
    """A connection of the caller's that speaks to the tables of one schema.

    Args:
        execute: Runs a statement with named values, as psycopg writes them.
    """

    def __init__(self, execute: Execute, schema: str) -> None:
        """Run nothing yet."""
        self._execute, self._schema = execute, schema

    async def rows(self, sql: str, values: Values | None = None) -> list[Row]:
        """See `Session.rows`."""
        return await self._execute(qualified(sql, self._schema).decode(), values or {})

    async def tell(self, sql: str, values: Values) -> None:
        """See `Session.tell`."""
        await self.rows(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """See `Session.transaction`: what fails inside leaves the caller's as it was."""
        with _told():
            await self._execute("savepoint errands", {})
        try:
            yield
        except Exception:
            await self._execute("rollback to savepoint errands", {})
            await self._execute("release savepoint errands", {})
            raise
        await self._execute("release savepoint errands", {})

    async def place(self) -> Row:
        """Where the connection finds the jobs."""
        [found] = await _sql.place(self, [self._schema])
        return found


@asynccontextmanager
async def borrowed(connection: Any, schema: str) -> AsyncIterator[Borrowed]:
    """The connection as our statements know one; what is done inside is done as a whole.

    Raises:
        UnfitConnection: if it is of another kind, or has no transaction that goes on.
    """
    session = Borrowed(_execute_on(kind_of(connection, POSTGRESQL), connection), schema)
    async with session.transaction():
        yield session


async def save(session: Borrowed, jobs: Sequence[Job]) -> Saved:
    """As `_sql.save`; a job that would be the second of its key is refused alone."""
    try:
        async with session.transaction():
            [saved] = await _sql.save(session, [jobs])
            return saved
    except Exception as error:
        if _state(error) != UNIQUE:
            raise
    if len(jobs) == 1:
        return Saved()
    return Saved.all_of([await save(session, [job]) for job in jobs])


def _execute_on(kind: str, connection: Any) -> Execute:
    if kind.startswith("sqlalchemy."):
        return lambda sql, values: in_sqlalchemy(
            kind, connection, lambda plain: _rows_by_sqlalchemy(plain, sql, values)
        )
    if kind.startswith("asyncpg."):
        return lambda sql, values: _rows_by_asyncpg(connection, sql, values)
    if kind == "psycopg.AsyncConnection":
        return lambda sql, values: _rows_by_async_psycopg(connection, sql, values)
    return lambda sql, values: _rows_by_psycopg(connection, sql, values)


async def _rows_by_async_psycopg(connection: Any, sql: str, values: Values) -> list[Row]:
    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(sql.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def _rows_by_psycopg(connection: Any, sql: str, values: Values) -> list[Row]:
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        cursor.execute(sql.encode(), values)
        return cursor.fetchall() if cursor.description else []


async def _rows_by_asyncpg(connection: Any, sql: str, values: Values) -> list[Row]:
    text, names = _positional(sql, "${}")
    found = await connection.fetch(text, *(values[name] for name in names))
    return [tuple(record) for record in found]


def _rows_by_sqlalchemy(connection: Any, sql: str, values: Values) -> list[Row]:
    if connection.dialect.name != "postgresql":
        raise UnfitConnection(
            f"connection=… speaks {connection.dialect.name}, and the jobs are in PostgreSQL: "
            "a transaction cannot span both. Leave connection=… out"
        )
    if connection.dialect.paramstyle == "pyformat":
        return rows_of(connection, sql, dict(values))
    text, names = _positional(sql, "${}")
    return rows_of(connection, text, tuple(values[name] for name in names))


@cache
def _positional(sql: str, mark: str) -> tuple[str, list[str]]:
    """A statement with numbered values instead of named ones, and their names in that order.

    JSON goes as text, since an application may have its own way to write JSON.
    """
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        name, json = match[1], match[2]
        if name not in names:
            names.append(name)
        return mark.format(names.index(name) + 1) + (f"::text{json}" if json else "")

    return NAMED.sub(numbered, sql).replace("%%", "%"), names


@contextmanager
def _told() -> Iterator[None]:
    """Errors of a first statement, where they say what is wrong with the connection."""
    try:
        yield
    except Exception as error:
        if _state(error) == NO_BLOCK:
            raise UnfitConnection(NO_TRANSACTION) from error
        if _state(error) == ABORTED:
            raise UnfitConnection(FAILED) from error
        raise


def _state(error: BaseException) -> str | None:
    """PostgreSQL's code of an error, which SQLAlchemy wraps."""
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)

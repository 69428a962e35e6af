"""Connections that applications have, each with a transaction open."""

from __future__ import annotations

import inspect
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiosqlite
import apsw
import asyncpg
import fastlite
import psycopg
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

Begin = Callable[[], AbstractAsyncContextManager[Any]]
Maker = Callable[[str], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def by_sqlite3(path: str) -> AsyncIterator[sqlite3.Connection]:
    """The driver begins by itself, as it does by default."""
    db = sqlite3.connect(path)
    try:
        with db:
            yield db
    finally:
        db.close()


@asynccontextmanager
async def by_sqlite3_and_hand(path: str) -> AsyncIterator[sqlite3.Connection]:
    """The application begins, and would have its rows as dictionaries."""
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = lambda cursor, row: dict(enumerate(row))
    db.execute("begin immediate")
    try:
        yield db
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise
    finally:
        db.close()


@asynccontextmanager
async def by_apsw(path: str) -> AsyncIterator[apsw.Connection]:
    """With rows as dictionaries, too."""
    db = apsw.Connection(path)
    db.row_trace = lambda cursor, row: dict(enumerate(row))
    try:
        with db:
            yield db
    finally:
        db.close()


@asynccontextmanager
async def by_fastlite(path: str) -> AsyncIterator[fastlite.Database]:
    """As FastHTML's users have it."""
    db = fastlite.Database(path)
    try:
        with db.conn:
            yield db
    finally:
        db.conn.close()


@asynccontextmanager
async def by_aiosqlite(path: str) -> AsyncIterator[aiosqlite.Connection]:
    """In the thread of another library."""
    async with aiosqlite.connect(path) as db:
        db.row_factory = aiosqlite.Row
        try:
            yield db
            await db.commit()
        except BaseException:
            await db.rollback()
            raise


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[sqlalchemy.Connection]:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[Session]:
    engine = sqlalchemy.create_engine(url)
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


@asynccontextmanager
async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _async_connection(url: str) -> AsyncIterator[Any]:
    async with _engine(url) as engine, engine.begin() as connection:
        yield connection


@asynccontextmanager
async def _async_session(url: str) -> AsyncIterator[AsyncSession]:
    async with _engine(url) as engine, AsyncSession(engine) as session, session.begin():
        yield session


SQLITE: dict[str, tuple[str, Maker]] = {  # the store's driver, and what the application has
    "sqlite3": ("sqlite3", by_sqlite3),
    "sqlite3 by hand": ("sqlite3", by_sqlite3_and_hand),
    "aiosqlite": ("sqlite3", by_aiosqlite),
    "sqlalchemy connection": ("sqlite3", lambda path: _connection(f"sqlite:///{path}")),
    "sqlalchemy session": ("sqlite3", lambda path: _session(f"sqlite:///{path}")),
    "sqlalchemy async connection": (
        "sqlite3",
        lambda path: _async_connection(f"sqlite+aiosqlite:///{path}"),
    ),
    "sqlalchemy async session": (
        "sqlite3",
        lambda path: _async_session(f"sqlite+aiosqlite:///{path}"),
    ),
    "apsw": ("apsw", by_apsw),
    "fastlite": ("apsw", by_fastlite),
}


@asynccontextmanager
async def by_psycopg(url: str) -> AsyncIterator[psycopg.Connection[Any]]:
    """The driver begins by itself; its rows are dictionaries."""
    with psycopg.connect(url, row_factory=numbered) as connection:
        yield connection


@asynccontextmanager
async def by_async_psycopg(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """The application begins: by default each statement commits by itself."""
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
        connection.transaction(),
    ):
        yield connection


@asynccontextmanager
async def by_asyncpg(url: str) -> AsyncIterator[asyncpg.Connection]:
    """With a way of its own to write JSON, as many have it."""
    connection = await asyncpg.connect(url)
    await connection.set_type_codec(
        "json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def by_asyncpg_pool(url: str) -> AsyncIterator[Any]:
    """A connection of a pool."""
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        yield connection


def numbered(cursor: psycopg.Cursor[Any]) -> Callable[[Any], dict[int, Any]]:
    """Rows as dictionaries by the numbers of their columns."""
    return lambda row: dict(enumerate(row))


async def execute(connection: Any, sql: str) -> Any:
    """Run a statement as the owner of the connection does."""
    if isinstance(connection, fastlite.Database):
        connection = connection.conn
    is_sqlalchemy = type(connection).__module__.startswith("sqlalchemy")
    answer = connection.execute(sqlalchemy.text(sql) if is_sqlalchemy else sql)
    return await answer if inspect.isawaitable(answer) else answer


async def value(connection: Any, sql: str) -> Any:
    """What a query selects: one value."""
    if hasattr(connection, "fetchval"):
        return await connection.fetchval(sql)
    row = (await execute(connection, sql)).fetchone()
    return (await row if inspect.isawaitable(row) else row)[0]


def _with(driver: str, make: Maker) -> Maker:
    return lambda url: make(url.replace("postgresql:", f"postgresql+{driver}:"))


POSTGRESQL: dict[str, Maker] = {
    "psycopg": by_psycopg,
    "async psycopg": by_async_psycopg,
    "asyncpg": by_asyncpg,
    "asyncpg pool": by_asyncpg_pool,
    "sqlalchemy connection": _with("psycopg", _connection),
    "sqlalchemy session": _with("psycopg", _session),
    "sqlalchemy async connection on psycopg": _with("psycopg", _async_connection),
    "sqlalchemy async session on psycopg": _with("psycopg", _async_session),
    "sqlalchemy async connection on asyncpg": _with("asyncpg", _async_connection),
    "sqlalchemy async session on asyncpg": _with("asyncpg", _async_session),
}


@dataclass(frozen=True)
class Place:
    """Where an application has its tables and its jobs.

    Attributes:
        url: The store's.
        begin: Gives a connection with a transaction open.
    """

    url: str
    begin: Begin


def place_at(address: str, borrower: str) -> Place:
    """One in an SQLite file, or a schema of a PostgreSQL server.

    Args:
        address: The path of the file, or the URL of the store.
    """
    if not address.startswith("postgresql:"):
        driver, make = SQLITE[borrower]
        return Place(f"sqlite:///{address}?driver={driver}", lambda: make(address))
    server, _, schema = address.partition("?schema=")

    @asynccontextmanager
    async def begin() -> AsyncIterator[Any]:
        async with POSTGRESQL[borrower](server) as connection:
            await execute(connection, f"set local search_path to {schema}")
            yield connection

    return Place(address, begin)

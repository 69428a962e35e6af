"""Connections that applications have, each with a transaction open."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiosqlite
import apsw
import fastlite
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


async def execute(connection: Any, sql: str) -> Any:
    """Run a statement as the owner of the connection does."""
    if isinstance(connection, fastlite.Database):
        connection = connection.conn
    is_sqlalchemy = type(connection).__module__.startswith("sqlalchemy")
    answer = connection.execute(sqlalchemy.text(sql) if is_sqlalchemy else sql)
    return await answer if inspect.isawaitable(answer) else answer


async def value(connection: Any, sql: str) -> Any:
    """What a query selects: one value."""
    row = (await execute(connection, sql)).fetchone()
    return (await row if inspect.isawaitable(row) else row)[0]


@dataclass(frozen=True)
class Place:
    """Where an application has its tables and its jobs.

    Attributes:
        url: The store's.
        begin: Gives a connection with a transaction open.
    """

    url: str
    begin: Begin


def place_in(path: str, borrower: str) -> Place:
    """One in an SQLite file."""
    driver, make = SQLITE[borrower]
    return Place(f"sqlite:///{path}?driver={driver}", lambda: make(path))

"""Statements of the SQLite store inside a transaction of the caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..._finish import finish
from ...errors import UnfitConnection
from .._connections import NO_TRANSACTION, SQLITE, in_sqlalchemy, kind_of, rows_of
from ._database import Database, Fetched, Row

T = TypeVar("T")
Execute = Callable[[str, Sequence[Any]], list[Row]]
Checked = Callable[[Execute, Callable[[], bool]], T]  # told how to run, and whether it is begun

# Writes nothing. But the standard library begins a transaction before a statement that could,
# and SQLite takes its lock for writing now, not in the middle.
TOUCH = "update errands_jobs set version = version where false"


class Lent:
    """A connection of the caller's, as our statements know one.

    Args:
        execute: Runs one statement, and answers with its rows.
    """

    def __init__(self, execute: Execute) -> None:
        """Run nothing yet."""
        self._execute = execute

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Fetched:
        """See `Database.execute`; one statement at a time."""
        return Fetched(self._execute(sql, values))

    def changes(self) -> int:
        """See `Database.changes`."""
        [(number,)] = self._execute("select changes()", ())
        return int(number)


async def within(connection: Any, driver: str, path: str, work: Callable[[Database], T]) -> T:
    """What `work` answers, done as a whole or not at all in the caller's transaction.

    Args:
        driver: The library that the store opened its file with.
        path: Where that is.

    Raises:
        UnfitConnection: if the connection is none that could do it.
    """

    def checked(execute: Execute, is_begun: Callable[[], bool]) -> T:
        _require_file(execute, path)
        execute(TOUCH, ())
        if not is_begun():
            raise UnfitConnection(NO_TRANSACTION)
        return _as_a_whole(execute, is_begun, work)

    kind = kind_of(connection, SQLITE)
    if kind.startswith("sqlalchemy."):
        return await in_sqlalchemy(
            kind, connection, lambda plain: _with_sqlalchemy(plain, driver, path, checked)
        )
    if kind == "apswutils.Database":
        kind, connection = "apsw.Connection", connection.conn
    _require_library("apsw" if kind == "apsw.Connection" else "sqlite3", driver, path)
    if kind == "aiosqlite.Connection":
        return await _in_thread(connection, checked)
    rows = _rows_by_apsw if kind == "apsw.Connection" else _rows_by_sqlite3
    return checked(
        lambda sql, values: rows(connection, sql, values), lambda: connection.in_transaction
    )


def _with_sqlalchemy(connection: Any, driver: str, path: str, checked: Checked[T]) -> T:
    if connection.dialect.name != "sqlite":
        raise UnfitConnection(
            f"connection=… speaks {connection.dialect.name}, and the jobs are in {path}: "
            "a transaction cannot span both. Leave connection=… out"
        )
    raw = connection.connection.driver_connection
    ancestry = {base.__module__.partition(".")[0] for base in type(raw).__mro__}
    library = "sqlite3" if ancestry & {"sqlite3", "aiosqlite"} else min(ancestry - {"builtins"})
    _require_library(library, driver, path)
    return checked(
        lambda sql, values: rows_of(connection, sql, tuple(values)), lambda: raw.in_transaction
    )


async def _in_thread(connection: Any, checked: Checked[T]) -> T:
    """Work in a thread, for which aiosqlite's own runs the statements."""
    loop = asyncio.get_running_loop()

    async def rows(sql: str, values: Sequence[Any]) -> list[Row]:
        cursor = await connection.cursor()
        cursor.row_factory = None
        try:
            await cursor.execute(sql, tuple(values))
            return [tuple(row) for row in await cursor.fetchall()]
        finally:
            await cursor.close()

    def execute(sql: str, values: Sequence[Any]) -> list[Row]:
        return asyncio.run_coroutine_threadsafe(rows(sql, values), loop).result()

    # to its end also if we are cancelled: the caller's next statement is to find it idle
    return await finish(
        asyncio.to_thread(checked, execute, lambda: bool(connection.in_transaction))
    )


def _rows_by_apsw(connection: Any, sql: str, values: Sequence[Any]) -> list[Row]:
    cursor = connection.cursor()
    cursor.row_trace = _as_it_is  # instead of one that the connection may have
    return [tuple(row) for row in cursor.execute(sql, values)]


def _as_it_is(cursor: object, row: Row) -> Row:
    return row


def _rows_by_sqlite3(connection: Any, sql: str, values: Sequence[Any]) -> list[Row]:
    cursor = connection.cursor()
    cursor.row_factory = None  # instead of the connection's
    try:
        return list(cursor.execute(sql, tuple(values)).fetchall())
    finally:
        cursor.close()


def _require_library(library: str, driver: str, path: str) -> None:
    if library == driver:
        return
    advice = (
        f"write ?driver={library} behind the store's URL"
        if library in {"apsw", "sqlite3"}
        else f"open your connection with {driver}"
    )
    raise UnfitConnection(
        f"connection=… is of {library}, and the store opened {path} with {driver}. Two libraries "
        f"on one file lose each other's locks: {advice}"
    )


def _require_file(execute: Execute, path: str) -> None:
    files = {name: file for _, name, file in execute("pragma database_list", ())}
    if not _is_same(files["main"], path):
        raise UnfitConnection(
            f"connection=… is open on {files['main'] or 'no file'}, and the jobs are in {path}: "
            f"name your file in the store's URL, sqlite:///{files['main'] or 'app.db'}, "
            "or leave connection=… out"
        )


def _is_same(file: str, path: str) -> bool:
    try:
        return bool(file) and Path(file).samefile(path)
    except OSError:  # one of them was moved away
        return False


def _as_a_whole(execute: Execute, is_begun: Callable[[], bool], work: Callable[[Database], T]) -> T:
    execute("savepoint errands", ())
    try:
        answer = work(Lent(execute))
    except BaseException:
        if is_begun():  # else SQLite has rolled back everything by itself
            execute("rollback to errands", ())
            execute("release errands", ())
        raise
    execute("release errands", ())
    return answer

"""The standard library's sqlite3 as a lane wants it: rows at once, and apsw's errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from ...errors import SetupError
from ._database import Fetched

OLDEST = (3, 35, 0)


class StandardConnection:
    """A connection by the SQLite that came with Python."""

    system_errno = 0  # the standard library does not say

    def __init__(self, path: str) -> None:
        """Open the file.

        Raises:
            SetupError: if Python's SQLite is too old for our statements.
        """
        if sqlite3.sqlite_version_info < OLDEST:
            raise SetupError(
                f"Python came with SQLite {sqlite3.sqlite_version}, and ?driver=sqlite3 needs "
                "3.35 or newer: update Python, or leave the option out, in a file that only "
                "Errands opens"
            )
        with _errors_of_apsw():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._db.in_transaction

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Fetched:
        """See `Database.execute`."""
        with _errors_of_apsw():
            if values:
                return Fetched(self._db.execute(sql, values))
            answers = [Fetched(self._db.execute(statement)) for statement in _parted(sql)]
            return answers[-1]

    def changes(self) -> int:
        """See `Database.changes`."""
        [(number,)] = self.execute("select changes()")  # a cursor only knows of plain statements
        return int(number)

    def set_busy_timeout(self, milliseconds: int, /) -> None:
        """See `OwnDatabase.set_busy_timeout`."""
        self.execute(f"pragma busy_timeout = {milliseconds}")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _parted(sql: str) -> Iterator[str]:
    """The statements of a text, which the standard library takes one by one."""
    statement = ""
    for part in sql.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""


@contextmanager
def _errors_of_apsw() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", apsw.SQLITE_ERROR)
        told = apsw.exception_for(code)
        told.args = (f"{type(told).__name__}: {error}",)
        raise told from error

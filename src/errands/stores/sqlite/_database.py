"""What the statements of the SQLite store ask of a connection, whatever library it is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]


class Rows(Protocol):
    """What a statement answered."""

    def fetchall(self) -> list[Row]:
        """All rows."""
        ...

    def __iter__(self) -> Iterator[Row]: ...


class Fetched(list[Row]):
    """Rows that are here already, so that no error can come later."""

    def fetchall(self) -> list[Row]:
        """All rows."""
        return self


class Database(Protocol):
    """A connection to an SQLite file. Its errors are those of apsw."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        """Run a statement or, where it has no values, several that are parted by semicolons."""
        ...

    def changes(self) -> int:
        """How many rows the last statement that writes has written."""
        ...


class OwnDatabase(Database, Protocol):
    """A connection that a lane has for itself."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    @property
    def system_errno(self) -> int:
        """What the operating system said last; 0 if nobody knows."""
        ...

    def set_busy_timeout(self, milliseconds: int, /) -> None:
        """How long a statement waits for another's lock."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...

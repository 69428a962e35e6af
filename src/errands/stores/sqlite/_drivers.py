"""The libraries that can open an SQLite file, of which a process takes one for each file.

Each brings an SQLite of its own. To close a file drops all locks that the process has on it,
which one SQLite knows of itself and two do not know of each other: then another process gets a
lock that is taken (sqlite.org/howtocorrupt.html, section 2.2.1).
"""

from __future__ import annotations

import os
from collections import Counter

import apsw

from ...errors import SetupError
from ._database import OwnDatabase

DRIVERS = ("apsw", "sqlite3")

_users: dict[str, Counter[str]] = {}  # of a file, by driver


def connected(driver: str, path: str, *, to_look: bool = False) -> OwnDatabase:
    """A new connection to the file at `path`.

    Args:
        to_look: Write nothing. Without it libraries may, that put hooks on all connections of
            apsw's (`apsw.connection_hooks`), as that of FastHTML does.
    """
    if driver == "apsw" and to_look:
        return apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    if driver == "apsw":
        return apsw.Connection(path)
    from ._stdlib import StandardConnection  # noqa: PLC0415  # only for those who ask for it

    return StandardConnection(path)


def take(driver: str, path: str) -> None:
    """Note that this process opens the file with `driver`.

    Raises:
        SetupError: if a store of this process has it open with another one.
    """
    users = _users.setdefault(os.path.realpath(path), Counter())
    other = next((name for name, number in users.items() if number and name != driver), None)
    if other is not None:
        raise SetupError(
            f"{path} is open with {other} in this process, and {driver} would break its locks: "
            f"write ?driver={other} here, too"
        )
    users[driver] += 1


def leave(driver: str, path: str) -> None:
    """Note that it was closed."""
    _users[os.path.realpath(path)][driver] -= 1

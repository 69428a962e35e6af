"""What a PostgreSQL server, or the way to it, has to say: as errors of ours."""

from __future__ import annotations

import psycopg
from psycopg import errors

from ..errors import ErrandsError, SetupError, StoreFull, StoreUnavailable

ADVICE: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.InvalidPassword, "Correct the user or the password in its URL, or in ~/.pgpass."),
    (errors.InvalidAuthorizationSpecification, "See pg_hba.conf of the server, or name a user."),
    (errors.InvalidCatalogName, "Create the database, or name another one in the URL."),
    (errors.TooManyConnections, "Raise max_connections of the server, or put a pooler before it."),
    (
        errors.InsufficientPrivilege,
        "Grant this user what is missing: `usage` on the schema and all rights on our tables; "
        "to make or upgrade them, also `create` on the schema.",
    ),
    (errors.ReadOnlySqlTransaction, "A standby only reads: name the primary server in the URL."),
    (errors.UndefinedTable, "Its tables are gone: start again to have new ones."),
    (errors.UndefinedColumn, "Somebody changed its tables: bring them back from a backup."),
    (errors.LockNotAvailable, "Another transaction holds that job or that key for too long."),
)
AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)  # nothing happened: begin anew
LOST = (psycopg.OperationalError, psycopg.InterfaceError)  # if the connection is closed as well


def translated(error: psycopg.Error, where: str) -> ErrandsError | ValueError:
    """An error of the driver as one of ours.

    Args:
        where: The address, without its password.
    """
    said = f"{where}: {_text(error)}"
    if isinstance(error, psycopg.DataError):
        return ValueError(f"{said}. PostgreSQL cannot keep this: leave it out, a NUL for example")
    if isinstance(error, errors.DiskFull):
        return StoreFull(f"{said}. Make room on its disk; nothing was written.")
    if isinstance(error, errors.FeatureNotSupported | errors.UndefinedFunction):
        return SetupError(f"{said}. Errands needs PostgreSQL 13 or newer.")
    for kind, advice in ADVICE:
        if isinstance(error, kind):
            return StoreUnavailable(f"{said}. {advice}")
    return StoreUnavailable(said)


def _text(error: psycopg.Error) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(filter(None, lines)).rstrip(".") or type(error).__name__

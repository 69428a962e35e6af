"""What a PostgreSQL server, or the way to it, has to say: as errors of ours."""

from __future__ import annotations

import psycopg
from psycopg import errors

from ...errors import ErrandsError, SetupError, StoreFull, StoreUnavailable

ADVICE: tuple[tuple[type[psycopg.Error], str], ...] = (
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
# Who is not let in gets no code along with the words; those of a server that speaks another
# language get the last advice.
REFUSALS = (
    ("password authentication failed", "Correct the user or the password in the URL."),
    ("no password supplied", "Write the password into the URL, or into ~/.pgpass."),
    ("no pg_hba.conf entry", "Have the server let this user in from here: see its pg_hba.conf."),
    ("does not exist", "Create the database or the user, or name another one in the URL."),
    ("too many clients", "Raise max_connections of the server, or put a pooler before it."),
    ("", "See that the server runs, and that the host, the port and the user are right."),
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
    if error.sqlstate is None and "connection failed" in said:
        return StoreUnavailable(f"{said}. {next(text for word, text in REFUSALS if word in said)}")
    return StoreUnavailable(said)


def _text(error: psycopg.Error) -> str:
    # libpq's question whether the server runs is answered by our advice
    lines = [line.strip() for line in str(error).splitlines() if not line.endswith("?")]
    return "; ".join(filter(None, lines)).rstrip(".") or type(error).__name__

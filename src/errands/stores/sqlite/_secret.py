"""The secret of the SQLite store, in `errands_meta`."""

from __future__ import annotations

from .._secret import NAMES, joined, new_secret, rows_of
from ._database import Database

ROWS = "select name, value from errands_meta where name in (?, ?, ?, ?)"
KEEP = "insert or ignore into errands_meta values (?, ?)"
REPLACE = "insert or replace into errands_meta values (?, ?)"


def secret(db: Database, calls: list[None]) -> list[bytes]:
    """See `Store.secret`."""
    while (found := joined(db.execute(ROWS, NAMES).fetchall())) is None:
        keep(db, [(new_secret(), False)])
    return [found for _ in calls]


def keep(db: Database, calls: list[tuple[bytes, bool]]) -> list[None]:
    """See `Store.keep_secret`."""
    for given, is_over in calls:
        for row in rows_of(given):
            db.execute(REPLACE if is_over else KEEP, row)
    return [None] * len(calls)

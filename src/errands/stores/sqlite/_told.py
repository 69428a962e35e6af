"""What SQLite's errors are to those who use a store."""

from __future__ import annotations

import errno

import apsw

from ...errors import NotAStore, StoreFull, StoreUnavailable
from ._database import OwnDatabase

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def translated(error: Exception, path: str, db: OwnDatabase | None) -> Exception:
    """The error of the file at `path` as one of ours; one that is not SQLite's stays as it is.

    Args:
        db: The connection on which it happened, if it was open by then. Only that knows what
            the system said: a user's quota that is used up is a mere I/O error to SQLite.
    """
    where = f"{path}: {error}"
    told: Exception
    if isinstance(error, apsw.FullError) or _has_no_room(error, db):
        told = StoreFull(f"{where}. Make room on its disk; nothing was written.")
    elif isinstance(error, apsw.NotADBError):
        told = NotAStore(f"{where}. Name another file, or move this one away.")
    elif isinstance(error, apsw.CantOpenError):
        told = StoreUnavailable(
            f"{where}. Make its folder, or correct the path; see that this user may write there."
        )
    elif isinstance(error, apsw.Error):
        told = StoreUnavailable(where)
    else:
        return error
    told.__cause__ = error
    return told


def _has_no_room(error: Exception, db: OwnDatabase | None) -> bool:
    return isinstance(error, apsw.IOError) and db is not None and db.system_errno in NO_ROOM

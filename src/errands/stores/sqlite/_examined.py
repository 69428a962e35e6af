"""An SQLite file looked at before it is opened as a store: nothing is made or upgraded."""

from __future__ import annotations

from pathlib import Path

from ..._examination import Examination
from ...errors import NotAStore, StoreUnavailable
from . import _drivers
from ._database import OwnDatabase
from ._reading import one
from ._schema import VERSION, version_of
from ._told import translated

MENDED = (3, 51, 3)  # SQLite 3.7.0 to 3.51.2 may corrupt a WAL file that two connections write
PATIENCE = 2000  # milliseconds that a look waits for another's lock


def examine(path: Path, driver: str) -> Examination:
    """See `Examinable.examine`."""
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        raise StoreUnavailable(
            f"{path} {what}: correct the path. An application or a worker makes its file when it "
            "starts for the first time."
        )
    _drivers.take(driver, str(path))
    db: OwnDatabase | None = None
    try:
        db = _drivers.connected(driver, str(path), to_look=True)
        db.set_busy_timeout(PATIENCE)
        return _examined(db, path)
    except Exception as error:
        raise translated(error, str(path), db) from error
    finally:
        if db is not None:
            db.close()
        _drivers.leave(driver, str(path))


def _examined(db: OwnDatabase, path: Path) -> Examination:
    schema = version_of(db, str(path))
    if schema is None:
        raise NotAStore(
            f"{path} has no jobs of Errands: name another file. An application or a worker makes "
            "the tables when it starts for the first time."
        )
    version = str(one(db, "select sqlite_version()"))
    return Examination(
        engine=f"SQLite {version}", schema=schema, known=VERSION, flaw=_flaw(version)
    )


def _flaw(version: str) -> str | None:
    if tuple(int(part) for part in version.split(".")[:3]) >= MENDED:
        return None
    return (
        f"SQLite {version} has a bug that can corrupt a file which several processes write, "
        "mended in 3.51.3: update Python's SQLite, or leave ?driver=sqlite3 out of the URL"
    )

"""The file of a store, while it is open: a lane that writes, one that reads, and the news of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from ..._finish import finish
from ..._job import Job
from .. import _fork
from .._bell import Bell, Echo, is_news
from . import _drivers, _schema
from ._address import address_of
from ._borrowed import within
from ._database import Database, OwnDatabase
from ._lane import BUSY, Lane
from ._siblings import Siblings
from ._turn import Turn

T = TypeVar("T")


class OpenFile:
    """The part of `SQLiteStore` that opens, closes and tells the others who share the file."""

    def __init__(self, url: str) -> None:
        """Open nothing yet."""
        address = address_of(url)
        self._path, self._driver = address.path, address.driver
        self._synchronous = address.synchronous
        folder = self._path.with_name(f"{self._path.name}-workers")
        self._bell = Bell()
        self._siblings = Siblings(folder, self._bell.ring)
        self._echo = Echo(self._ring)
        self.listen = self._bell.listen

    @property
    def path(self) -> Path:
        """The file, which need not be there yet."""
        return self._path

    async def __aenter__(self) -> Self:
        """Open the file, make or upgrade its tables."""
        path = str(self._path)
        self._writer = Lane(self._connect, path, Turn(self._path.parent))
        self._reader = Lane(self._connect, path)
        _drivers.take(self._driver, path)
        try:
            await self._writer.open()
            try:
                await self._writer.call(_schema.prepare, path)
                await self._reader.open()
            except BaseException:
                await self._writer.close()
                raise
        except BaseException:
            _drivers.leave(self._driver, path)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let go of the file, once what was asked of it is done."""
        await finish(self._close())  # also for whoever is cancelled meanwhile

    async def _close(self) -> None:
        self._echo.end()
        try:
            await self._reader.close()
        finally:
            try:
                await self._writer.close()
            finally:
                self._siblings.close()
                _drivers.leave(self._driver, str(self._path))

    async def _within(self, connection: Any, work: Callable[[Database], T]) -> T:
        _fork.refuse(str(self._path))
        return await within(connection, self._driver, str(self._path), work)

    def _connect(self) -> OwnDatabase:
        db = _waiting_for_others(lambda: _drivers.connected(self._driver, str(self._path)))
        try:
            db.set_busy_timeout(BUSY)
            _write_ahead(db)
            db.execute(f"pragma synchronous = {self._synchronous}")
        except BaseException:
            db.close()
            raise
        return db

    def _tell(self, jobs: Sequence[Job], *, anyway: bool = False) -> None:
        if anyway or is_news(jobs):
            self._ring()

    def _ring(self) -> None:
        self._bell.ring()
        self._siblings.ring()


def _write_ahead(db: Database) -> None:
    """Turn a new file into one with a write-ahead log, with whoever else is just doing that.

    SQLite asks for an exclusive lock here, and does not wait for it.
    """
    _waiting_for_others(lambda: db.execute("pragma journal_mode = wal"))


def _waiting_for_others(work: Callable[[], T]) -> T:
    """Do what meets others' locks before there is a busy timeout, or without heeding it.

    To connect may: libraries put hooks on all connections of apsw's (`apsw.connection_hooks`),
    and apsw's own best practice, which FastHTML's database library applies, writes in one.
    """
    give_up = time.monotonic() + BUSY / 1000
    while True:
        try:
            return work()
        except apsw.BusyError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.005)

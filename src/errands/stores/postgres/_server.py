"""The server of a store, while it is open: lanes to it, and the news to and from the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Self

import psycopg

from ..._finish import finish
from ..._job import Job
from .._bell import Bell, is_news
from . import _adding, _schema, _sql, _statements
from ._address import address_of
from ._errors import translated
from ._lane import Lane
from ._link import PLAIN_PLANS, Link, Session, ThreadLink, qualified
from ._presence import Crier, Cry, Presence

ENOUGH = 16  # additions for a batch of their own, where a connection is free
IN_TIME = {"statement_timeout": "10s"}  # for those who block
AT_EASE = {"synchronous_commit": "off"}  # for what may be forgotten at a crash: news, and prunings


class OpenServer:
    """The part of `PostgresStore` that opens, closes and tells the others who share the server."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet."""
        self._address = address = address_of(url)
        self._bell = Bell()
        self.listen = self._bell.listen
        self._adding = Lane(
            address, width=2, settings=PLAIN_PLANS, least=ENOUGH, committed=self._tell_added
        )
        self._claiming = Lane(address, width=1, settings=PLAIN_PLANS)
        self._saving = Lane(address, width=1, settings=PLAIN_PLANS)
        self._looking = Lane(address, width=2, settings=AT_EASE)
        self._lanes = (self._adding, self._claiming, self._saving, self._looking)
        self._extending = ThreadLink(address, PLAIN_PLANS | IN_TIME)
        self._presence = Presence(address, self._bell.ring)
        self._crier = Crier(self._notify, self._cry)
        self._schema = ""

    def __repr__(self) -> str:
        return f"<PostgresStore {self._address.shown}>"  # without its password

    async def __aenter__(self) -> Self:
        """Connect, make or upgrade the tables.

        Raises:
            SetupError: if the server or its database cannot keep jobs, or in a process that was
                forked while the store was open.
        """
        schema = await self._prepared()
        for lane in self._lanes:
            lane.open(schema)
        self._presence.open(schema)
        self._schema = schema
        self._extend_sql = qualified(_statements.EXTEND, schema)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let go of the server, once what was asked of it is done."""
        await finish(self._close())  # also for whoever is cancelled meanwhile

    async def _prepared(self) -> str:
        link = Link(self._address, {})
        try:
            connection = await link.connection()
            schema = await _schema.schema_of(connection, self._address.schema)
            await _schema.prepare(Session(connection, schema), schema, self._address.shown)
        except psycopg.Error as error:
            raise translated(error, self._address.shown) from error
        finally:
            await link.close()
        return schema

    async def _close(self) -> None:
        writing = self._adding, self._claiming, self._saving
        await asyncio.gather(*(lane.close() for lane in writing))  # and then there is no more news
        await self._crier.close()
        try:
            await self._presence.close()
        finally:
            await self._looking.close()
            await asyncio.to_thread(self._extending.close)

    def _tell_added(self, calls: list[Sequence[Job]]) -> None:
        """Once for a batch; and also of what somebody has added who was cancelled meanwhile."""
        if isinstance(calls[0], _adding.Told):
            self._bell.ring()
        else:
            self._tell(chain.from_iterable(calls))

    def _tell(self, jobs: Iterable[Job], *, anyway: bool = False) -> None:
        if anyway or is_news(jobs):
            self._ring()

    def _ring(self) -> None:
        self._bell.ring()
        self._crier.cry()

    async def _notify(self) -> Any:
        return await self._looking.call(_sql.notify, self._cry())

    def _cry(self) -> Cry:
        return self._presence.channel, self._presence.name

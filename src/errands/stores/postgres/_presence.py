"""The connection that stays: by it the others see that our workers live, and we hear their news.

It holds a lock for each worker, which the server lets go of as soon as the process dies or
cannot be reached any more, and listens on a channel. Behind a pooler that gives each
transaction another session there can be neither: leases and polling do the work, only later.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import psycopg

from ...errors import StoreUnavailable
from ._address import Address, fingerprint
from ._errors import translated
from ._link import Link, Row, Session
from ._statements import SETTLING

logger = logging.getLogger("errands.postgres")

TWICE = 0.2  # seconds between the two looks that find a worker dead
LONGEST = 5.0  # seconds between two tries to come back
SPACING = 0.01  # seconds between two notifications: each holds a lock of the whole server
# One that is part of an addition holds that lock until the addition is flushed. So each process
# spends no more than such a part of its time on them, and steps back where others do so, too.
SHARE = 1 / 10

Cry = tuple[str, str]  # a channel, and who has news

# The server is to notice soon that a machine has gone; it lets go of our locks then.
WATCHED = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "12s",
    "lock_timeout": "0",  # a session of ours that the server takes for alive still has the lock
}
LOCK = "select pg_advisory_lock(hashtextextended(%(name)s, 0))"
ENLIST = "insert into errands_enlisted values (%(worker)s) on conflict do nothing"
LEAVE = "delete from errands_enlisted where worker = any(%(workers)s::text[])"


class Presence:
    """Ours among the processes that share the tables.

    Args:
        heard: Called in the event loop when another process has news, or may have had.
    """

    def __init__(self, address: Address, heard: Callable[[], object]) -> None:
        """Connect to nothing yet."""
        self._address, self._heard = address, heard
        self.workers: list[str] = []
        self.name = ""

    def open(self, schema: str) -> None:
        """Be ready to enlist workers, in the running event loop."""
        self._schema, self._link = schema, Link(self._address, WATCHED)
        self.prefix = f"errands.{schema}."
        self.channel = f"errands_{fingerprint(schema)}"
        self.name = fingerprint(str(random.getrandbits(64)))
        self._in_use = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._settled_at = 0.0
        self._missing: dict[str, float] = {}

    async def enlist(self, worker: str) -> None:
        """Let others see that this worker lives.

        Raises:
            StoreUnavailable: if the server does not answer.
        """
        if self._address.is_pooled:
            return
        self.workers.append(worker)
        try:
            async with self._in_use:
                await self._appear()
        except BaseException as error:
            self.workers.remove(worker)
            if isinstance(error, psycopg.Error):
                raise translated(error, self._address.shown) from error
            raise

    def sees(self, missing: set[str]) -> list[str]:
        """Whom of those that seem to be missing we take for dead.

        Who lost its connection is back at once; so one look is not enough. And after a server
        was away, all of them lost theirs.
        """
        now = time.monotonic()
        if now < self._settled_at or self._returning is not None:
            missing = set()
        self._missing = {worker: self._missing.get(worker, now) for worker in missing}
        return [worker for worker, since in self._missing.items() if now - since >= TWICE]

    async def close(self) -> None:
        """Leave: no worker of ours is alive any more."""
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.wait([self._returning])
        async with self._in_use:
            connection = self._connection
            self._stop_hearing()
            try:
                if connection is not None and not connection.closed:
                    session = Session(connection, self._schema)
                    await session.rows(LEAVE, {"workers": self.workers})
            except psycopg.Error as error:
                logger.debug("the others will find out that we have gone: %s", error)
            finally:
                self.workers = []
                await self._link.close()

    async def _appear(self) -> None:
        """Hold the locks of all our workers, and listen."""
        self._stop_hearing()
        self._connection = await self._link.connection()
        session = Session(self._connection, self._schema)
        for worker in self.workers:
            await session.rows(LOCK, {"name": self.prefix + worker})
            await session.rows(ENLIST, {"worker": worker})
        await session.rows(f"listen {self.channel}")
        self._socket = self._connection.fileno()
        asyncio.get_running_loop().add_reader(self._socket, self._hear, self._connection)
        self._heard()  # of what we may have missed

    def _hear(self, connection: psycopg.AsyncConnection[Row]) -> None:
        is_news = False
        try:
            connection.pgconn.consume_input()
            while (told := connection.pgconn.notifies()) is not None:
                is_news = is_news or told.extra != self.name.encode()
        except psycopg.Error as error:
            self._lose(error)
        if is_news:
            self._heard()

    def _lose(self, error: psycopg.Error) -> None:
        """The connection broke, and with it our locks: come back."""
        self._stop_hearing()
        logger.debug("%s; connecting again", translated(error, self._address.shown))
        self._returning = asyncio.get_running_loop().create_task(
            self._come_back(), name="errands postgres presence"
        )

    async def _come_back(self) -> None:
        wait = 0.05
        while True:
            try:
                async with self._in_use:
                    await self._link.close()
                    await self._appear()
            except (psycopg.Error, OSError) as error:
                logger.debug("%s is still away: %s", self._address.shown, error)
            else:
                self._settled_at = time.monotonic() + SETTLING
                self._returning = None
                return
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(2 * wait, LONGEST)

    def _stop_hearing(self) -> None:
        if self._connection is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._connection = None


class Crier:
    """Tells the other processes that there is news: at once, but seldom if there is much.

    Args:
        tell: Tells them.
        cry: Answers what they are told.
    """

    def __init__(self, tell: Callable[[], Awaitable[object]], cry: Callable[[], Cry]) -> None:
        """Say nothing yet."""
        self._tell, self._cry = tell, cry
        self._has_news = False
        self._telling: asyncio.Task[None] | None = None
        self._told_at, self._rests_until = -SPACING, 0.0

    @property
    def is_rested(self) -> bool:
        """Whether nothing was told for a while, so that the next may be part of an addition."""
        now = time.monotonic()
        return self._telling is None and now >= self._told_at + SPACING and now >= self._rests_until

    @contextmanager
    def telling(self) -> Iterator[Cry]:
        """Be told what to say in an addition, which takes as long as the block."""
        self._told_at = begun = time.monotonic()
        try:
            yield self._cry()
        finally:
            self._rests_until = begun + (time.monotonic() - begun) / SHARE

    def cry(self) -> None:
        """There is news."""
        self._has_news = True
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(
                self._run(), name="errands postgres news"
            )

    async def close(self) -> None:
        """Tell what is to be told."""
        if self._telling is not None:
            await asyncio.wait([self._telling])

    async def _run(self) -> None:
        try:
            if (wait := self._told_at + SPACING - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            while self._has_news:
                self._has_news = False
                self._told_at = time.monotonic()
                try:
                    await self._tell()
                except StoreUnavailable as error:
                    logger.debug("the others will look by themselves: %s", error)
                await asyncio.sleep(SPACING)
        finally:
            self._telling = None

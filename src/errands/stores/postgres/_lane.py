"""A lane: a few connections where calls that wait share a statement.

A commit costs the server a flush of its disk, and each statement a round trip. So calls queue
up, and whatever waits for the same work when a connection is free becomes one batch. Nobody
waits for a timer. Where much waits, connections that are free divide it: then those who were
answered by one ask anew while the server is still at work for the other.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import msgspec
import psycopg
from psycopg.errors import UniqueViolation

from .. import _fork
from ._address import Address
from ._errors import AGAIN, LOST, translated
from ._link import Link, Session, Settings, apply

MOST = 1000  # calls of one batch
TRIES = 5  # times that a transaction which met another one is begun anew

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Work: TypeAlias = Callable[[Session, list[Asked]], Awaitable[list[Answer]]]
Committed = Callable[[list[Any]], object]


class _Call(msgspec.Struct, eq=False):  # made in a third of a dataclass' time
    work: Work[Any, Any]
    argument: Any
    future: asyncio.Future[Any]
    is_once: bool


class Lane:
    """Runs works, grouped, on connections of its own.

    Args:
        width: How many batches may be under way.
        settings: What the server is told for these connections.
        least: How many calls a connection has at least that divides them with another.
        committed: Called with the answers of each batch, also if nobody waits for them any more.
    """

    def __init__(
        self,
        address: Address,
        *,
        width: int,
        settings: Settings,
        least: int = MOST,
        committed: Committed | None = None,
    ) -> None:
        """Open nothing yet: a connection is made when it is needed."""
        self._address, self._width, self._settings = address, width, settings
        self._least, self._free, self._committed = least, width, committed
        self._calls: deque[_Call] = deque()
        self._runners: list[asyncio.Task[None]] = []

    def open(self, schema: str) -> None:
        """Be ready for calls, in the running event loop.

        Raises:
            SetupError: in a process that was forked while the store was open.
        """
        _fork.opened(self._address.shown)
        self._schema, self._is_closing, self._news = schema, False, asyncio.Event()
        loop = asyncio.get_running_loop()
        self._runners = [
            loop.create_task(self._run(), name="errands postgres") for _ in range(self._width)
        ]

    async def close(self) -> None:
        """Do what was asked for, and close the connections."""
        _fork.refuse(self._address.shown)
        if self._runners:
            self._is_closing = True
            self._news.set()
            await asyncio.gather(*self._runners)
            self._runners = []
            _fork.closed(self._address.shown)

    def call(
        self, work: Work[Asked, Answer], argument: Asked, *, is_once: bool = False
    ) -> asyncio.Future[Answer]:
        """Ask for `work`; the future tells when it is committed.

        Args:
            is_once: It must not be repeated, and so shares no batch.
        """
        _fork.refuse(self._address.shown)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(work, argument, future, is_once))
        self._news.set()
        return future

    async def _run(self) -> None:
        link = Link(self._address, self._settings)
        try:
            while True:
                await self._news.wait()
                if calls := self._waiting():
                    self._free -= 1
                    try:
                        await self._serve(link, calls)
                    finally:
                        self._free += 1
                elif self._is_closing:
                    return
                else:
                    self._news.clear()
        finally:
            await link.close()

    def _waiting(self) -> list[_Call]:
        """The call that waits longest, and those that can share its batch."""
        calls: list[_Call] = []
        others: deque[_Call] = deque()
        most = self._share
        while self._calls and len(calls) < most:
            call = self._calls.popleft()
            if call.future.done():  # whoever waited was cancelled
                continue
            if not calls or (call.work == calls[0].work and not (call.is_once or calls[0].is_once)):
                calls.append(call)
            else:
                others.append(call)
        self._calls.extendleft(reversed(others))
        return calls

    @property
    def _share(self) -> int:
        """How many of the calls that wait are for one connection that is free."""
        number = len(self._calls)
        parts = max(1, min(self._free, number // self._least))
        return min(MOST, -(-number // parts))

    async def _serve(self, link: Link, calls: list[_Call]) -> None:
        try:
            results = await self._attempt(link, calls)
        except Exception as error:  # noqa: BLE001  # told to the one who called
            if len(calls) == 1 or not link.is_open:
                for call in calls:
                    _refuse(call, self._translated(error))
            else:  # one of them sank the batch: each gets one of its own
                for call in calls:
                    await self._serve(link, [call])
        except BaseException:  # the loop is being ended, and with it whoever waits
            for call in calls:
                call.future.cancel()
            raise
        else:
            _answer(calls, results)
            if self._committed is not None:
                self._committed(results)

    async def _attempt(self, link: Link, calls: list[_Call]) -> list[Any]:
        """The results of a batch, from a second connection if the first broke meanwhile."""
        may_repeat = link.is_open and not calls[0].is_once
        for tries_left in range(TRIES, 0, -1):
            try:
                return await self._work(link, calls)
            except AGAIN:
                if tries_left == 1:
                    raise
                await asyncio.sleep(random.uniform(0, 0.01))  # so that they do not meet again
            except LOST:
                if link.is_open or not may_repeat:
                    raise
                may_repeat = False
        raise AssertionError("the last try answers or raises")

    async def _work(self, link: Link, calls: list[_Call]) -> list[Any]:
        connection = await link.connection()
        session = Session(connection, self._schema)
        arguments = [call.argument for call in calls]
        if not self._address.is_pooled:
            return await calls[0].work(session, arguments)
        async with session.transaction():
            await apply(connection, link.settings, is_local=True)
            return await calls[0].work(session, arguments)

    def _translated(self, error: Exception) -> Exception:
        if not isinstance(error, psycopg.Error) or isinstance(error, UniqueViolation):
            return error  # the second of its key: the store's own affair
        told = translated(error, self._address.shown)
        told.__cause__ = error
        return told


def _answer(calls: list[_Call], results: list[Any]) -> None:
    for call, result in zip(calls, results, strict=True):
        if not call.future.done():
            call.future.set_result(result)


def _refuse(call: _Call, error: Exception) -> None:
    if not call.future.done():
        call.future.set_exception(error)

"""Links to a PostgreSQL server: connections that are made anew when they broke."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

import psycopg

from ._address import Address
from ._errors import LOST, translated

Row = tuple[Any, ...]
Settings = Mapping[str, str]

COMMON = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",  # a stopped process locks nobody out
    "default_transaction_isolation": "read committed",
    "jit": "off",
}
# For statements that know their index. The planner would leave it for a table that it takes to
# be empty, or has not analysed yet, and then be slower by orders of magnitude.
PLAIN_PLANS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
}
_NAMES = "enlisted|history|jobs|meta|orders|rates|schedules|waits|workers"
TABLE = rf"\b(errands_(?:{_NAMES}))\b"
SET = """
select count(set_config(name, value, {}))
from unnest(%s::text[], %s::text[]) as told (name, value)
"""


class Session:
    """A connection in use: speaks to the tables of one schema."""

    _is_quick = False  # whether statements are sent before those before them are answered

    def __init__(self, connection: psycopg.AsyncConnection[Row], schema: str) -> None:
        """Use the connection, which commits each statement by itself."""
        self.connection, self._schema = connection, schema

    async def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """What a statement answers. Our tables are named there without their schema."""
        cursor = await self.connection.execute(qualified(sql, self._schema), values or {})
        if self._is_quick:  # only the answer says whether there are rows
            return await cursor.fetchall()
        return await cursor.fetchall() if cursor.description else []

    async def tell(self, sql: str, values: Mapping[str, Any]) -> None:
        """Run a statement whose answer nobody needs; inside `quickly`, without waiting for it."""
        await self.connection.execute(qualified(sql, self._schema), values)

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """What is done inside is done as a whole."""
        return self.connection.transaction()

    @asynccontextmanager
    async def quickly(self) -> AsyncIterator[None]:
        """A transaction that waits for the server only where rows are asked for.

        Inside, `rows` is for statements that answer with some, and `tell` for all others.
        """
        async with AsyncExitStack() as stack:
            if psycopg.AsyncPipeline.is_supported():  # by the libpq that is installed
                await stack.enter_async_context(self.connection.pipeline())
                stack.callback(setattr, self, "_is_quick", False)
                self._is_quick = True
            await stack.enter_async_context(self.connection.transaction())
            yield


class Link:
    """A connection to an address, opened when it is first used, and again when it broke.

    Args:
        settings: What the server is told for this connection, or, where there is a pooler
            between, for each transaction.
    """

    def __init__(self, address: Address, settings: Settings) -> None:
        """Open nothing yet."""
        self._address, self.settings = address, {**COMMON, **settings}
        self._connection: psycopg.AsyncConnection[Row] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that did not break, as far as we know."""
        return self._connection is not None and not self._connection.closed

    async def connection(self) -> psycopg.AsyncConnection[Row]:
        """The connection."""
        if self._connection is None or self._connection.closed:
            await self.close()
            self._connection = await self._connected()
        return self._connection

    async def close(self) -> None:
        """Close it; a link may be used again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> psycopg.AsyncConnection[Row]:
        connection = await psycopg.AsyncConnection.connect(
            **self._address.connection, autocommit=True, prepare_threshold=_prepare(self._address)
        )
        if not self._address.is_pooled:
            try:
                await apply(connection, self.settings, is_local=False)
            except BaseException:
                await connection.close()
                raise
        return connection


class ThreadLink:
    """A connection for threads, one call at a time: the event loop may be blocked meanwhile."""

    def __init__(self, address: Address, settings: Settings) -> None:
        """Open nothing yet."""
        self._address, self._settings = address, {**COMMON, **settings}
        self._connection: psycopg.Connection[Row] | None = None
        self._lock = threading.Lock()

    def rows(self, sql: bytes, values: Mapping[str, Any]) -> list[Row]:
        """What a statement answers; it may be repeated, if the connection broke.

        Raises:
            StoreUnavailable: if the server does not answer.
        """
        with self._lock:
            try:
                was_open = self._connection is not None
                try:
                    return self._answer(sql, values)
                except LOST:
                    if not was_open or not self._is_broken:
                        raise
                    return self._answer(sql, values)
            except psycopg.Error as error:
                raise translated(error, self._address.shown) from error

    def close(self) -> None:
        """Close it; it may be used again."""
        with self._lock:
            self._close()

    def _answer(self, sql: bytes, values: Mapping[str, Any]) -> list[Row]:
        if self._connection is None or self._connection.closed:
            self._close()
            self._connection = psycopg.connect(
                **self._address.connection, autocommit=True,
                prepare_threshold=_prepare(self._address),
            )  # fmt: skip  # a call
        with self._connection.transaction():
            self._connection.execute(_setting(is_local=True), _lists(self._settings))
            return self._connection.execute(sql, values).fetchall()

    @property
    def _is_broken(self) -> bool:
        return self._connection is None or self._connection.closed

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


async def apply(
    connection: psycopg.AsyncConnection[Row], settings: Settings, *, is_local: bool
) -> None:
    """Set the server's parameters, for this session or for this transaction."""
    await connection.execute(_setting(is_local=is_local), _lists(settings))


@cache
def qualified(sql: str, schema: str) -> bytes:
    """The statement, with the schema before the names of our tables."""
    quoted = '"{}".'.format(schema.replace('"', '""').replace("%", "%%"))
    return re.sub(TABLE, lambda found: quoted + found[1], sql).encode()


def _prepare(address: Address) -> int | None:
    return None if address.is_pooled else 0  # from the first time on; or never


def _setting(*, is_local: bool) -> bytes:
    return SET.format("true" if is_local else "false").encode()


def _lists(settings: Settings) -> tuple[list[str], list[str]]:
    return list(settings), list(settings.values())

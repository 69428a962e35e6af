"""A FastAPI application with Errands, and a database of its own, to be looked at from outside."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import CancelScope
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message, Send

import errands as face
from errands import Errands, Job, State
from errands.fastapi import BackgroundTasks, setup_errands
from errands.stores.memory import MemoryStore
from errands.testing import drain

if TYPE_CHECKING:
    from httpx2 import Response


class Site:
    """An application, and notes of what its tasks did.

    Args:
        has_lifespan: Whether `get` starts the application first, or is all that it sees.
    """

    def __init__(self, errands: Errands, *, has_lifespan: bool = False) -> None:
        self.app, self.errands, self.ran = FastAPI(), errands, list[str]()
        self.has_lifespan = has_lifespan
        setup_errands(self.app, errands)
        ran = self.ran

        @errands.task(name="durable")
        def durable(word: str) -> None:
            ran.append(f"durable {word}")

        self.durable = durable

    def local(self, word: str) -> None:
        """A local task."""
        self.ran.append(f"local {word}")

    async def async_local(self, word: str) -> None:
        """A local task."""
        await asyncio.sleep(0)
        self.ran.append(f"local {word}")

    def get(self, path: str, **options: Any) -> "Response":
        """The answer to one request, once all that it left in the background has ended."""
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> "Response":
        client = TestClient(self.app, raise_server_exceptions=False, follow_redirects=False)
        if not self.has_lifespan:
            return client.request(method, path, **options)
        with client:
            response = client.request(method, path, **options)
            assert client.portal is not None
            client.portal.call(drain, self.errands)
        return response

    def states(self) -> list[State]:
        """Of all the jobs in the store, oldest first."""
        return [job.state for job in self.jobs()]

    def jobs(self) -> list[Job]:
        """All the jobs in the store, oldest first."""

        async def look() -> list[Job]:
            async with self.errands:
                return (await self.errands.jobs())[::-1]

        return asyncio.run(look())


class Shop:
    """A real database whose `transaction` is a dependency: it commits, or rolls back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seen: list[str] = []
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("create table orders (name text)")
            connection.commit()

    def transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, check_same_thread=False)) as connection:
            try:
                yield connection
                connection.commit()
                self.seen.append("commit")
            except BaseException:
                connection.rollback()
                self.seen.append("rollback")
                raise

    def orders(self) -> list[str]:
        with closing(sqlite3.connect(self._path)) as connection:
            return [name for (name,) in connection.execute("select name from orders")]


def order(connection: sqlite3.Connection, name: str) -> None:
    """What a handler writes in the transaction."""
    connection.execute("insert into orders values (?)", (name,))


class Slow(MemoryStore):
    """A store whose answer to an addition can be held up: the rows are there before it."""

    def __init__(self) -> None:
        super().__init__()
        self.has_added, self.go = asyncio.Event(), asyncio.Event()

    async def add(self, *args: Any, **kwargs: Any) -> list[Job]:
        kept = await super().add(*args, **kwargs)
        self.has_added.set()
        await self.go.wait()
        return kept


async def cancelled_while_it_stores(
    store: Slow, connection: Coroutine[Any, Any, object], *, by: str
) -> None:
    """Cancel a connection while the store adds its jobs, and wait for its end.

    Args:
        by: `asyncio`, which cancels once, or `anyio`, which cancels each `await` anew.
    """
    scope = CancelScope()

    async def serve() -> None:
        with scope:
            await connection

    serving = asyncio.create_task(serve())
    await store.has_added.wait()
    if by == "anyio":
        scope.cancel()
    else:
        serving.cancel()
    for _ in range(5):  # it arrives in one of the next turns of the loop
        await asyncio.sleep(0)
    store.go.set()
    await asyncio.wait([serving])


def boom() -> None:
    """What every failing task does."""
    raise OSError("smtp is down")


def handler_of(
    work: Callable[[face.BackgroundTasks], object], *, is_async: bool
) -> Callable[..., Any]:
    """A handler or a dependency that does this work, in the loop or in a thread."""

    async def async_handler(background: BackgroundTasks) -> None:
        work(background)

    def handler(background: BackgroundTasks) -> None:
        work(background)

    return async_handler if is_async else handler


async def call(app: ASGIApp, path: str, send: Send) -> None:
    """One GET request without a client, so that each message can be looked at."""
    await _connect(app, path, "http", [{"type": "http.request", "body": b""}], send)


async def converse(app: ASGIApp, path: str, words: list[str]) -> list[Message]:
    """Say some words to a WebSocket and leave, without a client that cancels it then.

    Returns:
        What it sent.
    """
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    messages: list[dict[str, Any]] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": word} for word in words),
        {"type": "websocket.disconnect", "code": 1001},
    ]
    await _connect(app, path, "websocket", messages, send)
    return sent


async def _connect(
    app: ASGIApp, path: str, kind: str, messages: list[dict[str, Any]], send: Send
) -> None:
    scope: dict[str, Any] = {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [], "http_version": "1.1", "scheme": "http", "subprotocols": [],
        "server": ("test", 80), "client": ("test", 1), "state": {},
    }  # fmt: skip

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        return await asyncio.Future()  # nobody says more

    await app(scope, receive, send)

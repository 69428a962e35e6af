"""Drives ASGI applications by hand, in the event loop of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from errands.asgi import App, Message, Scope


@asynccontextmanager
async def alive(app: App) -> AsyncIterator[list[str]]:
    """Take an application through its lifespan; yields the types of what it answers.

    Raises:
        RuntimeError: if it says that its start-up or its shutdown failed.
    """
    asked: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    told: list[str] = []
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(_run(app(scope, asked.get, answers.put)), name="lifespan")

    async def ask(kind: str) -> None:
        await asked.put({"type": kind})
        answer = asyncio.create_task(answers.get())
        await asyncio.wait([answer, task], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if answer.done():
            told.append(answer.result()["type"])
        else:
            answer.cancel()
        if not told or told[-1] != f"{kind}.complete":
            await asyncio.wait([task], timeout=5)
            if task.done():
                task.result()
            raise RuntimeError(f"{kind} was answered with {told}")

    try:
        await ask("lifespan.startup")
        yield told
        await ask("lifespan.shutdown")
        await asyncio.wait_for(task, 5)
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def visiting(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that is alive."""
    async with alive(app), browser(app) as client:
        yield client


def browser(app: App) -> httpx.AsyncClient:
    """A client of an application that sees no lifespan; what the application raises is hidden."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://errands.test")


class Peer:
    """The other end of one HTTP connection, message by message.

    Args:
        spec: The version of the ASGI specification that its server follows: from 2.4 on,
            sending to a client that is gone raises.
        watch: Told about each message before it is sent.
    """

    def __init__(
        self, spec: str = "2.3", watch: Callable[[Message], Awaitable[None]] | None = None
    ) -> None:
        """Be there, and have sent nothing."""
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self._spec, self._watch = spec, watch
        self._requests: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    @property
    def status(self) -> int | None:
        """That of the response, once it started."""
        return self.sent[0]["status"] if self.sent else None

    async def get(self, app: App, path: str = "/", **more: Any) -> None:
        """Ask for a path; ends when the application returns."""
        scope: Scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": self._spec},
            "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip  # a table
        await app({**scope, **more}, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._watch is not None:
            await self._watch(message)
        if self.gone.is_set() and tuple(map(int, self._spec.split("."))) >= (2, 4):
            raise OSError("the client is gone")
        self.sent.append(message)


async def _run(awaitable: Awaitable[None]) -> None:
    await awaitable

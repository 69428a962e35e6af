"""One request, or one WebSocket: its tasks are stored before it is answered, or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .. import BackgroundTasks
from ..errors import QueueFull

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Failed = Callable[[int, BaseException | None], bool]

STARTS = ("http.response.start", "websocket.http.response.start")
REPLIES = ("websocket.send", "websocket.accept", "websocket.close")


class Exchange:
    """What is said between the server and the application, and what that means for the tasks.

    Args:
        app: The application inside.
        background: What the request hands to the background.
        has_failed: Whether a response of this status, made while this error was being handled,
            means that what was added is dropped.
    """

    __slots__ = (
        "_app", "_background", "_has_failed", "_has_started", "_receive", "_releasing", "_scope",
        "_send",
    )  # fmt: skip  # a row

    def __init__(
        self,
        app: App,
        background: BackgroundTasks,
        has_failed: Failed,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Nothing has been said yet."""
        self._app, self._background, self._has_failed = app, background, has_failed
        self._scope, self._receive, self._send = scope, receive, send
        self._has_started = False
        self._releasing: asyncio.Future[Any] | None = None

    async def run(self, *, wait: bool) -> None:
        """Serve it; with `wait`, return when its tasks have ended, too."""
        background = self._background
        self._scope["errands"] = background
        token = background.enter()
        try:
            await self._app(self._scope, self._receive_next, self._send_checked)
        except BaseException as error:
            if not self._has_started:
                await self._drop()
            if not isinstance(error, QueueFull) or self._has_started:
                raise
            await self._answer_busy()
        finally:
            background.leave(token)
            if wait or self._releasing is not None or background.is_unstored:
                await self._close(wait)
            else:
                background.end()

    async def _send_checked(self, message: Message) -> None:
        kind = message["type"]
        if kind in STARTS and not self._has_started:
            if self._has_failed(message["status"], self._background.failure()):
                await self._drop()
            if self._background.is_unstored:
                await self._background.flush()  # an error here leaves nothing promised
            await self._send(message)
            self._has_started = True
            return
        if kind == "http.response.body":
            if self._background.is_unstored:
                await self._background.flush()
        elif kind in REPLIES:
            await self._turn()
            await self._released()
        await self._send(message)

    async def _receive_next(self) -> Message:
        if self._scope["type"] == "websocket":  # the handler of the message before has returned
            await self._turn()
            self._background.forget_compensation()
        return await self._receive()

    async def _turn(self) -> None:
        """A WebSocket's handler answers, or asks for more: what it added may start."""
        await self._released()
        if self._background.is_empty:
            return
        if self._background.failure() is not None:
            await self._drop()
        self._releasing = asyncio.ensure_future(self._background.release())

    async def _released(self) -> None:
        """What an earlier turn added is stored."""
        releasing, self._releasing = self._releasing, None
        if releasing is not None:
            await releasing

    async def _drop(self) -> None:
        await self._released()
        await self._background.drop()

    async def _close(self, wait: bool) -> None:
        try:
            await self._released()
        finally:
            await self._background.close(wait=wait)

    async def _answer_busy(self) -> None:
        body = b"Too much is waiting in the background. Try again soon."
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"5")]
        headers.append((b"content-length", str(len(body)).encode()))
        if self._scope["type"] == "http":
            await self._send({"type": "http.response.start", "status": 503, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})
        else:
            await self._send({"type": "websocket.close", "code": 1013})

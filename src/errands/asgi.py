"""Errands in any ASGI application: one middleware for requests, WebSockets and the lifespan.

It belongs innermost, so that the framework handles a handler's exception inside it: there
`sys.exc_info()` tells an error response that was raised from one that was returned.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

from . import BackgroundTasks, Door, Errands
from .errors import QueueFull, SetupError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Failed = Callable[[int, BaseException | None], bool]
Check = Callable[[Any], Iterable[str]]

STARTS = ("http.response.start", "websocket.http.response.start")
REPLIES = ("websocket.send", "websocket.accept", "websocket.close")


def raised(status: int, error: BaseException | None) -> bool:
    """Whether the handler raised: its exception is being handled while the response starts.

    Exact in Starlette, FastAPI, FastHTML and Litestar. A framework that answers from outside
    its `except` block, such as Quart or Django, needs `lambda status, error: status >= 400`.
    """
    return error is not None


class ErrandsMiddleware:
    """Gives each request its background tasks, and stores them before the response starts.

    Args:
        app: The application inside.
        errands: What keeps and runs the tasks; opened and closed with the lifespan.
        work: Whether this process also runs jobs, and not only adds them.
        failed: Whether a response of this status, made while this error was being handled,
            means that the request failed, so that what it added is dropped.
        check: Looks at the application at its start, and yields what is to be warned about.
        door: How the application answers, as `wait_or_202` needs to know.
    """

    def __init__(
        self,
        app: App,
        errands: Errands,
        *,
        work: bool = True,
        failed: Failed = raised,
        check: Check | None = None,
        door: Door | None = None,
    ) -> None:
        """Open nothing yet."""
        self.app, self.errands, self.door = app, errands, door
        self._is_ready = door is None
        self._work, self._failed, self._check = work, failed, check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] in ("http", "websocket") and "errands" not in scope:
            if self.errands.is_open_for_long:
                if not self._is_ready:  # opened by somebody else, without a lifespan
                    await self._be_ready()
                await _Exchange(self, scope, receive, send).run(wait=False)
                return
            # alone: no lifespan was seen, so that tasks run inline, as Starlette's do
            async with self.errands.aside() as alone:
                if not self._is_ready:
                    await self._be_ready()
                await _Exchange(self, scope, receive, send).run(wait=alone)
        else:  # an outer middleware of ours has this request in hand
            if self.door is not None and "errands" in scope and self.errands.is_open:
                if not self._is_ready:
                    await self._be_ready()
                scope["errands"].enter_door(scope, self.door)
            await self.app(scope, receive, send)

    def has_failed(self, status: int, error: BaseException | None) -> bool:
        """Whether what the request added is to be dropped."""
        return self._failed(status, error)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open after the application's own start-up, close before its own shutdown."""
        async with AsyncExitStack() as stack:
            asked: list[str] = []

            async def receive_first() -> Message:
                message = await receive()
                asked.append(message["type"])
                if message["type"] == "lifespan.shutdown":
                    await stack.aclose()
                return message

            async def send_last(message: Message) -> None:
                if message["type"] == "lifespan.startup.complete":
                    self._warn(scope.get("app"))
                    await stack.enter_async_context(self._open())
                    await self._be_ready()
                await send(message)

            try:
                await self.app(scope, receive_first, send_last)
            except Exception:
                if asked:
                    raise
            if not asked:  # the application knows no lifespan: answer for it
                while (await receive_first())["type"] != "lifespan.shutdown":
                    await send_last({"type": "lifespan.startup.complete"})
                await send({"type": "lifespan.shutdown.complete"})

    async def _be_ready(self) -> None:
        if self.door is not None:
            await self.door.open()
        self._is_ready = True

    def _open(self) -> Any:
        return self.errands.working() if self._work else self.errands

    def _warn(self, app: Any) -> None:
        for warning in (*_misplaced(app), *(self._check(app) if self._check else ())):
            warnings.warn(warning, RuntimeWarning, stacklevel=2)


class _Exchange:
    """One request, or one WebSocket, and its background tasks."""

    __slots__ = (
        "_background", "_has_started", "_middleware", "_receive", "_releasing", "_scope", "_send"
    )  # fmt: skip  # a row

    def __init__(
        self, middleware: ErrandsMiddleware, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._middleware, self._scope = middleware, scope
        self._receive, self._send = receive, send
        self._background: BackgroundTasks = middleware.errands.background(scope, middleware.door)
        self._has_started = False
        self._releasing: asyncio.Future[Any] | None = None

    async def run(self, *, wait: bool) -> None:
        background = self._background
        self._scope["errands"] = background
        token = background.enter()
        try:
            await self._middleware.app(self._scope, self._receive_next, self._send_checked)
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
            if self._middleware.has_failed(message["status"], self._background.failure()):
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


def setup_errands(
    app: Any,
    errands: Errands,
    *,
    work: bool = True,
    failed: Failed = raised,
    check: Check | None = None,
    door: Door | None = None,
) -> None:
    """Install Errands in a Starlette, FastAPI or FastHTML application.

    Args:
        app: The application; also found as `app.state.errands` from now on: its `errands`.
        work: Whether this process also runs jobs; `False` leaves them to other processes.
        failed: See `ErrandsMiddleware`.
        check: See `ErrandsMiddleware`.
        door: See `ErrandsMiddleware`.

    Raises:
        SetupError: if it was done before, or the application has started.
    """
    if not hasattr(app, "user_middleware"):
        raise SetupError(
            f"{app!r} is no Starlette, FastAPI or FastHTML application; "
            "wrap any other one: app = ErrandsMiddleware(app, errands)"
        )
    if any(entry.cls is ErrandsMiddleware for entry in app.user_middleware):
        raise SetupError("setup_errands was called for this application before; once is enough")
    if app.middleware_stack is not None:
        raise SetupError("the application has started: call setup_errands before it serves")
    app.add_middleware(
        ErrandsMiddleware, errands=errands, work=work, failed=failed, check=check, door=door
    )  # fmt: skip  # a call
    app.user_middleware.append(app.user_middleware.pop(0))  # innermost
    app.state.errands = errands


def _misplaced(app: Any) -> Iterator[str]:
    """Middleware between us and the handlers that hides whether they raised."""
    entries = list(getattr(app, "user_middleware", ()))
    ours = next((i for i, entry in enumerate(entries) if entry.cls is ErrandsMiddleware), None)
    if ours is not None:
        yield from (
            _hidden(entry.cls, "inside of ErrandsMiddleware")
            for entry in entries[ours + 1 :]
            if _hides(entry.cls)
        )
    yield from _misplaced_below(app, "")


def _misplaced_below(app: Any, prefix: str) -> Iterator[str]:
    """What routes and mounted applications bring along."""
    for route in getattr(app, "routes", None) or ():
        path = prefix + getattr(route, "path", "")
        child = getattr(route, "app", None)
        while child is not None:  # each middleware of a route wraps the next as its `app`
            if _hides(type(child)):
                yield _hidden(type(child), f"at {path!r}")
            for entry in getattr(child, "user_middleware", ()):
                if _hides(entry.cls):
                    yield _hidden(entry.cls, f"in the application at {path!r}")
            yield from _misplaced_below(child, path)
            child = getattr(child, "app", None)


def _hidden(middleware: type, where: str) -> str:
    return (
        f"{middleware.__name__} is a BaseHTTPMiddleware {where}, between ErrandsMiddleware and the "
        "handlers: tasks of handlers that raise will be kept. Add it with app.add_middleware."
    )


def _hides(middleware: Any) -> bool:
    kinds = getattr(middleware, "__mro__", ())
    return any(k.__module__ == "starlette.middleware.base" for k in kinds)

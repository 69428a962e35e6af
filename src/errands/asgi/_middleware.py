"""The middleware: has each request served with its background tasks, and the lifespan heeded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

from .. import Door, Errands
from ._exchange import App, Exchange, Failed, Message, Receive, Scope, Send
from ._misplaced import misplaced

Check = Callable[[Any], Iterable[str]]


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
                background = self.errands.background(scope, self.door)
                exchange = Exchange(self.app, background, self.has_failed, scope, receive, send)
                await exchange.run(wait=False)
                return
            # alone: no lifespan was seen, so that tasks run inline, as Starlette's do
            async with self.errands.aside() as alone:
                if not self._is_ready:
                    await self._be_ready()
                background = self.errands.background(scope, self.door)
                exchange = Exchange(self.app, background, self.has_failed, scope, receive, send)
                await exchange.run(wait=alone)
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
        for warning in (
            *misplaced(app, ErrandsMiddleware),
            *(self._check(app) if self._check else ()),
        ):
            warnings.warn(warning, RuntimeWarning, stacklevel=2)

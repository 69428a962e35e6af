"""A Starlette application with Errands, and a browser that visits it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgi_driver import visiting
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.websockets import WebSocket

from errands import Declared, Errands
from errands.starlette import BackgroundTasks, setup_errands
from errands.testing import drain

Keep = Declared[[str], None]
Endpoint = Callable[[Request], Awaitable[Response]]

OK = PlainTextResponse


class Teapot(Exception):
    """Has a handler of its own in the application."""


def site(errands: Errands, *endpoints: Any, **options: Any) -> Starlette:
    """An application; an endpoint that is no route answers at `/`."""
    routes = [e if isinstance(e, BaseRoute) else Route("/", e) for e in endpoints]
    app = Starlette(routes=routes, **options)
    setup_errands(app, errands)
    return app


async def visit(app: Starlette, method: str = "GET", path: str = "/") -> int:
    """Ask the application for one page, wait for the background, and say the status."""
    async with visiting(app) as client:
        response = await client.request(method, path)
        await drain(app.state.errands)
    return response.status_code


def bag(request: Request | WebSocket) -> BackgroundTasks:
    """Shorter than what a user writes."""
    return BackgroundTasks.of(request)


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Let the loop turn until something is so."""
    try:
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise TimeoutError(f"waited 10 s in vain until {what}") from None


async def ok(request: Request) -> Response:
    """An endpoint that adds nothing."""
    return OK("x")

"""Other middleware of a Starlette application: what tasks see of it, and what it hides."""

from __future__ import annotations

import asyncio
import warnings
from contextvars import ContextVar
from typing import Any

import pytest
from asgi_driver import visiting
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette_site import OK, Keep, bag, ok, site, visit

from errands import Errands
from errands.starlette import BackgroundTasks
from errands.testing import drain

seen_by: ContextVar[str] = ContextVar("seen_by", default="nobody")


class Plain:
    """A middleware that is nothing but ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen_by.set("ASGI middleware")
        await self.app(scope, receive, send)


class Base(BaseHTTPMiddleware):
    """A middleware with a task boundary."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        seen_by.set("BaseHTTPMiddleware")
        return await call_next(request)


@pytest.mark.parametrize(
    ("middleware", "setter", "expected"),
    [
        ([Plain], None, "ASGI middleware"),
        ([Base], None, "BaseHTTPMiddleware"),
        ([], "async", "async handler"),
        ([], "sync", "sync handler"),
    ],
)
async def test_a_local_task_sees_the_context_it_was_added_in(
    errands: Errands, notes: list[str], middleware: list[Any], setter: str | None, expected: str
) -> None:
    """Whoever set it, on whichever thread; both colours of tasks."""

    def tell() -> None:
        notes.append(seen_by.get())

    async def tell_async() -> None:
        tell()

    def add(request: Request, by: str | None) -> Response:
        if by is not None:
            seen_by.set(by)
        bag(request).add_task(tell)
        bag(request).add_task(tell_async)
        return OK("x")

    async def endpoint(request: Request) -> Response:
        return add(request, "async handler" if setter else None)

    def sync_endpoint(request: Request) -> Response:
        return add(request, "sync handler")

    await visit(
        site(
            errands,
            sync_endpoint if setter == "sync" else endpoint,
            middleware=[Middleware(kind) for kind in middleware],
        )
    )

    assert [expected, expected] == notes


async def test_the_context_of_one_request_is_not_the_next_ones(
    errands: Errands, notes: list[str]
) -> None:
    """Two requests at once add to their own tasks, and see their own variables."""
    both = asyncio.Barrier(2)

    def tell(name: str) -> None:
        notes.append(f"{name} {seen_by.get()}")

    async def endpoint(request: Request) -> Response:
        name = request.path_params["name"]
        seen_by.set(name)
        await both.wait()
        BackgroundTasks.of().add_task(tell, name)
        await both.wait()
        if name == "bad":
            raise HTTPException(404)
        return OK("x")

    app = site(errands, Route("/{name}", endpoint))
    async with visiting(app) as client:
        answers = await asyncio.gather(client.get("/good"), client.get("/bad"))
        await drain(errands)

    assert [200, 404] == [answer.status_code for answer in answers]
    assert ["good good"] == notes


async def test_outside_of_us_a_base_http_middleware_does_no_harm(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """Given to the application or added later, it is outside: no warning, no wrong guess."""

    async def good(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return OK("x", 404)

    async def bad(request: Request) -> Response:
        bag(request).add_task(keep, "never")
        bag(request).add_task(notes.append, "never")
        raise HTTPException(404)

    app = site(errands, Route("/good", good), Route("/bad", bad), middleware=[Middleware(Base)])
    app.add_middleware(Base)
    async with visiting(app) as client:
        statuses = [(await client.get(path)).status_code for path in ("/good", "/bad")]
        await drain(errands)

    assert [404, 404] == statuses
    assert ["job", "local"] == sorted(notes)


async def test_inside_of_us_a_base_http_middleware_is_warned_about(errands: Errands) -> None:
    """At the start-up, by its name, and with what to do about it."""
    app = site(errands, ok)
    app.user_middleware.append(Middleware(Base))

    with pytest.warns(RuntimeWarning, match=r"Base is a BaseHTTPMiddleware inside"):
        assert 200 == await visit(app)


async def test_a_base_http_middleware_of_a_mounted_application_is_warned_about(
    errands: Errands,
) -> None:
    """It is inside, wherever it stands in the child; the path is named."""
    child = Starlette(routes=[Route("/", ok)], middleware=[Middleware(Base)])
    app = site(errands, Mount("/child", child))

    with pytest.warns(RuntimeWarning, match=r"Base .*'/child'"):
        assert 200 == await visit(app, path="/child/")


async def test_a_base_http_middleware_of_a_route_is_warned_about(errands: Errands) -> None:
    """`Route(middleware=…)` and `Mount(middleware=…)` stand inside of us, too."""
    inside = [Middleware(Base)]
    of_a_route = site(errands, Route("/route", ok, middleware=inside))
    of_a_mount = site(errands, Mount("/mount", routes=[Route("/", ok)], middleware=inside))

    with pytest.warns(RuntimeWarning, match=r"Base .*'/route'"):
        assert 200 == await visit(of_a_route, path="/route")
    with pytest.warns(RuntimeWarning, match=r"Base .*'/mount'"):
        assert 200 == await visit(of_a_mount, path="/mount/")


async def test_a_base_http_middleware_deep_inside_is_warned_about(errands: Errands) -> None:
    """In an application that is mounted in a mounted one."""
    grandchild = Starlette(routes=[Route("/", ok)], middleware=[Middleware(Base)])
    child = Starlette(routes=[Mount("/grandchild", grandchild)])
    app = site(errands, Mount("/child", child))

    with pytest.warns(RuntimeWarning, match=r"Base .*/grandchild"):
        assert 200 == await visit(app, path="/child/grandchild/")


async def test_other_middleware_is_not_warned_about(errands: Errands) -> None:
    """One that is nothing but ASGI hides nothing, wherever it stands."""
    app = site(errands, Route("/", ok, middleware=[Middleware(Plain)]))
    app.user_middleware.append(Middleware(Plain))
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert 200 == await visit(app)

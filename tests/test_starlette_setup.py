"""Errands is set up once in a Starlette application, and in those mounted in it."""

from __future__ import annotations

import pytest
from asgi_driver import Peer, alive, browser, visiting
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette_site import OK, Keep, bag, ok, site, visit

from errands import Errands, State
from errands.errors import SetupError
from errands.starlette import setup_errands
from errands.testing import drain


def test_errands_is_set_up_once(errands: Errands) -> None:
    """A second time is a mistake, and says so."""
    app = site(errands, ok)

    with pytest.raises(SetupError, match="once is enough"):
        setup_errands(app, errands)


async def test_errands_is_set_up_before_the_application_serves(errands: Errands) -> None:
    """Afterwards the middleware stack is built, and we would not be in it."""
    app = Starlette(routes=[Route("/", ok)])
    async with browser(app) as client:
        await client.get("/")

    with pytest.raises(SetupError, match="before it serves"):
        setup_errands(app, errands)


def test_what_is_no_application_of_starlette_is_refused(errands: Errands) -> None:
    """The message says how to wrap any other one."""
    with pytest.raises(SetupError, match="ErrandsMiddleware"):
        setup_errands(ok, errands)


async def test_a_mounted_application_uses_its_parents_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """Returned is kept, raised is dropped: also through the child's own error handling."""

    async def good(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return OK("x", 404)

    async def bad(request: Request) -> Response:
        bag(request).add_task(keep, "never")
        bag(request).add_task(notes.append, "never")
        raise HTTPException(404)

    child = Starlette(routes=[Route("/good", good), Route("/bad", bad)])
    app = site(errands, Mount("/child", child))
    async with visiting(app) as client:
        statuses = [(await client.get(f"/child/{p}")).status_code for p in ("good", "bad")]
        await drain(errands)

    assert [404, 404] == statuses
    assert ["job", "local"] == sorted(notes)


async def test_in_a_child_alone_the_tasks_end_with_the_request(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """A mounted application sees no lifespan, so that nobody else could run them."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return OK("x")

    child = site(errands, endpoint)
    peer = Peer()
    app = Starlette(routes=[Mount("/child", child)])
    async with alive(app):
        await peer.get(app, "/child/")
        in_time = sorted(notes)

    assert 200 == peer.status
    assert ["job", "local"] == in_time


async def test_of_parent_and_child_the_parent_keeps_the_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """With one `Errands` in both, each task runs once."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return OK("x")

    child = site(errands, endpoint)
    app = site(errands, Mount("/child", child))
    assert 200 == await visit(app, path="/child/")
    assert ["job", "local"] == sorted(notes)


async def test_of_two_errands_the_outer_one_keeps_the_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """The child's own store is not touched, nor is it missed."""
    inner = Errands("memory:")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        return OK("x")

    app = site(errands, Mount("/child", site(inner, endpoint)))
    async with visiting(app) as client:
        await client.get("/child/")
        await drain(errands)
        [job] = await errands.jobs()
    async with inner:
        inner_jobs = await inner.jobs()

    assert ["job"] == notes
    assert State.DONE is job.state
    assert [] == inner_jobs

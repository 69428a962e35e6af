"""A Starlette application with a lifespan, and without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from asgi_driver import alive, browser, visiting
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette_site import OK, Keep, Teapot, bag, ok, site, visit

from errands import Errands
from errands.errors import StoreUnavailable
from errands.testing import drain


def test_a_bare_test_client_runs_tasks_before_it_answers(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """As it does with Starlette's own: what the request did can be asserted at once."""

    async def slow() -> None:
        await asyncio.sleep(0.01)
        notes.append("local")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(slow)
        bag(request).add_task(keep, "job")
        return OK("x")

    client = TestClient(site(errands, endpoint))
    for times in (1, 2):
        assert 200 == client.get("/").status_code
        assert sorted(["job", "local"] * times) == sorted(notes)


def test_a_bare_test_client_runs_jobs_that_a_handler_added_itself(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """`errands.add_task` works in a request that saw no lifespan."""

    async def endpoint(request: Request) -> Response:
        await errands.add_task(keep, "job")
        return OK("x")

    assert 200 == TestClient(site(errands, endpoint)).get("/").status_code
    assert ["job"] == notes


def test_a_bare_test_client_drops_what_a_raising_handler_added(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """And shows the exception, as ever."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "never")
        bag(request).add_task(notes.append, "never")
        raise Teapot

    with pytest.raises(Teapot):
        TestClient(site(errands, endpoint)).get("/")

    assert [] == notes


def test_a_test_client_with_a_lifespan_ends_tasks_at_its_end(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """In between, `client.portal.call(drain, errands)` waits for them."""
    go_on = threading.Event()

    def wait() -> None:
        assert go_on.wait(10)
        notes.append("local")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(wait)
        return OK("x")

    with TestClient(site(errands, endpoint)) as client:
        assert 200 == client.get("/").status_code
        assert "local" not in notes
        go_on.set()
        assert client.portal is not None
        client.portal.call(drain, errands)
        assert ["job", "local"] == sorted(notes)
        client.get("/")

    assert ["job", "job", "local", "local"] == sorted(notes)


async def test_two_requests_at_once_without_a_lifespan_both_run_their_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """The second finds the store opened by the first, which may close it before the end."""
    both = asyncio.Barrier(2)

    async def endpoint(request: Request) -> Response:
        await both.wait()
        if request.path_params["name"] == "b":
            for _ in range(50):
                await asyncio.sleep(0.001)  # the other's is over by then
        bag(request).add_task(keep, f"job {request.path_params['name']}")
        bag(request).add_task(notes.append, f"local {request.path_params['name']}")
        return OK("x")

    app = site(errands, Route("/{name}", endpoint))
    async with browser(app) as client:
        answers = await asyncio.gather(client.get("/a"), client.get("/b"))
        ran = sorted(notes)

    assert [200, 200] == [answer.status_code for answer in answers]
    assert ["job a", "job b", "local a", "local b"] == ran
    assert not errands.is_open


async def test_the_queue_lives_inside_the_applications_own_lifespan(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """User up, queue open, serving, queue drained, user down."""
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()
        notes.append("local task ends")

    @errands.task(name="wait")
    async def wait_too() -> None:
        await go_on.wait()
        notes.append("job ends")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        notes.append(f"up, {errands.is_open}")
        yield
        notes.append(f"down, {errands.is_open}")

    async def endpoint(request: Request) -> Response:
        notes.append(f"serving, {errands.is_open}")
        bag(request).add_task(wait)
        bag(request).add_task(wait_too)
        return OK("x")

    async with visiting(site(errands, endpoint, lifespan=lifespan)) as client:
        await client.get("/")
        asyncio.get_running_loop().call_later(0.02, go_on.set)

    assert ["up, False", "serving, True"] == notes[:2]
    assert ["job ends", "local task ends"] == sorted(notes[2:4])
    assert ["down, False"] == notes[4:]


async def test_state_of_the_lifespan_reaches_the_handlers(
    errands: Errands, notes: list[str]
) -> None:
    """What the user's lifespan yields is where Starlette puts it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"pool": "the pool"}

    async def endpoint(request: Request) -> Response:
        notes.append(request.state.pool)
        notes.append(str(request.app.state.errands is errands))
        return OK("x")

    with TestClient(site(errands, endpoint, lifespan=lifespan)) as client:
        assert 200 == client.get("/").status_code
    assert ["the pool", "True"] == notes


async def test_an_application_may_start_twice(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """One after the other, with the same `Errands`."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        return OK("x")

    app = site(errands, endpoint)
    assert [200, 200] == [await visit(app), await visit(app)]
    assert ["job", "job"] == notes


async def test_a_store_that_cannot_be_opened_fails_the_start_up(tmp_path: Path) -> None:
    """The server hears of it, and serves nothing."""
    errands = Errands(f"sqlite:///{tmp_path}/missing/errands.db")

    with pytest.raises(StoreUnavailable, match="missing"):
        async with alive(site(errands, ok)):
            pytest.fail("the application started")
    assert not errands.is_open

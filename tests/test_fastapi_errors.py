"""What becomes of the background tasks of a FastAPI handler that raises."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, HTTPException, Request
from fastapi.responses import (
    JSONResponse,
)
from fastapi_site import Shop, Site, boom, handler_of, order

import errands as face
from errands import Errands, State
from errands.fastapi import BackgroundTasks
from errands.testing import drain

DONE = State.DONE


@pytest.fixture(params=["bare", "lifespan"])
def site(request: pytest.FixtureRequest, errands: Errands) -> Site:
    """An application; once as a bare `TestClient` sees it, and once that was started."""
    return Site(errands, has_lifespan=request.param == "lifespan")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


# Whether the handler raised


def raises_http() -> None:
    raise HTTPException(409, headers={"X-Why": "taken"})


def raises_another() -> None:
    raise KeyError("nobody expected this")


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize(("fall", "status"), [(raises_http, 409), (raises_another, 500)])
def test_a_handler_that_raises_drops_what_it_added(
    site: Site, shop: Shop, fall: Callable[[], None], status: int, is_async: bool
) -> None:
    """Tasks of both kinds, its own and its dependencies', as its transaction is rolled back."""

    async def dependency(
        background: BackgroundTasks,
        connection: Annotated[sqlite3.Connection, Depends(shop.transaction)],
    ) -> None:
        order(connection, "cake")
        background.add_task(site.local, "of the dependency")
        background.add_task(site.durable, "of the dependency")

    def work(background: face.BackgroundTasks) -> None:
        background.add_task(site.local, "of the handler")
        background.add_task(site.durable, "of the handler")
        fall()

    route = site.app.get("/", dependencies=[Depends(dependency)])
    route(handler_of(work, is_async=is_async))

    assert status == site.get("/").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)
    assert (["rollback"], []) == (shop.seen, shop.orders())


def test_a_request_that_is_not_valid_drops_what_its_dependencies_added(site: Site) -> None:
    """FastAPI calls the dependencies although it will answer 422."""
    called: list[str] = []

    def dependency(background: BackgroundTasks) -> None:
        called.append("dependency")
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")

    @site.app.get("/", dependencies=[Depends(dependency)])
    def handler(number: int) -> None:
        called.append("handler")

    assert 422 == site.get("/?number=x").status_code
    assert (["dependency"], [], [], 0) == (called, site.ran, site.jobs(), site.errands.pending)
    assert 200 == site.get("/?number=1").status_code
    assert ["durable bad", "local bad"] == sorted(site.ran)


def test_a_dependency_that_raises_drops_what_others_added(site: Site) -> None:
    """Such as one that checks who is asking, after one that counts the visits."""
    called: list[str] = []

    async def counts(background: BackgroundTasks) -> None:
        called.append("counts")
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")

    def refuses() -> None:
        called.append("refuses")
        raise HTTPException(401)

    @site.app.get("/", dependencies=[Depends(counts), Depends(refuses)])
    def handler(background: BackgroundTasks) -> None:
        called.append("handler")

    assert 401 == site.get("/").status_code
    assert (["counts", "refuses"], [], []) == (called, site.ran, site.jobs())
    assert 0 == site.errands.pending


def test_an_answer_that_is_not_valid_drops_what_was_added(site: Site) -> None:
    """The handler returned, and yet the client gets a 500."""

    @site.app.get("/", response_model=int)
    def handler(background: BackgroundTasks) -> str:
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")
        return "no number"

    assert 500 == site.get("/").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
def test_an_error_that_is_returned_keeps_what_was_added(site: Site, status: int) -> None:
    """Only the handler knows what it means by it."""

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> JSONResponse:
        background.add_task(site.local, "kept")
        background.add_task(site.durable, "kept")
        return JSONResponse({}, status_code=status)

    assert status == site.get("/").status_code
    assert ["durable kept", "local kept"] == sorted(site.ran)
    assert [DONE] == site.states()


def test_an_error_that_is_returned_from_an_except_block_keeps_all(site: Site) -> None:
    """The handler has dealt with the exception: it did not raise."""

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> JSONResponse:
        background.add_task(site.durable, "before")
        try:
            boom()
        except OSError:
            background.add_task(site.local, "inside")
            return JSONResponse({}, status_code=502)
        return JSONResponse({})

    assert 502 == site.get("/").status_code
    assert ["durable before", "local inside"] == sorted(site.ran)


def test_requests_at_once_keep_and_drop_each_their_own(errands: Errands) -> None:
    """One raises while the other is in the middle of its handler."""
    site = Site(errands)
    met = asyncio.Barrier(2)

    @site.app.get("/{fate}")
    async def handler(background: BackgroundTasks, fate: str) -> None:
        background.add_task(site.local, fate)
        background.add_task(site.durable, fate)
        async with asyncio.timeout(10):
            await met.wait()
        if fate == "bad":
            raise HTTPException(409)

    async def both() -> list[int]:
        transport = httpx.ASGITransport(app=site.app)
        async with (
            errands.working(),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            answers = await asyncio.gather(client.get("/good"), client.get("/bad"))
            await drain(errands)
        return [answer.status_code for answer in answers]

    assert [200, 409] == asyncio.run(both())
    assert ["durable good", "local good"] == sorted(site.ran)
    assert [DONE] == site.states()


# Compensation


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_what_is_added_in_an_except_block_is_kept_although_the_handler_raises(
    site: Site, is_async: bool
) -> None:
    """What was added before is dropped. Both kinds of tasks."""

    def work(background: face.BackgroundTasks) -> None:
        background.add_task(site.local, "before")
        background.add_task(site.durable, "before")
        try:
            boom()
        except OSError as error:
            background.add_task(site.local, "tell")
            background.add_task(site.durable, "tell")
            raise HTTPException(502) from error

    site.app.get("/")(handler_of(work, is_async=is_async))

    assert 502 == site.get("/").status_code
    assert ["durable tell", "local tell"] == sorted(site.ran)
    assert ([DONE], 0) == (site.states(), site.errands.pending)


def test_what_is_added_in_an_except_block_is_kept_although_nobody_handles_the_error(
    site: Site,
) -> None:
    """The same with an exception that becomes a 500 outside of the application's routes."""

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "before")
        try:
            boom()
        except OSError:
            background.add_task(site.local, "tell")
            background.add_task(site.durable, "tell")
            raise

    assert 500 == site.get("/").status_code
    assert ["durable tell", "local tell"] == sorted(site.ran)
    assert [DONE] == site.states()


def test_a_dependency_may_add_in_its_except_block(site: Site) -> None:
    """It sees the handler's exception at its `yield`, and passes it on."""

    def watchful(background: BackgroundTasks) -> Iterator[None]:
        try:
            yield
        except HTTPException as error:
            background.add_task(site.local, f"saw {error.status_code}")
            background.add_task(site.durable, f"saw {error.status_code}")
            raise

    @site.app.get("/", dependencies=[Depends(watchful)])
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "bad")
        raise HTTPException(404)

    assert 404 == site.get("/").status_code
    assert ["durable saw 404", "local saw 404"] == sorted(site.ran)


@pytest.mark.parametrize(
    ("fate", "status", "expected"),
    [
        ("returns", 200, ["local done"]),
        ("http", 409, ["durable sorry", "local sorry"]),
        ("other", 500, ["durable sorry", "local sorry"]),
    ],
)
def test_on_error_is_for_a_handler_that_raises(
    site: Site, fate: str, status: int, expected: list[str]
) -> None:
    """And for no other; nothing of it is left behind then."""

    @site.app.get("/{fate}")
    def handler(background: BackgroundTasks, fate: str) -> None:
        background.on_error(site.local, "sorry")
        background.on_error(site.durable, "sorry")
        background.add_task(site.local, "done")
        if fate != "returns":
            raises_http() if fate == "http" else raises_another()

    assert status == site.get(f"/{fate}").status_code
    assert expected == sorted(site.ran)
    assert [DONE] * (fate != "returns") == site.states()
    assert 0 == site.errands.pending


def test_on_error_is_not_for_an_error_that_is_returned(site: Site) -> None:
    """Returned means meant."""

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> JSONResponse:
        background.on_error(site.local, "sorry")
        return JSONResponse({}, status_code=500)

    assert 500 == site.get("/").status_code
    assert ([], 0) == (site.ran, site.errands.pending)


# Exception handlers


class Sold(Exception):
    """An exception of the application's own."""


@pytest.mark.parametrize("status", [200, 409])
def test_an_exception_with_a_handler_of_its_own_drops_what_was_added(
    site: Site, status: int
) -> None:
    """Whatever status the exception handler answers with: the handler raised."""

    @site.app.exception_handler(Sold)
    async def sold(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({}, status_code=status)

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")
        raise Sold

    assert status == site.get("/").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_what_an_exception_handler_adds_is_kept(site: Site, is_async: bool) -> None:
    """It adds while the exception is being handled, in the loop or in a thread."""

    def tell(request: Request, error: Exception) -> JSONResponse:
        face.BackgroundTasks.of(request).add_task(site.local, "tell")
        face.BackgroundTasks.of(request).add_task(site.durable, "tell")
        return JSONResponse({}, status_code=409)

    async def async_tell(request: Request, error: Exception) -> JSONResponse:
        return tell(request, error)

    site.app.add_exception_handler(Sold, async_tell if is_async else tell)

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")
        raise Sold

    assert 409 == site.get("/").status_code
    assert ["durable tell", "local tell"] == sorted(site.ran)
    assert ([DONE], 0) == (site.states(), site.errands.pending)


def test_a_handler_of_all_exceptions_may_add_too(errands: Errands) -> None:
    """Starlette calls it outside of every middleware, when the request's bag is closed."""
    site = Site(errands, has_lifespan=True)

    @site.app.exception_handler(Exception)
    async def any_error(request: Request, error: Exception) -> JSONResponse:
        face.BackgroundTasks.of(request).add_task(site.local, "tell")
        face.BackgroundTasks.of(request).add_task(site.durable, "tell")
        return JSONResponse({}, status_code=500)

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "bad")
        raise Sold

    assert 500 == site.get("/").status_code
    assert ["durable tell", "local tell"] == sorted(site.ran)

"""FastHTML: what is added because a request fails is kept although it fails."""

from pathlib import Path
from typing import Any

import pytest
from fasthtml.common import FtResponse, P
from fasthtml_site import Site
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from errands.fasthtml import BackgroundTasks


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(name="site")
def new_site(tmp_path: Path, is_async: bool, is_durable: bool) -> Site:
    return Site(tmp_path, is_async=is_async, is_durable=is_durable)


class OutOfStock(Exception):
    """An error of the application's own."""


@pytest.mark.parametrize(
    ("error", "status"),
    [(HTTPException(502), 502), (RuntimeError("still broken"), 500)],
    ids=["HTTPException", "another"],
)
def test_what_is_added_in_an_except_block_is_kept_although_it_raises(
    site: Site, error: Exception, status: int
) -> None:
    """What was added before the block is dropped: only amends are made."""

    @site.get("/pay")
    def pay(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        try:
            raise ConnectionError("the bank is away")
        except ConnectionError as cause:
            background.add_task(site.note, "apologise")
            raise error from cause

    response = site.visit("/pay")

    assert status == response.status_code
    assert ["apologise"] == site.notes


@pytest.mark.parametrize(("fails", "notes"), [(False, ["ordered"]), (True, ["apologise"])])
def test_on_error_runs_only_if_the_handler_raises(
    site: Site, fails: bool, notes: list[str]
) -> None:
    """Then it alone runs; else only the others do, and it leaves nothing in the store."""

    @site.get("/order")
    def order(background: BackgroundTasks) -> Any:
        background.on_error(site.note, "apologise")
        background.add_task(site.note, "ordered")
        if fails:
            raise HTTPException(409)
        return P("ordered")

    response = site.visit("/order")

    assert (409 if fails else 200) == response.status_code
    assert notes == site.notes
    assert len(site.notes if site.is_durable else []) == len(site.jobs())
    assert 0 == site.errands.pending


def test_on_error_does_not_run_for_an_error_that_is_returned(site: Site) -> None:
    """Returned is kept, also as far as this is concerned."""

    @site.get("/order")
    def order(background: BackgroundTasks) -> Any:
        background.on_error(site.note, "apologise")
        return FtResponse(P("sold out"), status_code=409)

    response = site.visit("/order")

    assert 409 == response.status_code
    assert [] == site.notes
    assert [] == site.jobs()


# Exception handlers


@pytest.mark.parametrize("handler_is_async", [False, True], ids=["sync 404", "async 404"])
def test_what_an_exception_handler_adds_is_kept(
    tmp_path: Path, is_async: bool, is_durable: bool, handler_is_async: bool
) -> None:
    """It is called while the exception is being handled; what the page added is dropped."""

    def not_found(req: Request, exc: HTTPException) -> Any:
        BackgroundTasks.of(req).add_task(site.note, f"missing {exc.detail}")
        return P("Nothing here")

    async def not_found_async(req: Request, exc: HTTPException) -> Any:
        return not_found(req, exc)

    site = Site(
        tmp_path,
        is_async=is_async,
        is_durable=is_durable,
        exception_handlers={404: not_found_async if handler_is_async else not_found},
    )

    @site.get("/cat")
    def cat(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        raise HTTPException(404, "cat")

    response = site.visit("/cat")

    assert 404 == response.status_code
    assert "Nothing here" in response.text
    assert ["missing cat"] == site.notes


@pytest.mark.parametrize("handler_is_async", [False, True], ids=["sync 404", "async 404"])
def test_an_exception_handler_adds_for_a_path_that_no_route_has(
    tmp_path: Path, is_durable: bool, handler_is_async: bool
) -> None:
    """The router raises there, and the handler answers as for any other 404."""

    def not_found(req: Request, exc: HTTPException) -> Any:
        BackgroundTasks.of(req).add_task(site.note, f"{exc.status_code} {req.url.path}")
        return P("Nothing here")

    async def not_found_async(req: Request, exc: HTTPException) -> Any:
        return not_found(req, exc)

    handler = not_found_async if handler_is_async else not_found
    site = Site(tmp_path, is_durable=is_durable, exception_handlers={404: handler})

    response = site.visit("/nowhere")

    assert 404 == response.status_code
    assert ["404 /nowhere"] == site.notes


def test_a_handler_of_an_exception_does_not_keep_what_was_added(site: Site) -> None:
    """The application made a fine page of the error, and yet the handler raised."""

    @site.get("/cat")
    def cat(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        raise OutOfStock

    async def sold_out(req: Request, exc: Exception) -> Any:
        return PlainTextResponse(f"{req.url.path}: {exc!r}", status_code=200)

    site.app.add_exception_handler(OutOfStock, sold_out)
    response = site.visit("/cat")

    assert (200, "/cat: OutOfStock()") == (response.status_code, response.text)
    assert [] == site.notes
    assert [] == site.jobs()


@pytest.mark.parametrize("handler_is_async", [False, True], ids=["sync 500", "async 500"])
@pytest.mark.parametrize("key", [500, Exception], ids=["500", "Exception"])
def test_what_a_handler_of_every_exception_adds_is_kept(
    tmp_path: Path, is_durable: bool, handler_is_async: bool, key: Any
) -> None:
    """Starlette calls this one at its outer edge, when our request is over."""

    def broken(req: Request, exc: Exception) -> Any:
        BackgroundTasks.of(req).add_task(site.note, f"broken by {exc}")
        return PlainTextResponse("Sorry", status_code=500)

    async def broken_async(req: Request, exc: Exception) -> Any:
        return broken(req, exc)

    handler = broken_async if handler_is_async else broken
    site = Site(tmp_path, is_durable=is_durable, exception_handlers={key: handler})

    @site.get("/cat")
    def cat(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        raise ValueError("a cat")

    with site.client() as client:
        response = client.get("/cat")
        site.wait_for_notes(1)

    assert (500, "Sorry") == (response.status_code, response.text)
    assert ["broken by a cat"] == site.notes

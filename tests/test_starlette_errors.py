"""A handler of a Starlette application that raises drops its tasks, but for compensation."""

from __future__ import annotations

import pytest
from asgi_driver import visiting
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette_site import OK, Keep, Teapot, bag, site, visit

from errands import Errands
from errands.testing import drain


@pytest.mark.parametrize(
    ("error", "status"),
    [(HTTPException(404), 404), (HTTPException(500), 500), (Teapot(), 418), (ValueError(), 500)],
    ids=["http 404", "http 500", "handled", "unhandled"],
)
async def test_a_handler_that_raises_drops_its_tasks(
    errands: Errands, notes: list[str], keep: Keep, error: Exception, status: int
) -> None:
    """Nothing is kept, and nothing stays in the store."""

    async def teapot(request: Request, error: Exception) -> Response:
        return OK("short and stout", 418)

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        raise error

    app = site(errands, endpoint, exception_handlers={Teapot: teapot})
    async with visiting(app) as client:
        response = await client.get("/")
        await drain(errands)
        left = await errands.jobs()

    assert status == response.status_code
    assert [] == notes
    assert [] == left
    assert 0 == errands.pending


async def test_a_sync_handler_that_raises_drops_its_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """The exception crosses from the thread, and is seen all the same."""

    def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        raise HTTPException(403)

    assert 403 == await visit(site(errands, endpoint))
    assert [] == notes


async def test_an_exception_that_the_handler_caught_itself_drops_nothing(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """It was over when the handler returned."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        try:
            raise Teapot
        except Teapot:
            answer = OK("it is all right", 400)
        bag(request).add_task(notes.append, "local")
        return answer

    assert 400 == await visit(site(errands, endpoint))
    assert ["job", "local"] == sorted(notes)


async def test_what_was_flushed_is_taken_back_when_the_handler_raises(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """A stored job of a request that failed is removed, and never started."""
    flushed: list[int] = []

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        flushed.append(len(await bag(request).flush()))
        raise HTTPException(404)

    app = site(errands, endpoint)
    async with visiting(app) as client:
        response = await client.get("/")
        await drain(errands)
        left = await errands.jobs()

    assert 404 == response.status_code
    assert [1] == flushed
    assert [] == left
    assert [] == notes


async def test_compensation_is_kept_although_the_handler_raises(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """What is added in an `except` block survives; what was added before does not."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(notes.append, "never")
        bag(request).add_task(keep, "never")
        try:
            raise Teapot
        except Teapot as error:
            bag(request).add_task(keep, "refund")
            bag(request).add_task(notes.append, "apology")
            raise HTTPException(502) from error

    assert 502 == await visit(site(errands, endpoint))
    assert ["apology", "refund"] == sorted(notes)


async def test_compensation_in_a_sync_handler_is_kept(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """The exception that is being handled is that of the thread."""

    def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "never")
        try:
            raise Teapot
        except Teapot as error:
            bag(request).add_task(keep, "refund")
            raise HTTPException(502) from error

    assert 502 == await visit(site(errands, endpoint))
    assert ["refund"] == notes


async def test_compensation_is_kept_when_the_handler_returns(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """In an `except` block that ends with a response, nothing is dropped at all."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "order")
        try:
            raise Teapot
        except Teapot:
            bag(request).add_task(keep, "refund")
            return OK("x", 502)

    assert 502 == await visit(site(errands, endpoint))
    assert ["order", "refund"] == sorted(notes)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, ["kept"]),
        (HTTPException(404), ["job on error", "on error"]),
        (Teapot(), ["job on error", "on error"]),
    ],
    ids=["returned", "http", "unhandled"],
)
async def test_on_error_is_for_handlers_that_raise(
    errands: Errands, notes: list[str], keep: Keep, error: Exception | None, expected: list[str]
) -> None:
    """And for those alone."""

    async def endpoint(request: Request) -> Response:
        bag(request).on_error(notes.append, "on error")
        bag(request).on_error(keep, "job on error")
        bag(request).add_task(notes.append, "kept")
        if error is not None:
            raise error
        return OK("x")

    app = site(errands, endpoint)
    async with visiting(app) as client:
        await client.get("/")
        await drain(errands)
        jobs = await errands.jobs()

    assert expected == sorted(notes)
    assert len(expected) // 2 == len(jobs)
    assert 0 == errands.pending

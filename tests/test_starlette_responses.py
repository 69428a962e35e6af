"""Every kind of response of a Starlette application keeps what was added."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgi_driver import Peer, alive, visiting
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import Message
from starlette_site import OK, Keep, Teapot, bag, site, visit

from errands import Errands
from errands.errors import StoreUnavailable
from errands.starlette import BackgroundTasks
from errands.stores.memory import MemoryStore
from errands.testing import drain


def plain(request: Request, own: BackgroundTask | None) -> Response:
    return PlainTextResponse("x", background=own)


def html(request: Request, own: BackgroundTask | None) -> Response:
    return HTMLResponse("<p>x", background=own)


def json(request: Request, own: BackgroundTask | None) -> Response:
    return JSONResponse({}, background=own)


def redirect(request: Request, own: BackgroundTask | None) -> Response:
    return RedirectResponse("/elsewhere", background=own)


def stream(request: Request, own: BackgroundTask | None) -> Response:
    return StreamingResponse(iter("xyz"), background=own)


def file(request: Request, own: BackgroundTask | None) -> Response:
    return FileResponse(Path(__file__), background=own)


@pytest.mark.parametrize("answer", [plain, html, json, redirect, stream, file])
async def test_every_kind_of_response_keeps_the_tasks(
    errands: Errands,
    notes: list[str],
    keep: Keep,
    answer: Callable[[Request, BackgroundTask | None], Response],
) -> None:
    """Tasks are the request's, not the response's."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return answer(request, None)

    assert await visit(site(errands, endpoint)) < 400
    assert ["job", "local"] == sorted(notes)


@pytest.mark.parametrize("answer", [plain, redirect, stream, file])
async def test_a_response_may_bring_tasks_of_its_own(
    errands: Errands,
    notes: list[str],
    keep: Keep,
    answer: Callable[[Request, BackgroundTask | None], Response],
) -> None:
    """They run as Starlette runs them, and the request's run too."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return answer(request, BackgroundTask(notes.append, "own"))

    await visit(site(errands, endpoint))
    assert ["job", "local", "own"] == sorted(notes)


async def test_tasks_attached_to_the_response_by_habit_run_once(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """`background=background` is what Starlette's users write."""

    async def endpoint(request: Request) -> Response:
        background: Any = bag(request)
        background.add_task(keep, "job")
        background.add_task(notes.append, "local")
        return OK("x", background=background)

    assert 200 == await visit(site(errands, endpoint))
    assert ["job", "local"] == sorted(notes)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_a_streaming_body_adds_tasks(
    errands: Errands, notes: list[str], keep: Keep, is_async: bool
) -> None:
    """Before its first, between two, and after its last chunk."""

    def chunks(request: Request) -> Iterator[str]:
        for number in range(3):
            bag(request).add_task(keep, f"job {number}")
            bag(request).add_task(notes.append, f"local {number}")
            yield "x"
        BackgroundTasks.of().add_task(keep, "job last")
        BackgroundTasks.of().add_task(notes.append, "local last")

    async def async_chunks(request: Request) -> AsyncIterator[str]:
        for chunk in chunks(request):
            yield chunk

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(async_chunks(request) if is_async else chunks(request))

    assert 200 == await visit(site(errands, endpoint))
    assert [f"{kind} {n}" for kind in ("job", "local") for n in (0, 1, 2, "last")] == sorted(notes)


async def test_a_job_added_while_streaming_is_stored_before_the_next_chunk(
    errands: Errands, keep: Keep
) -> None:
    """What the client reads next may tell of it."""
    stored: list[int] = []

    async def chunks(request: Request) -> AsyncIterator[str]:
        yield "one"
        bag(request).add_task(keep, "job")
        yield "two"

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(chunks(request))

    async def look(message: Message) -> None:
        if message.get("body"):
            stored.append(len(await errands.jobs()))

    app = site(errands, endpoint)
    async with alive(app):
        await Peer(watch=look).get(app)
        await drain(errands)

    assert [0, 1] == stored


async def test_a_stream_that_breaks_keeps_what_was_promised(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """The response had started: the client was told that all is well."""

    async def chunks(request: Request) -> AsyncIterator[str]:
        yield "x"
        raise Teapot

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return StreamingResponse(chunks(request))

    async with visiting(app := site(errands, endpoint)) as client:
        await client.get("/")
        await drain(app.state.errands)

    assert ["job", "local"] == sorted(notes)


async def test_a_store_that_is_away_makes_a_500_and_no_promise(notes: list[str]) -> None:
    """A 2xx that the client saw means stored; so here there is none, and nothing runs."""

    class Away(MemoryStore):
        async def add(self, *args: Any) -> Any:
            raise StoreUnavailable("gone fishing")

    errands = Errands(Away())

    @errands.task(name="keep")
    def keep(text: str) -> None:
        notes.append(text)

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(notes.append, "local")
        bag(request).add_task(keep, "job")
        return OK("x", 202)

    assert 500 == await visit(site(errands, endpoint))
    assert [] == notes
    assert 0 == errands.pending


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_too_many_local_tasks_are_answered_with_503(notes: list[str], is_async: bool) -> None:
    """The request that would pass `max_pending` is refused whole; those before it are kept."""
    errands = Errands("memory:", max_pending=2)
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()
        notes.append("waited")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(wait)
        bag(request).add_task(notes.append, "kept")
        return OK("x")

    def add_one(request: Request) -> Response:
        bag(request).add_task(notes.append, "refused")
        return OK("x")

    async def add_one_async(request: Request) -> Response:
        return add_one(request)

    more = Route("/more", add_one_async if is_async else add_one)
    async with visiting(site(errands, endpoint, more)) as client:
        await client.get("/")
        refused = await client.get("/more")
        go_on.set()
        await drain(errands)
        answered = await client.get("/more")
        await drain(errands)

    assert 503 == refused.status_code
    assert "retry-after" in refused.headers
    assert 200 == answered.status_code
    assert ["waited", "kept", "refused"] == notes

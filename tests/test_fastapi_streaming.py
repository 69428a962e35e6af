"""Background tasks that are added while a FastAPI application streams its answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import Depends
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse
from fastapi_site import Site, Slow, boom, call
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import errands as face
from errands import Errands, State
from errands.fastapi import BackgroundTasks
from errands.testing import drain

DONE = State.DONE


@pytest.fixture(params=["bare", "lifespan"])
def site(request: pytest.FixtureRequest, errands: Errands) -> Site:
    """An application; once as a bare `TestClient` sees it, and once that was started."""
    return Site(errands, has_lifespan=request.param == "lifespan")


STREAMS = ["response", "sync response", "json lines", "sse"]


class Told:
    """A middleware that knows when the response has started."""

    def __init__(self, app: ASGIApp, has_started: asyncio.Event) -> None:
        self.app, self.has_started = app, has_started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                self.has_started.set()

        await self.app(scope, receive, told)


def stream(site: Site, kind: str, *, falls: bool) -> None:
    """Give the application a route `/` that adds tasks while it streams.

    Server-sent events are made beside the response, so they wait for it before they fall.
    """
    has_started = asyncio.Event()
    site.app.add_middleware(Told, has_started=has_started)

    def parts(background: face.BackgroundTasks) -> Iterator[str]:
        yield "1\n"
        background.add_task(site.local, "streamed")
        background.add_task(site.durable, "streamed")
        yield "2\n"
        if falls:
            raise OSError("in the middle")

    async def async_parts(background: face.BackgroundTasks) -> AsyncIterator[str]:
        for part in parts(background):
            yield part
            await has_started.wait()

    def first(background: face.BackgroundTasks) -> face.BackgroundTasks:
        background.add_task(site.local, "first")
        return background

    async def response(background: BackgroundTasks) -> StreamingResponse:
        return StreamingResponse(async_parts(first(background)))

    def sync_response(background: BackgroundTasks) -> StreamingResponse:
        return StreamingResponse(parts(first(background)))

    async def generator(background: BackgroundTasks) -> AsyncIterator[str]:
        async for part in async_parts(first(background)):
            yield part

    handlers: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "response": (response, {}),
        "sync response": (sync_response, {}),
        "json lines": (generator, {}),
        "sse": (generator, {"response_class": EventSourceResponse}),
    }
    handler, options = handlers[kind]
    site.app.get("/", **options)(handler)


@pytest.mark.parametrize("kind", STREAMS)
def test_tasks_that_are_added_while_streaming_run(site: Site, kind: str) -> None:
    """Beside those that were added before the stream began, and after them."""
    stream(site, kind, falls=False)

    answer = site.get("/")
    assert (200, True) == (answer.status_code, "2" in answer.text)
    assert ["durable streamed", "local first", "local streamed"] == sorted(site.ran)
    assert [DONE] == site.states()


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_that_raises_keeps_what_was_added(site: Site, kind: str) -> None:
    """The client has seen a 200, and may have seen all that it wanted."""
    stream(site, kind, falls=True)

    assert 200 == site.get("/").status_code
    assert ["durable streamed", "local first", "local streamed"] == sorted(site.ran)
    assert ([DONE], 0) == (site.states(), site.errands.pending)


async def test_a_job_is_stored_before_the_part_that_follows_is_sent(errands: Errands) -> None:
    """So a part of a stream may say that it is."""
    site = Site(errands)
    stored: list[tuple[bytes, int]] = []
    stream(site, "response", falls=False)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            stored.append((message["body"], len(await errands.jobs())))

    async with errands.working():
        await call(site.app, "/", send)
        await drain(errands)

    assert [(b"1\n", 0), (b"2\n", 1), (b"", 1)] == stored


async def test_events_that_raise_before_the_response_starts_drop_what_was_added() -> None:
    """They are made beside the response, which is just having its jobs stored."""
    store = Slow()
    errands = Errands(store)
    site = Site(errands)
    statuses: list[int] = []

    def dependency(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "bad")
        background.add_task(site.local, "bad")

    @site.app.get("/", response_class=EventSourceResponse, dependencies=[Depends(dependency)])
    async def handler() -> AsyncIterator[str]:
        yield "1"
        await store.has_added.wait()
        boom()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with asyncio.timeout(10), errands.working():
        request = asyncio.create_task(call(site.app, "/", send))
        await store.has_added.wait()
        for _ in range(5):  # the fall arrives in one of the next turns of the loop
            await asyncio.sleep(0)
        store.go.set()
        with pytest.raises(ExceptionGroup, match="TaskGroup"):
            await request
        assert ([500], [], 0) == (statuses, await errands.jobs(), errands.pending)

    assert [] == site.ran

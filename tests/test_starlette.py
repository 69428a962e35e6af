"""Errands in a Starlette application: what becomes of a request's background tasks."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from asgi_driver import Peer, alive, browser, visiting
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
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
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from errands import Declared, Errands, State
from errands.errors import NoRequest, SetupError, StoreUnavailable
from errands.starlette import BackgroundTasks, setup_errands
from errands.stores.memory import MemoryStore
from errands.testing import drain

Keep = Declared[[str], None]
Endpoint = Callable[[Request], Awaitable[Response]]

OK = PlainTextResponse


class Teapot(Exception):
    """Has a handler of its own in the application."""


@pytest.fixture
def notes() -> list[str]:
    """What tasks have written down, in the order in which they ran."""
    return []


@pytest.fixture
def keep(errands: Errands, notes: list[str]) -> Keep:
    """A declared task; a plain `notes.append` is its local counterpart."""

    @errands.task(name="keep")
    def keep(text: str) -> None:
        notes.append(text)

    return keep


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


# ---------------------------------------------------------------- what is added, runs


async def test_tasks_of_both_kinds_run_after_a_request(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """A declared function is a job, a plain one a local task; the verb is the same."""

    async def endpoint(request: Request) -> Response:
        assert bag(request).add_task(keep, "job") is not None
        assert bag(request).add_task(notes.append, "local") is None
        return OK("x")

    status = await visit(site(errands, endpoint))

    assert 200 == status
    assert ["job", "local"] == sorted(notes)


async def test_local_tasks_run_one_after_another_in_the_order_added(
    errands: Errands, notes: list[str]
) -> None:
    """A slow first task is awaited before the second starts, whatever their colours."""

    async def slow(text: str) -> None:
        notes.append(f"{text} begins")
        for _ in range(10):
            await asyncio.sleep(0)
        notes.append(f"{text} ends")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(slow, "first")
        bag(request).add_task(notes.append, "second")
        bag(request).add_task(partial(slow, "third"))
        bag(request).add_task(notes.append, "fourth")
        return OK("x")

    await visit(site(errands, endpoint))

    assert [
        "first begins", "first ends", "second", "third begins", "third ends", "fourth",
    ] == notes  # fmt: skip  # a row


async def test_a_task_that_raises_stops_no_other(
    errands: Errands, notes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged by the task's name; the client saw a 200 before."""

    async def boom() -> None:
        raise ValueError("the mailbox is full")

    def crash() -> None:
        raise SystemExit(3)

    async def leave() -> None:
        raise SystemExit(4)

    class Panic(BaseException): ...

    async def panic() -> None:
        raise Panic

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(notes.append, "before")
        for task in (boom, crash, leave, panic):
            bag(request).add_task(task)
        bag(request).add_task(notes.append, "after")
        return OK("x")

    status = await visit(site(errands, endpoint))

    assert 200 == status
    assert ["before", "after"] == notes
    failures = [r.getMessage() for r in caplog.records if r.name == "errands.local"]
    assert 4 == len(failures)
    for name, failure in zip(("boom", "crash", "leave", "panic"), failures, strict=True):
        assert name in failure


async def test_a_failing_local_task_is_not_raised_in_the_request(errands: Errands) -> None:
    """Neither the server nor the 500 handler hears of it: the response was complete."""
    heard: list[Exception] = []

    async def server_error(request: Request, error: Exception) -> Response:
        heard.append(error)
        return OK("error", 500)

    async def boom() -> None:
        raise Teapot

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(boom)
        return OK("x")

    app = site(errands, endpoint, exception_handlers={500: server_error, Teapot: server_error})
    peer = Peer()
    async with alive(app):
        await peer.get(app)
        await drain(errands)

    assert [] == heard
    assert 200 == peer.status


@pytest.mark.parametrize("status", [204, 302, 400, 404, 500, 503])
async def test_a_response_that_was_returned_keeps_the_tasks(
    errands: Errands, notes: list[str], keep: Keep, status: int
) -> None:
    """Whatever its status: the handler has decided, and returned."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return Response(status_code=status)

    assert status == await visit(site(errands, endpoint))
    assert ["job", "local"] == sorted(notes)


async def test_head_runs_tasks_too(errands: Errands, notes: list[str]) -> None:
    """As in Starlette."""

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(notes.append, request.method)
        return OK("x")

    assert 200 == await visit(site(errands, endpoint), "HEAD")
    assert ["HEAD"] == notes


async def test_a_sync_endpoint_adds_tasks(errands: Errands, notes: list[str], keep: Keep) -> None:
    """It runs in a thread, where `of()` finds the same tasks as `of(request)`."""

    def endpoint(request: Request) -> Response:
        assert BackgroundTasks.of() is BackgroundTasks.of(request)
        BackgroundTasks.of().add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return OK("x")

    assert 200 == await visit(site(errands, endpoint))
    assert ["job", "local"] == sorted(notes)


async def test_a_class_endpoint_adds_tasks(errands: Errands, notes: list[str]) -> None:
    """One that raises drops them, too."""

    class Page(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            bag(request).add_task(notes.append, "async get")
            return OK("x")

        def post(self, request: Request) -> Response:
            bag(request).add_task(notes.append, "sync post")
            return OK("x")

        async def put(self, request: Request) -> Response:
            bag(request).add_task(notes.append, "never")
            raise HTTPException(409)

    app = site(errands, Route("/", Page))
    async with visiting(app) as client:
        statuses = []
        for method in ("GET", "POST", "PUT"):
            statuses.append((await client.request(method, "/")).status_code)
            await drain(errands)

    assert [200, 200, 409] == statuses
    assert ["async get", "sync post"] == notes


async def test_jobs_are_stored_before_the_response_starts(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """When the client sees the status, the job is in the store, and has not started."""
    seen: list[tuple[str, State | None, list[str]]] = []

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        return OK("x")

    async def look(message: Message) -> None:
        jobs = await errands.jobs()
        seen.append((message["type"], jobs[0].state if jobs else None, list(notes)))

    app = site(errands, endpoint)
    async with alive(app):
        await Peer(watch=look).get(app)
        await drain(errands)
        [job] = await errands.jobs()

    assert [
        ("http.response.start", State.RUNNING, []),
        ("http.response.body", State.RUNNING, []),
    ] == seen
    assert (State.DONE, 1) == (job.state, job.attempt)
    assert ["job"] == notes


async def test_tasks_start_once_the_application_has_returned(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """What wraps the handler, a transaction say, is over by then."""
    inside = asyncio.Event()
    go_on = asyncio.Event()

    class Transaction:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            inside.set()
            await go_on.wait()
            notes.append("commit")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return OK("x")

    app = site(errands, Route("/", endpoint, middleware=[Middleware(Transaction)]))
    async with alive(app):
        request = asyncio.create_task(Peer().get(app))
        await inside.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        early = list(notes)
        go_on.set()
        await request
        await drain(errands)

    assert [] == early
    assert "commit" == notes[0]
    assert ["job", "local"] == sorted(notes[1:])


# ---------------------------------------------------------------- a handler that raises


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


# ---------------------------------------------------------------- kinds of responses


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


# ---------------------------------------------------------------- finding the tasks


async def test_the_tasks_are_found_deep_in_the_stack(errands: Errands, notes: list[str]) -> None:
    """Without a request at hand: in awaited code, in its own tasks, and in a thread."""

    async def deep() -> None:
        BackgroundTasks.of().add_task(notes.append, "awaited")

    async def in_a_task() -> None:
        BackgroundTasks.of().add_task(notes.append, "task")

    def in_a_thread() -> None:
        BackgroundTasks.of().add_task(notes.append, "thread")

    async def endpoint(request: Request) -> Response:
        await deep()
        await asyncio.create_task(in_a_task())
        await asyncio.to_thread(in_a_thread)
        assert BackgroundTasks.of() is BackgroundTasks.of(request)
        return OK("x")

    assert 200 == await visit(site(errands, endpoint))
    assert ["awaited", "task", "thread"] == notes


async def test_outside_a_request_there_are_no_tasks(errands: Errands) -> None:
    """Neither before a request nor after it, and the message says what to do instead."""
    app = site(errands, _ok)
    with pytest.raises(NoRequest, match=r"errands\.add_task"):
        BackgroundTasks.of()
    async with alive(app):
        with pytest.raises(NoRequest):
            BackgroundTasks.of()
        await Peer().get(app)
        with pytest.raises(NoRequest):
            BackgroundTasks.of()


async def test_without_setup_a_request_has_no_tasks() -> None:
    """The message names `setup_errands`."""
    problems: list[str] = []

    async def endpoint(request: Request) -> Response:
        with pytest.raises(NoRequest) as problem:
            BackgroundTasks.of(request)
        problems.append(str(problem.value))
        return OK("x")

    async with browser(Starlette(routes=[Route("/", endpoint)])) as client:
        response = await client.get("/")

    assert 200 == response.status_code
    assert "setup_errands" in problems[0]


async def test_a_job_is_no_part_of_a_request(errands: Errands, notes: list[str]) -> None:
    """It may run in another process, so it sees nobody's tasks, here neither."""

    @errands.task(name="look")
    async def look() -> None:
        try:
            BackgroundTasks.of()
        except NoRequest:
            notes.append("none")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(look)
        return OK("x")

    app = site(errands, endpoint)
    await visit(app)
    async with browser(app) as client:
        await client.get("/")

    assert ["none", "none"] == notes


async def test_a_coroutine_is_refused_where_it_is_added(errands: Errands) -> None:
    """`add_task(work())` is a mistake that the line itself tells of."""
    problems: list[str] = []

    async def work() -> None: ...

    async def endpoint(request: Request) -> Response:
        coroutine: Any = work()
        with pytest.raises(TypeError) as problem:
            bag(request).add_task(coroutine)
        coroutine.close()
        problems.append(str(problem.value))
        return OK("x")

    assert 200 == await visit(site(errands, endpoint))
    assert 1 == len(problems)
    assert 0 == errands.pending


# ---------------------------------------------------------------- mounted applications


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


# ---------------------------------------------------------------- WebSockets


def test_a_websocket_runs_tasks_while_it_is_open(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """They start with the reply, not with the end of the conversation."""
    ran = threading.Event()

    def tell(text: str) -> None:
        notes.append(text)
        ran.set()

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            BackgroundTasks.of(socket).add_task(keep, f"job {text}")
            BackgroundTasks.of().add_task(tell, f"local {text}")
            await socket.send_text(text)

    app = site(errands, WebSocketRoute("/", endpoint))
    with TestClient(app) as client, client.websocket_connect("/") as socket:
        for text in ("a", "b"):
            ran.clear()
            socket.send_text(text)
            socket.receive_text()
            assert ran.wait(10), "the task did not run while the socket was open"
        assert client.portal is not None
        client.portal.call(drain, errands)
        assert ["job a", "job b", "local a", "local b"] == sorted(notes)


def test_a_websocket_runs_tasks_without_a_reply(errands: Errands, notes: list[str]) -> None:
    """Asking for the next message shows that the one before is dealt with."""
    ran = threading.Event()

    def tell(text: str) -> None:
        notes.append(text)
        ran.set()

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            bag(socket).add_task(tell, text)

    app = site(errands, WebSocketRoute("/", endpoint))
    with TestClient(app) as client, client.websocket_connect("/") as socket:
        socket.send_text("a")
        assert ran.wait(10), "the task did not run while the socket was open"
        assert ["a"] == notes


def test_a_websocket_endpoint_keeps_what_each_call_added(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """On connect, on receive and on disconnect."""

    class Chat(WebSocketEndpoint):
        encoding: Literal["text", "bytes", "json"] | None = "text"

        async def on_connect(self, websocket: WebSocket) -> None:
            bag(websocket).add_task(keep, "connect")
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            bag(websocket).add_task(keep, f"receive {data}")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            bag(websocket).add_task(keep, "disconnect")
            bag(websocket).add_task(notes.append, "local")

    app = site(errands, WebSocketRoute("/", Chat))
    with TestClient(app) as client:
        with client.websocket_connect("/") as socket:
            socket.send_text("a")
        assert client.portal is not None
        client.portal.call(drain, errands)

    assert ["connect", "disconnect", "local", "receive a"] == sorted(notes)


def test_a_websocket_handler_that_raises_drops_what_was_not_answered(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """What earlier messages added was kept by then."""

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            bag(socket).add_task(keep, f"job {text}")
            bag(socket).add_task(notes.append, f"local {text}")
            bag(socket).on_error(notes.append, f"{text} failed")
            if text == "bad":
                raise Teapot
            await socket.send_text(text)

    app = site(errands, WebSocketRoute("/", endpoint))
    with TestClient(app, raise_server_exceptions=False) as client:
        with pytest.raises(Teapot):
            _talk(client, "good", "bad")
        assert client.portal is not None
        client.portal.call(drain, errands)

    assert {"job good", "local good", "bad failed"} <= set(notes)
    assert not {"job bad", "local bad"} & set(notes)
    assert 0 == errands.pending


def _talk(client: TestClient, *texts: str) -> None:
    with client.websocket_connect("/") as socket:
        for text in texts:
            socket.send_text(text)
            socket.receive_text()


def test_what_is_added_as_a_websocket_goes_away_is_kept(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """In the `except WebSocketDisconnect` block, where it is mostly done."""

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        bag(socket).add_task(keep, "hello")
        try:
            await socket.receive_text()
        except WebSocketDisconnect:
            bag(socket).add_task(keep, "good-bye")
            bag(socket).add_task(notes.append, "local")

    app = site(errands, WebSocketRoute("/", endpoint))
    with TestClient(app) as client:
        with client.websocket_connect("/"):
            pass
        assert client.portal is not None
        client.portal.call(drain, errands)

    assert ["good-bye", "hello", "local"] == sorted(notes)


def test_a_denied_websocket_keeps_what_it_added(errands: Errands, notes: list[str]) -> None:
    """The denial was returned; one that was raised drops."""

    async def returned(socket: WebSocket) -> None:
        bag(socket).add_task(notes.append, "returned")
        await socket.send_denial_response(OK("no", 403))

    async def raised(socket: WebSocket) -> None:
        bag(socket).add_task(notes.append, "raised")
        raise HTTPException(403)

    app = site(errands, WebSocketRoute("/returned", returned), WebSocketRoute("/raised", raised))
    with TestClient(app) as client:
        for path in ("/returned", "/raised"):
            with pytest.raises(WebSocketDenialResponse), client.websocket_connect(path):
                pytest.fail("the socket was accepted")
        assert client.portal is not None
        client.portal.call(drain, errands)

    assert ["returned"] == notes


def test_a_websocket_without_a_lifespan_runs_its_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """They are done when the conversation is over."""

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        bag(socket).add_task(keep, "job")
        bag(socket).add_task(notes.append, "local")
        await socket.send_text("x")
        await socket.close()

    app = site(errands, WebSocketRoute("/", endpoint))
    with TestClient(app).websocket_connect("/") as socket:
        socket.receive_text()

    assert ["job", "local"] == sorted(notes)


# ---------------------------------------------------------------- context variables

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


# ---------------------------------------------------------------- other middleware


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
    app = site(errands, _ok)
    app.user_middleware.append(Middleware(Base))

    with pytest.warns(RuntimeWarning, match=r"Base is a BaseHTTPMiddleware inside"):
        assert 200 == await visit(app)


async def test_a_base_http_middleware_of_a_mounted_application_is_warned_about(
    errands: Errands,
) -> None:
    """It is inside, wherever it stands in the child; the path is named."""
    child = Starlette(routes=[Route("/", _ok)], middleware=[Middleware(Base)])
    app = site(errands, Mount("/child", child))

    with pytest.warns(RuntimeWarning, match=r"Base .*'/child'"):
        assert 200 == await visit(app, path="/child/")


async def test_a_base_http_middleware_of_a_route_is_warned_about(errands: Errands) -> None:
    """`Route(middleware=…)` and `Mount(middleware=…)` stand inside of us, too."""
    inside = [Middleware(Base)]
    of_a_route = site(errands, Route("/route", _ok, middleware=inside))
    of_a_mount = site(errands, Mount("/mount", routes=[Route("/", _ok)], middleware=inside))

    with pytest.warns(RuntimeWarning, match=r"Base .*'/route'"):
        assert 200 == await visit(of_a_route, path="/route")
    with pytest.warns(RuntimeWarning, match=r"Base .*'/mount'"):
        assert 200 == await visit(of_a_mount, path="/mount/")


async def test_a_base_http_middleware_deep_inside_is_warned_about(errands: Errands) -> None:
    """In an application that is mounted in a mounted one."""
    grandchild = Starlette(routes=[Route("/", _ok)], middleware=[Middleware(Base)])
    child = Starlette(routes=[Mount("/grandchild", grandchild)])
    app = site(errands, Mount("/child", child))

    with pytest.warns(RuntimeWarning, match=r"Base .*/grandchild"):
        assert 200 == await visit(app, path="/child/grandchild/")


async def test_other_middleware_is_not_warned_about(errands: Errands) -> None:
    """One that is nothing but ASGI hides nothing, wherever it stands."""
    app = site(errands, Route("/", _ok, middleware=[Middleware(Plain)]))
    app.user_middleware.append(Middleware(Plain))
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert 200 == await visit(app)


# ---------------------------------------------------------------- clients that go away


@pytest.mark.parametrize("kind", ["plain", "stream"])
async def test_a_client_that_goes_away_before_the_response_takes_nothing_with_it(
    errands: Errands, notes: list[str], keep: Keep, kind: str
) -> None:
    """The handler returned; a server that says nothing of the client changes nothing."""
    peer = Peer("2.3")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        peer.gone.set()
        return OK("x") if kind == "plain" else StreamingResponse(iter("xyz"))

    app = site(errands, endpoint)
    async with alive(app):
        await peer.get(app)
        await drain(errands)

    assert ["job", "local"] == sorted(notes)


async def test_a_response_that_cannot_start_promises_nothing(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """Where sending raises, the transaction around the handler is rolled back with it."""
    peer = Peer("2.4")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        peer.gone.set()
        return OK("x")

    app = site(errands, endpoint)
    async with alive(app):
        with pytest.raises(OSError, match="the client is gone"):
            await peer.get(app)
        await drain(errands)
        left = await errands.jobs()

    assert [] == notes
    assert [] == left
    assert 0 == errands.pending


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_a_client_that_goes_away_during_the_response_takes_nothing_with_it(
    errands: Errands, notes: list[str], keep: Keep, spec: str
) -> None:
    """Whether the server cancels the stream (before ASGI 2.4) or raises in it (since)."""

    async def leave(message: Message) -> None:
        if message["type"] == "http.response.body":
            peer.gone.set()

    async def endless(request: Request) -> AsyncIterator[str]:
        bag(request).add_task(keep, "job while streaming")
        while True:
            yield "x"
            await asyncio.sleep(0)

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        return StreamingResponse(endless(request))

    peer = Peer(spec, leave)
    app = site(errands, endpoint)
    async with alive(app):
        await asyncio.gather(asyncio.wait_for(peer.get(app), 10), return_exceptions=True)
        await drain(errands)

    assert 200 == peer.status
    assert ["job", "job while streaming", "local"] == sorted(notes)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_cancelled_request_keeps_what_was_promised(
    errands: Errands, notes: list[str], keep: Keep, moment: str
) -> None:
    """Nothing before the response started, everything since."""
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    async def chunks() -> AsyncIterator[str]:
        yield "x"
        await hang()

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        bag(request).add_task(notes.append, "local")
        await bag(request).flush()
        if moment == "before":
            await hang()
        return StreamingResponse(chunks())

    app = site(errands, endpoint)
    async with alive(app):
        request = asyncio.create_task(Peer("2.4").get(app))
        await reached.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await drain(errands)
        jobs = await errands.jobs()

    assert ([] if moment == "before" else ["job", "local"]) == sorted(notes)
    assert (0 if moment == "before" else 1) == len(jobs)
    assert 0 == errands.pending


async def test_a_request_cancelled_while_its_jobs_are_stored_leaves_none_behind(
    notes: list[str],
) -> None:
    """The store wrote them all the same; they go, since nothing was promised."""
    writing, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def add(self, *args: Any) -> Any:
            async def write() -> Any:
                writing.set()
                await go_on.wait()
                return await MemoryStore.add(self, *args)

            return await asyncio.shield(asyncio.ensure_future(write()))

    errands = Errands(Slow())

    @errands.task(name="keep")
    def keep(text: str) -> None:
        notes.append(text)

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(keep, "job")
        return OK("x")

    app = site(errands, endpoint)
    async with alive(app):
        peer = Peer("2.4")
        request = asyncio.create_task(peer.get(app))
        await writing.wait()
        request.cancel()
        asyncio.get_running_loop().call_later(0.02, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await request
        await drain(errands, timeout=2)
        left = await errands.jobs()

    assert [] == peer.sent
    assert [] == left
    assert [] == notes


# ---------------------------------------------------------------- with and without a lifespan


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
        async with alive(site(errands, _ok)):
            pytest.fail("the application started")
    assert not errands.is_open


# ---------------------------------------------------------------- many, and late


@pytest.mark.parametrize("declared", [False, True], ids=["local", "jobs"])
async def test_a_hundred_blocked_tasks_keep_no_endpoint_waiting(
    errands: Errands, notes: list[str], declared: bool
) -> None:
    """They have threads of their own, not the forty in which sync endpoints run."""
    go_on = threading.Event()

    def block(number: int) -> None:
        assert go_on.wait(20), "nobody let the tasks go on"
        notes.append(str(number))

    @errands.task(name="block")
    def block_too(number: int) -> None:
        block(number)

    async def add(request: Request) -> Response:
        bag(request).add_task(block_too if declared else block, request.path_params["number"])
        return OK("x")

    def answer(request: Request) -> Response:
        return FileResponse(Path(__file__))

    app = site(errands, Route("/{number:int}", add), Route("/sync", answer))
    async with visiting(app) as client:
        try:
            for number in range(100):
                await client.get(f"/{number}")
            before = time.monotonic()
            statuses = [(await client.get("/sync")).status_code for _ in range(5)]
            took = time.monotonic() - before
        finally:
            go_on.set()
        await drain(errands, timeout=20)

    assert [200] * 5 == statuses
    assert took < 2.0
    assert sorted(map(str, range(100))) == sorted(notes)


async def test_what_outlived_its_request_may_still_add_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """From a task of the loop, from a thread, and by `of()` in either; it runs at once."""
    go_on, thread_go_on = asyncio.Event(), threading.Event()
    left_over: list[asyncio.Task[None]] = []

    async def endpoint(request: Request) -> Response:
        def add(name: str) -> None:
            bag(request).add_task(keep, f"job of a {name}")
            BackgroundTasks.of().add_task(notes.append, f"local of a {name}")

        async def later() -> None:
            await go_on.wait()
            add("task")

        def in_a_thread() -> None:
            assert thread_go_on.wait(10)
            add("thread")

        left_over.append(asyncio.create_task(later()))
        left_over.append(asyncio.create_task(asyncio.to_thread(in_a_thread)))
        return OK("x")

    async with visiting(site(errands, endpoint)) as client:
        await client.get("/")
        await drain(errands)
        early = list(notes)
        go_on.set()
        thread_go_on.set()
        await asyncio.gather(*left_over)
        await until(lambda: len(notes) == 4, "the late tasks ran")
        await drain(errands)

    assert [] == early
    expected = [f"{what} of a {who}" for what in ("job", "local") for who in ("task", "thread")]
    assert expected == sorted(notes)


async def test_a_local_task_may_add_further_tasks(
    errands: Errands, notes: list[str], keep: Keep
) -> None:
    """`of()` finds in it what it found in the handler."""

    async def first() -> None:
        notes.append("first")
        BackgroundTasks.of().add_task(notes.append, "second")
        BackgroundTasks.of().add_task(keep, "third")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(first)
        return OK("x")

    async with visiting(site(errands, endpoint)) as client:
        await client.get("/")
        await until(lambda: len(notes) == 3, "the further tasks ran")

    assert "first" == notes[0]
    assert ["second", "third"] == sorted(notes[1:])


@pytest.mark.parametrize("is_sync", [True, False], ids=["sync", "async"])
def test_a_local_task_may_add_further_tasks_without_a_lifespan(
    errands: Errands, notes: list[str], keep: Keep, is_sync: bool
) -> None:
    """They are done too when a bare test client has its answer."""

    def first() -> None:
        BackgroundTasks.of().add_task(notes.append, "second")
        BackgroundTasks.of().add_task(keep, "third")

    async def first_async() -> None:
        first()

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(first if is_sync else first_async)
        return OK("x")

    assert 200 == TestClient(site(errands, endpoint)).get("/").status_code
    assert ["second", "third"] == sorted(notes)


async def test_tasks_that_do_not_end_in_time_are_dropped_by_name(
    notes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """At the shutdown, after `grace`: the log says which, and the cancelled one cleans up."""
    errands = Errands("memory:", grace=0.05)

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            notes.append("cleaned up")

    async def endpoint(request: Request) -> Response:
        bag(request).add_task(endless)
        bag(request).add_task(notes.append, "never")
        return OK("x")

    async with visiting(site(errands, endpoint)) as client:
        await client.get("/")

    assert ["cleaned up"] == notes
    [warning] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "endless" in warning
    assert "append" in warning
    assert 0 == errands.pending


# ---------------------------------------------------------------- setting up


def test_errands_is_set_up_once(errands: Errands) -> None:
    """A second time is a mistake, and says so."""
    app = site(errands, _ok)

    with pytest.raises(SetupError, match="once is enough"):
        setup_errands(app, errands)


async def test_errands_is_set_up_before_the_application_serves(errands: Errands) -> None:
    """Afterwards the middleware stack is built, and we would not be in it."""
    app = Starlette(routes=[Route("/", _ok)])
    async with browser(app) as client:
        await client.get("/")

    with pytest.raises(SetupError, match="before it serves"):
        setup_errands(app, errands)


def test_what_is_no_application_of_starlette_is_refused(errands: Errands) -> None:
    """The message says how to wrap any other one."""
    with pytest.raises(SetupError, match="ErrandsMiddleware"):
        setup_errands(_ok, errands)


async def _ok(request: Request) -> Response:
    return OK("x")

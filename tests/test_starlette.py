"""Errands in a Starlette application: what becomes of a request's background tasks."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from asgi_driver import Peer, alive, browser, visiting
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_site import OK, Keep, Teapot, bag, ok, site, visit

from errands import Errands, State
from errands.errors import NoRequest
from errands.starlette import BackgroundTasks
from errands.testing import drain


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
    app = site(errands, ok)
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

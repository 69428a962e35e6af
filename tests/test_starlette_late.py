"""Tasks of a Starlette application that are many, come late, or do not end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from pathlib import Path

import pytest
from asgi_driver import visiting
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette_site import OK, Keep, bag, site, until

from errands import Errands
from errands.starlette import BackgroundTasks
from errands.testing import drain


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

"""Queues with a bound: more than that is refused, and the client is asked to come again."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from errands import BackgroundTasks, Errands
from errands.asgi import setup_errands
from errands.errors import QueueFull


async def test_a_full_queue_takes_no_more(url: str) -> None:
    """All of a batch or none; other queues do; and it does again when there is room."""
    errands = Errands(url, max_queued={"mail": 10})

    @errands.task(queue="mail")
    async def mail() -> None: ...

    @errands.task
    async def other() -> None: ...

    async with errands:
        await errands.add_tasks([(mail,)] * 8)
        with pytest.raises(QueueFull, match="'mail' has 8 unfinished jobs, and max_queued is 10"):
            await errands.add_tasks([(mail,)] * 3)
        for _ in range(2):
            await errands.add_task(mail)
        with pytest.raises(QueueFull, match="has 10"):
            await errands.add_task(mail)
        await errands.add_tasks([(other,)] * 20)

        [first, *_] = await errands.jobs(queue="mail")
        await errands.cancel(first)
        await errands.add_task(mail)


async def test_one_who_adds_one_by_one_does_not_overshoot(url: str) -> None:
    """The count is taken anew often enough."""
    errands = Errands(url, max_queued={"default": 50})

    @errands.task
    async def work() -> None: ...

    async with errands:
        for _ in range(50):
            await errands.add_task(work)
        with pytest.raises(QueueFull):
            await errands.add_task(work)


async def test_many_who_add_at_once_do_not_overshoot(url: str) -> None:
    """Each sees what the others are just adding; and the queue is filled."""
    errands = Errands(url, max_queued={"default": 100})

    @errands.task
    async def work() -> None: ...

    async with errands:
        adding = [errands.add_task(work) for _ in range(300)]
        added = await asyncio.gather(*adding, return_exceptions=True)
        count = await errands.count()

    refused = [answer for answer in added if isinstance(answer, QueueFull)]
    assert (100, 200) == (sum(count.values()), len(refused))


def test_the_client_is_asked_to_come_again(url: str) -> None:
    """By 503 with Retry-After, and nothing of the request is kept."""
    errands = Errands(url, max_queued={"default": 1})

    @errands.task
    async def work() -> None:
        await asyncio.Event().wait()

    async def add(request: Request) -> PlainTextResponse:
        BackgroundTasks.of(request).add_task(work)
        return PlainTextResponse("added", status_code=202)

    app = Starlette(routes=[Route("/", add)])
    setup_errands(app, errands, work=False)
    with TestClient(app) as client:
        first, second = client.get("/"), client.get("/")

    assert (202, 503) == (first.status_code, second.status_code)
    assert "5" == second.headers["retry-after"]


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_of_nothing_is_refused(bound: int) -> None:
    with pytest.raises(ValueError, match=r"max_queued=\{'mail': .*expected 1 or more"):
        Errands("memory:", max_queued={"mail": bound})

"""Clients of a Starlette application that go away take nothing with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgi_driver import Peer, alive
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message
from starlette_site import OK, Keep, bag, site

from errands import Errands
from errands.stores.memory import MemoryStore
from errands.testing import drain


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

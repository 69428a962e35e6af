"""Background tasks of a WebSocket in a FastAPI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext

import fastapi
import pytest
from fastapi import Depends, WebSocket
from fastapi.testclient import TestClient
from fastapi_site import Site, Slow, boom, cancelled_while_it_stores, converse
from starlette.websockets import WebSocketDisconnect

from errands import Errands, State
from errands.fastapi import BackgroundTasks
from errands.testing import drain

DONE = State.DONE


@pytest.fixture(params=["bare", "lifespan"])
def site(request: pytest.FixtureRequest, errands: Errands) -> Site:
    """An application; once as a bare `TestClient` sees it, and once that was started."""
    return Site(errands, has_lifespan=request.param == "lifespan")


def test_each_message_of_a_websocket_has_its_tasks_run(site: Site) -> None:
    """While the socket stays open: no one waits for its end."""

    @site.app.websocket("/")
    async def talk(socket: WebSocket, background: BackgroundTasks) -> None:
        ran = asyncio.Event()
        await socket.accept()
        async for word in socket.iter_text():
            background.add_task(site.durable, word)
            background.add_task(site.local, word)
            background.add_task(ran.set)
            await socket.send_text(f"got {word}")
            async with asyncio.timeout(10):
                await ran.wait()
            ran.clear()
            job = (await site.errands.jobs(limit=1))[0]
            await site.errands.result(job, timeout=10)
            await socket.send_text(",".join(sorted(site.ran)))

    with TestClient(site.app) as client, client.websocket_connect("/") as socket:
        socket.send_text("1")
        assert "got 1" == socket.receive_text()
        assert "durable 1,local 1" == socket.receive_text()
        socket.send_text("2")
        assert "got 2" == socket.receive_text()
        assert "durable 1,durable 2,local 1,local 2" == socket.receive_text()


async def test_a_websocket_that_raises_keeps_what_it_had_answered(errands: Errands) -> None:
    """What belongs to the message that failed is dropped; what came before has run."""
    site = Site(errands)

    @site.app.websocket("/")
    async def talk(socket: WebSocket, background: BackgroundTasks) -> None:
        await socket.accept()
        async for word in socket.iter_text():
            background.add_task(site.durable, word)
            background.add_task(site.local, word)
            if word == "bad":
                raise OSError("no more")
            await socket.send_text("fine")

    async with errands.working():
        with pytest.raises(OSError, match="no more"):
            await converse(site.app, "/", ["good", "bad"])
        await drain(errands)
        assert [State.DONE] == [job.state for job in await errands.jobs()]

    assert ["durable good", "local good"] == sorted(site.ran)
    assert 0 == errands.pending


def test_a_websocket_may_add_in_its_except_block(site: Site) -> None:
    """Kept although the handler then raises, as in a request."""

    @site.app.websocket("/")
    async def talk(socket: WebSocket, background: BackgroundTasks) -> None:
        await socket.accept()
        background.add_task(site.local, "bad")
        try:
            boom()
        except OSError:
            background.add_task(site.local, "tell")
            background.add_task(site.durable, "tell")
            raise

    with (
        pytest.raises(OSError, match="smtp"),
        TestClient(site.app) as client,
        client.websocket_connect("/") as socket,
    ):
        socket.receive_text()

    assert ["durable tell", "local tell"] == sorted(site.ran)


@pytest.mark.parametrize("is_caught", [True, False], ids=["caught", "uncaught"])
async def test_a_websocket_whose_client_leaves_keeps_what_it_added(
    errands: Errands, is_caught: bool
) -> None:
    """A message without an answer counts; and a good-bye, if the handler says one."""
    site = Site(errands)

    @site.app.websocket("/")
    async def talk(socket: WebSocket, background: BackgroundTasks) -> None:
        await socket.accept()
        try:
            while True:
                word = await socket.receive_text()
                background.add_task(site.durable, word)
                background.add_task(site.local, word)
        except WebSocketDisconnect:
            if not is_caught:
                raise
            background.add_task(site.durable, "bye")
            background.add_task(site.local, "bye")

    async with errands.working():
        with nullcontext() if is_caught else pytest.raises(WebSocketDisconnect):
            await converse(site.app, "/", ["1", "2"])
        await drain(errands)

    bye = ["bye"] * is_caught
    local = [word for word in site.ran if word.startswith("local")]
    durable = [word for word in site.ran if word.startswith("durable")]
    assert [f"local {word}" for word in ("1", "2", *bye)] == sorted(local)
    assert [f"durable {word}" for word in ("1", "2", *bye)] == sorted(durable)


def test_a_websocket_may_have_dependencies_that_add(site: Site) -> None:
    """They share the socket's bag, and theirs run once it has been accepted."""

    async def dependency(background: BackgroundTasks) -> AsyncIterator[None]:
        background.add_task(site.local, "before")
        yield
        background.add_task(site.local, "after")

    @site.app.websocket("/", dependencies=[Depends(dependency)])
    async def talk(socket: WebSocket, background: BackgroundTasks) -> None:
        await socket.accept()
        background.add_task(site.local, "handler")
        await socket.close()

    with TestClient(site.app) as client, client.websocket_connect("/") as socket:
        assert "websocket.close" == socket.receive()["type"]

    assert ["local before", "local handler", "local after"] == site.ran


def test_a_websocket_that_is_refused_drops_what_its_dependencies_added(site: Site) -> None:
    """A dependency raised before anybody accepted."""

    def dependency(background: BackgroundTasks) -> None:
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")
        raise fastapi.WebSocketException(1008)

    @site.app.websocket("/", dependencies=[Depends(dependency)])
    async def talk(socket: WebSocket) -> None:
        await socket.accept()

    with (
        TestClient(site.app) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/"),
    ):
        pass

    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)


@pytest.mark.parametrize("by", ["asyncio", "anyio"])
async def test_a_websocket_that_is_cancelled_while_it_stores_keeps_what_it_had_done(
    by: str,
) -> None:
    """The server stops, say. The handler was done with the message, and asked for the next."""
    store = Slow()
    errands = Errands(store)
    site = Site(errands)

    @site.app.websocket("/")
    async def talk(socket: WebSocket, background: BackgroundTasks) -> None:
        await socket.accept()
        async for word in socket.iter_text():
            background.add_task(site.durable, word)
            background.add_task(site.local, word)

    async with asyncio.timeout(10), errands.working():
        await cancelled_while_it_stores(store, converse(site.app, "/", ["1"]), by=by)
        await drain(errands, timeout=5)

    assert ["durable 1", "local 1"] == sorted(site.ran)

"""Background tasks of a WebSocket in a Starlette application."""

from __future__ import annotations

import threading
from typing import Any, Literal

import pytest
from starlette.endpoints import WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect
from starlette_site import OK, Keep, Teapot, bag, site

from errands import Errands
from errands.starlette import BackgroundTasks
from errands.testing import drain


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

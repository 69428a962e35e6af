"""FastHTML's WebSockets: each message is like a request of its own, on a socket that stays open."""

import contextvars
from pathlib import Path
from typing import Any

import pytest
from fasthtml.common import Div, P
from fasthtml_site import Site, as_async
from starlette.testclient import TestClient

from errands import State
from errands.fasthtml import BackgroundTasks

visitor: contextvars.ContextVar[str] = contextvars.ContextVar("visitor", default="nobody")


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(name="site")
def new_site(tmp_path: Path, is_async: bool, is_durable: bool) -> Site:
    return Site(tmp_path, is_async=is_async, is_durable=is_durable)


def listen(site: Site, handler: Any, **more: Any) -> None:
    """Have the handler called with each message to `/ws`."""
    site.app.ws("/ws", **more)(as_async(handler) if site.is_async else handler)


def test_tasks_run_for_each_message_while_the_socket_stays_open(site: Site) -> None:
    """FastHTML has no native way: it sends the repr of a task to the browser."""

    def echo(msg: str, background: BackgroundTasks) -> Any:
        background.add_task(site.note, msg)
        return Div(msg)

    listen(site, echo)
    seen: list[list[str]] = []
    with site.client() as client, client.websocket_connect("/ws") as socket:
        replies = []
        for number, msg in enumerate(("one", "two", "three"), start=1):
            socket.send_json({"msg": msg})
            replies.append(socket.receive_text().strip())
            site.wait_for_notes(number)
            seen.append(list(site.notes))

    assert ["<div>one</div>", "<div>two</div>", "<div>three</div>"] == replies
    assert [["one"], ["one", "two"], ["one", "two", "three"]] == seen


def test_tasks_run_for_a_message_that_is_not_answered(site: Site) -> None:
    """The handler has returned when the next message is asked for."""

    def hush(msg: str, background: BackgroundTasks) -> None:
        background.add_task(site.note, msg)

    listen(site, hush)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        socket.send_json({"msg": "one"})
        site.wait_for_notes(1)
        socket.send_json({"msg": "two"})
        site.wait_for_notes(2)

    assert ["one", "two"] == site.notes


def test_a_message_whose_handler_raises_drops_its_own_tasks_only(site: Site) -> None:
    """FastHTML answers a `ValueError` with its text, and goes on listening."""

    def check(msg: str, background: BackgroundTasks) -> Any:
        background.add_task(site.note, msg)
        background.on_error(site.note, f"sorry for {msg}")
        if msg == "bad":
            raise ValueError("that was bad")
        return Div(msg)

    listen(site, check)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        replies = []
        for msg in ("first", "bad", "last"):
            socket.send_json({"msg": msg})
            replies.append(socket.receive_text().strip())

    assert ["<div>first</div>", "that was bad", "<div>last</div>"] == replies
    assert ["first", "last", "sorry for bad"] == sorted(site.notes)


def test_a_message_that_cannot_be_filled_is_answered_and_adds_nothing(site: Site) -> None:
    """The next one is heard."""

    def double(number: int, background: BackgroundTasks) -> Any:
        background.add_task(site.note, f"doubled {number}")
        return Div(2 * number)

    listen(site, double)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        socket.send_json({})
        refusal = socket.receive_text()
        socket.send_json({"number": 4})
        reply = socket.receive_text().strip()

    assert "Missing required field: number" == refusal
    assert "<div>8</div>" == reply
    assert ["doubled 4"] == site.notes


def test_any_other_exception_ends_the_socket_and_drops(site: Site) -> None:
    """What earlier messages added has run by then."""

    def fall(msg: str, background: BackgroundTasks) -> Any:
        background.add_task(site.note, msg)
        if msg == "bad":
            raise KeyError("no such room")
        return Div(msg)

    listen(site, fall)
    with site.client() as client:
        with pytest.raises(KeyError, match="no such room"):
            say(client, "good", "bad", "never")
        site.wait_for_notes(1)

    assert ["good"] == site.notes
    assert [State.DONE] * site.is_durable == [job.state for job in site.jobs()]


def say(client: TestClient, *messages: str) -> None:
    """One socket, one message after another, each once the one before was answered."""
    with client.websocket_connect("/ws") as socket:
        for msg in messages:
            socket.send_json({"msg": msg})
            socket.receive_text()


def test_tasks_run_while_a_handler_sends_by_itself(tmp_path: Path, is_durable: bool) -> None:
    """Each sending is an answer: what came before it starts, although the handler goes on."""
    site = Site(tmp_path, is_durable=is_durable)

    async def talk(msg: str, send, background: BackgroundTasks) -> None:  # type: ignore[no-untyped-def]  # by its name
        background.add_task(site.note, f"{msg} 1")
        await send(P("half"))
        background.add_task(site.note, f"{msg} 2")
        await send(P("whole"))

    site.app.ws("/ws")(talk)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        socket.send_json({"msg": "a"})
        replies = [socket.receive_text().strip(), socket.receive_text().strip()]
        site.wait_for_notes(2)

    assert ["<p>half</p>", "<p>whole</p>"] == replies
    assert ["a 1", "a 2"] == sorted(site.notes)


def test_those_who_come_and_go_may_add_tasks(tmp_path: Path, is_durable: bool) -> None:
    """The handlers of `conn=` and `disconn=` are filled as the one of messages is."""
    site = Site(tmp_path, is_durable=is_durable)

    def come(background: BackgroundTasks) -> None:
        background.add_task(site.note, "came")

    def go(background: BackgroundTasks) -> None:
        background.add_task(site.note, "went")

    def hear(msg: str) -> Any:
        return Div(msg)

    listen(site, hear, conn=come, disconn=go)
    with site.client() as client:
        with client.websocket_connect("/ws") as socket:
            site.wait_for_notes(1)
            came = list(site.notes)
            socket.send_json({"msg": "hello"})
            socket.receive_text()
        site.wait_for_notes(2)

    assert ["came"] == came
    assert ["came", "went"] == site.notes


def test_the_bag_is_found_deep_in_the_call_stack_of_a_message(site: Site) -> None:
    """As in a request."""

    def hear(msg: str) -> Any:
        BackgroundTasks.of().add_task(site.note, msg)
        return Div(msg)

    listen(site, hear)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        socket.send_json({"msg": "deep"})
        socket.receive_text()

    assert ["deep"] == site.notes


def test_a_local_task_sees_the_context_of_its_message(tmp_path: Path, is_async: bool) -> None:
    """Also what a handler in a thread of its own has set."""
    site = Site(tmp_path, is_async=is_async)

    def hear(msg: str, background: BackgroundTasks) -> Any:
        visitor.set(msg)
        background.add_task(lambda: site.note(visitor.get()))
        return Div(msg)

    listen(site, hear)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        for msg in ("ann", "bob"):
            socket.send_json({"msg": msg})
            socket.receive_text()

    assert ["ann", "bob"] == sorted(site.notes)


def test_a_job_is_stored_before_the_message_is_answered(tmp_path: Path, is_async: bool) -> None:
    """Whoever gets the answer may rely on it."""
    site = Site(tmp_path, is_durable=True, is_async=is_async)

    def hear(msg: str, background: BackgroundTasks) -> Any:
        background.add_task(site.note, msg)
        return Div(msg)

    listen(site, hear)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        socket.send_json({"msg": "promised"})
        socket.receive_text()
        jobs: list[Any] = client.portal.call(site.errands.jobs) if client.portal else []

    assert ["note"] == [job.task for job in jobs]


def test_a_local_task_that_raises_leaves_the_socket_open(tmp_path: Path, is_async: bool) -> None:
    """The next message is answered, and its tasks run."""
    site = Site(tmp_path, is_async=is_async)

    def boom() -> None:
        site.note("boom")
        raise ZeroDivisionError

    def hear(msg: str, background: BackgroundTasks) -> Any:
        background.add_task(boom)
        background.add_task(site.note, msg)
        return Div(msg)

    listen(site, hear)
    with site.client() as client, client.websocket_connect("/ws") as socket:
        for number, msg in enumerate(("one", "two"), start=1):
            socket.send_json({"msg": msg})
            socket.receive_text()
            site.wait_for_notes(2 * number)

    assert ["boom", "one", "boom", "two"] == site.notes


def test_a_socket_without_a_lifespan_works_too(site: Site) -> None:
    """A bare client: all has run once the socket is closed."""

    def hear(msg: str, background: BackgroundTasks) -> Any:
        background.add_task(site.note, msg)
        return Div(msg)

    listen(site, hear)
    with site.client().websocket_connect("/ws") as socket:
        socket.send_json({"msg": "bare"})
        reply = socket.receive_text().strip()

    assert "<div>bare</div>" == reply
    assert ["bare"] == site.notes

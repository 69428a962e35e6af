"""How a job is told by Starlette and FastAPI: as JSON, as a stream, and in time or later."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from errands import Errands, progress
from errands.fastapi import setup_errands as setup_fastapi
from errands.starlette import setup_errands as setup_starlette
from errands.status import _stream
from errands.testing import drain

LONG = 10.0  # seconds, an upper bound that is never reached
SESSION = Middleware(SessionMiddleware, secret_key="for cookies")


@dataclass
class Sum:
    """What the task returns."""

    total: int


class Shop:
    """An application with one task, which has told progress and waits for leave to end.

    `/wait?s=…` answers in time or later, `/login?user=…` says who asks.
    """

    def __init__(self, kind: str, url: str = "memory:", **setup: Any) -> None:
        self.errands = Errands(url, grace=LONG)
        self.may_end, self.told = Event(), Event()
        self.task = self.errands.task(name="add")(self._add)
        handlers: dict[str, Callable[..., Any]] = {"/wait": self._wait, "/login": self._login}
        self.app: Any
        if kind == "fastapi":
            self.app = FastAPI(middleware=[SESSION])
            for path, handler in handlers.items():
                self.app.get(path)(handler)
            setup_fastapi(self.app, self.errands, **setup)
        else:
            routes = [Route(path, handler) for path, handler in handlers.items()]
            self.app = Starlette(routes=routes, middleware=[SESSION])
            setup_starlette(self.app, self.errands, **setup)

    @contextmanager
    def client(self) -> Iterator[TestClient]:
        with TestClient(self.app, raise_server_exceptions=False) as client:
            try:
                yield client
            finally:
                self.may_end.set()

    def end(self, client: Any) -> None:
        """Return once the background has nothing left to do."""
        self.may_end.set()
        client.portal.call(drain, self.errands)

    def _add(self, a: int, b: int) -> Sum:
        if a < 0:
            raise ValueError(f"{a} is negative")
        progress(1, 2, "Adding")
        self.told.set()
        self.may_end.wait(LONG)
        return Sum(a + b)

    async def _wait(self, request: Request) -> Any:
        job = await self.errands.add_task(self.task, int(request.query_params.get("a", 1)), 2)
        return await self.errands.wait_or_202(job, float(request.query_params["s"]))

    async def _login(self, request: Request) -> Response:
        request.session["user"] = request.query_params["user"]
        return JSONResponse("Hello")


@pytest.fixture(params=["starlette", "fastapi"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(kind: str) -> Shop:
    return Shop(kind)


def later(client: TestClient) -> httpx.Response:
    """The answer for a job that has not ended in time."""
    answer = client.get("/wait?s=0.01")
    assert 202 == answer.status_code
    return answer  # type: ignore[return-value]  # the client's own kind of it


def portal(client: TestClient) -> BlockingPortal:
    """Where the application runs."""
    assert client.portal is not None
    return client.portal


async def stream(app: Any, url: str, heard: Callable[[str], object], patience: float) -> None:
    """Ask for a stream as a server does, which passes on each event; then close the connection."""
    path, _, query = url.partition("?")
    begun = False

    async def receive() -> dict[str, Any]:
        nonlocal begun
        if begun:
            await asyncio.sleep(patience)
            return {"type": "http.disconnect"}
        begun = True
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        heard(message.get("body", b"").decode())

    scope = {
        "type": "http", "method": "GET", "path": path, "root_path": "", "headers": [],
        "query_string": query.encode(), "http_version": "1.1",
    }  # fmt: skip  # a row
    async with asyncio.timeout(LONG):
        await app(scope, receive, send)


def events_in(stream: str) -> list[tuple[str, dict[str, Any]]]:
    """The id and the data of each event."""
    found = re.findall(r"id: (.*)\ndata: (.*)\n\n", stream)
    return [(mark, json.loads(text)) for mark, text in found]


# In time, or later


def test_an_answer_in_time_is_the_value(shop: Shop) -> None:
    """As the framework makes JSON of it."""
    shop.may_end.set()
    with shop.client() as client:
        answer = client.get(f"/wait?s={LONG}")

    assert (200, {"total": 3}) == (answer.status_code, answer.json())


def test_an_answer_later_says_where_to_ask(shop: Shop) -> None:
    """The job goes on, and its end is told there."""
    with shop.client() as client:
        answer = later(client)
        told = answer.json()
        running = client.get(answer.headers["location"])
        shop.end(client)
        done = client.get(answer.headers["location"])
        stream = client.get(told["events_url"]).text

    assert told["url"] == answer.headers["location"]
    assert ("1", "1") == (answer.headers["retry-after"], running.headers["retry-after"])
    assert ("running", None, None) == tuple(running.json()[k] for k in ("state", "result", "error"))
    assert ("done", {"total": 3}) == (done.json()["state"], done.json()["result"])
    assert "retry-after" not in done.headers
    assert "no-store" == done.headers["cache-control"]
    assert [{"total": 3}] == [event["result"] for _, event in events_in(stream)]


def test_what_is_told_of_a_job_is_no_secret(shop: Shop) -> None:
    """Neither its arguments, nor its task, nor the traceback of its error."""
    with shop.client() as client:
        failed = client.get(f"/wait?s={LONG}&a=-5")
        answer = client.get("/wait?s=0&a=-6")
        shop.end(client)
        told = client.get(answer.headers["location"]).json()

    assert 500 == failed.status_code
    assert ("failed", "ValueError: -6 is negative") == (told["state"], told["error"])
    assert set(told) == {
        "id", "state", "attempt", "progress", "added_at", "due_at", "started_at", "finished_at",
        "result", "error",
    }  # fmt: skip  # a row


# The stream


def test_a_stream_tells_each_change_to_the_end(shop: Shop) -> None:
    """And ends with it."""
    with shop.client() as client:
        url = later(client).json()["events_url"]
        shop.told.wait(LONG)
        told: list[str] = []

        def heard(text: str) -> None:
            told.append(text)
            if '"text":"Adding"' in text:
                shop.may_end.set()

        portal(client).call(stream, shop.app, url, heard, LONG)
    events = events_in("".join(told))

    assert {"done": 1, "total": 2, "text": "Adding"} in [event["progress"] for _, event in events]
    assert "done" == events[-1][1]["state"]
    assert len({mark for mark, _ in events}) == len(events)


def test_a_stream_goes_on_where_the_last_one_ended(shop: Shop) -> None:
    """What the browser has seen is not sent again; after the end it is told to stay away."""
    with shop.client() as client:
        url = later(client).json()["events_url"]
        shop.end(client)
        [(last, event)] = events_in(client.get(url).text)
        unseen = client.get(url, headers={"Last-Event-ID": "1"})
        seen = client.get(url, headers={"Last-Event-ID": last})

    assert "done" == event["state"]
    assert [last] == [mark for mark, _ in events_in(unseen.text)]
    assert (204, "") == (seen.status_code, seen.text)


def test_a_stream_is_only_described_to_who_asks_for_its_head(shop: Shop) -> None:
    """While the job runs, without waiting for it."""
    with shop.client() as client:
        head = client.head(later(client).json()["events_url"])

    assert (200, "") == (head.status_code, head.text)
    assert "text/event-stream; charset=utf-8" == head.headers["content-type"]


def test_a_stream_is_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the job takes; the browser asks for the next one by itself."""
    monkeypatch.setattr(_stream, "LONGEST", 0.01)
    monkeypatch.setattr(_stream, "LOOK", 0.01)
    with shop.client() as client:
        stream = client.get(later(client).json()["events_url"]).text

    assert stream.startswith("retry: 500\n\n")
    assert "running" in {event["state"] for _, event in events_in(stream)}
    assert "done" not in stream.replace('"done":', "")


def test_a_browser_that_goes_ends_its_stream(shop: Shop) -> None:
    """Nothing watches the job any longer."""
    with shop.client() as client:
        url = later(client).json()["events_url"]
        heard: list[str] = []
        portal(client).call(stream, shop.app, url, heard.append, 0.01)

        assert not shop.errands._engine._watchers
    assert "running" in "".join(heard)


# Whose it is, and where


@pytest.mark.parametrize("token", ["nope", "%00", "01a1fd25-4123-7000-99f1-89db2a0d3aec", "a.b"])
def test_an_id_alone_is_no_link(shop: Shop, token: str) -> None:
    """404, with or without the stream."""
    with shop.client() as client:
        job_id = later(client).json()["id"]
        answers = [
            client.get(f"/_errands/jobs/{name}{end}")
            for name in (token, job_id, f"{job_id}.")
            for end in ("", "/events")
        ]

    assert {404} == {answer.status_code for answer in answers}


def test_a_link_is_good_for_whom_it_was_made_only(kind: str) -> None:
    """What a user is told is what `status_key` says."""
    shop = Shop(kind, status_key=lambda request: request.session.get("user"))
    with shop.client() as client:
        client.get("/login?user=ann")
        told = later(client).json()
        urls = (told["url"], told["events_url"])
        shop.end(client)
        mine = [client.get(url).status_code for url in urls]
        client.get("/login?user=bob")
        others = [client.get(url).status_code for url in urls]
        client.cookies.clear()
        nobodys = [client.get(url).status_code for url in urls]

    assert ([200, 200], [404, 404], [404, 404]) == (mine, others, nobodys)


def test_a_user_called_none_is_not_nobody(kind: str) -> None:
    """What the application says is signed with its type."""
    shop = Shop(kind, status_key=lambda request: request.session.get("user"))
    with shop.client() as client:
        url = later(client).json()["url"]
        client.get("/login?user=None")
        other = client.get(url).status_code

    assert 404 == other


def test_links_lead_into_a_mounted_application(shop: Shop) -> None:
    """Below the path of the mount and that of a proxy; nobody opened it for long here."""
    shop.may_end.set()
    outer = Starlette(routes=[Mount("/shop", shop.app)])
    client = TestClient(outer, root_path="/proxy")

    answer = client.get("/proxy/shop/wait?s=0")
    url = answer.headers["location"]

    assert url.startswith("/proxy/shop/_errands/jobs/")
    assert "done" == client.get(url).json()["state"]


def test_an_application_that_is_open_without_a_lifespan_signs_as_well(kind: str) -> None:
    """As in a test of the user's, which opens Errands by itself."""
    shop = Shop(kind)
    shop.may_end.set()

    async def ask() -> str:
        transport = httpx.ASGITransport(shop.app)
        async with (
            shop.errands.working(),
            httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
        ):
            url = (await client.get("/wait?s=0")).headers["location"]
            await drain(shop.errands)
            return str((await client.get(url)).json()["state"])

    assert "done" == asyncio.run(ask())


def test_our_routes_come_before_one_for_everything(kind: str) -> None:
    """Such as that of a single page application."""
    shop = Shop(kind)
    shop.app.router.routes.append(Route("/{path:path}", lambda request: JSONResponse("page")))
    with shop.client() as client:
        answer = client.get("/_errands/jobs/nope")

    assert 404 == answer.status_code

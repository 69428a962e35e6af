"""When the jobs of a FastAPI request are stored, and when they are removed again."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, HTTPException, Request
from fastapi.testclient import TestClient
from fastapi_site import Shop, Site, Slow, boom, call, cancelled_while_it_stores, order
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errands import Errands, Job, State
from errands.errors import QueueFull, StoreUnavailable
from errands.fastapi import BackgroundTasks
from errands.stores.memory import MemoryStore
from errands.testing import drain

DONE = State.DONE


@pytest.fixture(params=["bare", "lifespan"])
def site(request: pytest.FixtureRequest, errands: Errands) -> Site:
    """An application; once as a bare `TestClient` sees it, and once that was started."""
    return Site(errands, has_lifespan=request.param == "lifespan")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


async def test_jobs_are_stored_before_the_response_starts(errands: Errands) -> None:
    """They are there, leased to this process, and have not begun."""
    site = Site(errands)
    seen: list[tuple[str, list[State], list[str]]] = []

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "later")
        background.add_task(site.durable, "later")

    async def send(message: Message) -> None:
        jobs = await errands.jobs()
        seen.append((message["type"], [job.state for job in jobs], list(site.ran)))

    async with errands.working():
        await call(site.app, "/", send)
        await drain(errands)

    assert [
        ("http.response.start", [State.RUNNING], []),
        ("http.response.body", [State.RUNNING], []),
    ] == seen
    assert ["durable later", "local later"] == sorted(site.ran)


class Away(MemoryStore):
    """A store that can go away."""

    is_away = False

    async def add(self, *args: Any, **kwargs: Any) -> list[Job]:
        if self.is_away:
            raise StoreUnavailable("the disk is gone")
        return await super().add(*args, **kwargs)


@pytest.mark.parametrize("has_lifespan", [False, True], ids=["bare", "lifespan"])
def test_a_store_that_fails_makes_the_request_fail(shop: Shop, has_lifespan: bool) -> None:
    """A 500, the transaction is rolled back, and nothing is kept; the next one is answered."""
    store = Away()
    site = Site(Errands(store), has_lifespan=has_lifespan)

    @site.app.post("/", status_code=202)
    def handler(
        background: BackgroundTasks,
        connection: Annotated[sqlite3.Connection, Depends(shop.transaction)],
    ) -> None:
        order(connection, "cake")
        background.add_task(site.local, "order")
        background.add_task(site.durable, "order")

    store.is_away = True
    assert 500 == site.request("POST", "/").status_code
    assert (["rollback"], [], [], []) == (shop.seen, shop.orders(), site.ran, site.jobs())
    assert 0 == site.errands.pending

    store.is_away = False
    assert 202 == site.request("POST", "/").status_code
    assert (["rollback", "commit"], ["cake"]) == (shop.seen, shop.orders())
    assert ["durable order", "local order"] == sorted(site.ran)


@pytest.mark.parametrize("by", ["asyncio", "anyio"])
async def test_a_request_that_is_cancelled_while_it_stores_leaves_nothing_behind(by: str) -> None:
    """The client saw no answer. A row that stayed would be run when its lease is over."""
    store = Slow()
    errands = Errands(store)
    site = Site(errands)
    sent: list[Message] = []

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "bad")
        background.add_task(site.local, "bad")

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(10), errands.working():
        await cancelled_while_it_stores(store, call(site.app, "/", send), by=by)
        assert ([], [], 0) == (sent, await errands.jobs(), errands.pending)

    assert [] == site.ran


def test_what_was_flushed_is_removed_when_the_handler_raises(site: Site) -> None:
    """`flush` stores at once; the row goes again."""
    stored: list[list[State]] = []

    @site.app.get("/{fate}")
    async def handler(background: BackgroundTasks, fate: str) -> None:
        added = background.add_task(site.durable, fate)
        flushed = await background.flush()
        assert [added.id] == [job.id for job in flushed]
        stored.append([job.state for job in await site.errands.jobs(states=[State.RUNNING])])
        if fate == "bad":
            raise HTTPException(409)

    assert 409 == site.get("/bad").status_code
    assert ([[State.RUNNING]], [], []) == (stored, site.ran, site.jobs())
    assert 200 == site.get("/good").status_code
    assert (["durable good"], [DONE]) == (site.ran, site.states())


def test_what_was_flushed_in_an_except_block_stays(site: Site) -> None:
    """It is the one thing that is kept then."""

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "before")
        try:
            boom()
        except OSError as error:
            background.add_task(site.durable, "tell")
            await background.flush()
            raise HTTPException(502) from error

    assert 502 == site.get("/").status_code
    assert (["durable tell"], [DONE]) == (site.ran, site.states())


def test_an_outer_middleware_that_raises_at_the_start_takes_the_rows_back(site: Site) -> None:
    """The session holds what is no JSON, which comes out when the cookie is written."""
    site.app.add_middleware(SessionMiddleware, secret_key="secret")

    @site.app.get("/")
    def handler(request: Request, background: BackgroundTasks, bad: bool = False) -> None:
        request.session["when"] = object() if bad else "today"
        background.add_task(site.local, "kept")
        background.add_task(site.durable, "kept")

    assert 500 == site.get("/?bad=1").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)
    assert 200 == site.get("/").status_code
    assert ["durable kept", "local kept"] == sorted(site.ran)


def test_an_outer_middleware_may_raise_an_error_that_has_a_handler(site: Site) -> None:
    """Whatever becomes of it, the client did not see the 200 that was on its way."""

    class Refuse:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def refuse(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] == 200:
                    raise HTTPException(400)
                await send(message)

            await self.app(scope, receive, refuse)

    site.app.add_middleware(Refuse)

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")

    assert 400 <= site.get("/").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)


def test_more_than_may_wait_is_answered_with_503(url: str, shop: Shop) -> None:
    """With `Retry-After`; and once what waits has run, the next is let in again."""
    site = Site(Errands(url, max_pending=2))
    go = asyncio.Event()

    async def wait() -> None:
        await go.wait()

    async def let_go() -> None:
        go.set()

    @site.app.post("/", status_code=202)
    async def handler(
        background: BackgroundTasks,
        connection: Annotated[sqlite3.Connection, Depends(shop.transaction)],
        many: int = 1,
    ) -> None:
        order(connection, "cake")
        background.add_task(site.durable, "order")
        for _ in range(many):
            background.add_task(wait)

    with TestClient(site.app) as client:
        assert client.portal is not None
        assert 202 == client.post("/").status_code

        refused = client.post("/?many=2")
        assert (503, "5") == (refused.status_code, refused.headers["retry-after"])
        assert (1, ["commit", "rollback"]) == (site.errands.pending, shop.seen)

        assert 202 == client.post("/").status_code
        assert 503 == client.post("/").status_code

        client.portal.call(let_go)
        client.portal.call(drain, site.errands)
        assert 202 == client.post("/?many=2").status_code
    assert (["cake"] * 3, 3 * [DONE]) == (shop.orders(), site.states())
    assert 3 * ["durable order"] == site.ran


def test_a_handler_may_answer_a_full_queue_itself(url: str) -> None:
    """It is an exception like any other."""
    site = Site(Errands(url, max_pending=1))

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> str:
        background.add_task(site.local, "1")
        try:
            background.add_task(site.local, "2")
        except QueueFull:
            return "later"
        return "now"

    assert "later" == site.get("/").json()
    assert ["local 1"] == site.ran


async def test_a_request_that_is_cancelled_after_its_answer_keeps_what_it_added() -> None:
    """The client has its 200, and a dependency goes on to add something."""
    store = Slow()
    errands = Errands(store)
    site = Site(errands)
    statuses: list[int] = []

    async def late(background: BackgroundTasks) -> AsyncIterator[None]:
        yield
        background.add_task(site.durable, "late")
        background.add_task(site.local, "late")

    @site.app.get("/", dependencies=[Depends(late)])
    async def handler() -> None: ...

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with asyncio.timeout(10), errands.working():
        await cancelled_while_it_stores(store, call(site.app, "/", send), by="anyio")
        await drain(errands, timeout=5)

    assert ([200], ["durable late", "local late"]) == (statuses, sorted(site.ran))


def test_a_middleware_of_functions_may_stand_outside(site: Site) -> None:
    """`@app.middleware` adds outside of ours, wherever it is written."""

    @site.app.middleware("http")
    async def named(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-name"] = "outer"
        return response

    @site.app.get("/{fate}")
    def handler(background: BackgroundTasks, fate: str) -> None:
        background.add_task(site.local, fate)
        background.add_task(site.durable, fate)
        if fate == "bad":
            raise HTTPException(409)

    answer = site.get("/good")
    assert (200, "outer") == (answer.status_code, answer.headers["x-name"])
    assert 409 == site.get("/bad").status_code
    assert ["durable good", "local good"] == sorted(site.ran)
    assert [DONE] == site.states()

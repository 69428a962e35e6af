"""Errands put in place in a FastAPI application: injection, clients, lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from fastapi_site import Site, boom
from starlette.types import Message

import errands as face
from errands import Errands, State
from errands.errors import NoRequest, StoreUnavailable
from errands.fastapi import BackgroundTasks, get_background, setup_errands
from errands.testing import drain

DONE = State.DONE


@pytest.fixture(params=["bare", "lifespan"])
def site(request: pytest.FixtureRequest, errands: Errands) -> Site:
    """An application; once as a bare `TestClient` sees it, and once that was started."""
    return Site(errands, has_lifespan=request.param == "lifespan")


# Putting it in place


def test_tests_may_override_the_bag(site: Site) -> None:
    """`app.dependency_overrides[get_background]`, as with any dependency."""
    added: list[tuple[object, ...]] = []

    class Fake:
        def add_task(self, *call: object) -> None:
            added.append(call)

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "never")

    site.app.dependency_overrides[get_background] = Fake
    assert 200 == site.get("/").status_code
    assert ([(site.durable, "never")], [], []) == (added, site.ran, site.jobs())

    site.app.dependency_overrides.clear()
    assert 200 == site.get("/").status_code
    assert (1, ["durable never"]) == (len(added), site.ran)


def test_the_openapi_schema_does_not_know_us(errands: Errands) -> None:
    """With our parameter and our set-up it is what it is without them."""
    ours, plain = FastAPI(), FastAPI()
    setup_errands(ours, errands)

    def our_dependency(background: BackgroundTasks, token: str) -> str:
        return token

    def dependency(token: str) -> str:
        return token

    @ours.post("/items/{item}", operation_id="make")
    def our_handler(
        item: int, body: dict[str, int], background: BackgroundTasks, query: str | None = None
    ) -> str:
        return ""

    @ours.get("/", operation_id="look", dependencies=[Depends(our_dependency)])
    def our_look(background: face.BackgroundTasks = Depends(get_background)) -> str:  # noqa: B008  # the old style
        return ""

    @plain.post("/items/{item}", operation_id="make", name="our_handler")
    def handler(item: int, body: dict[str, int], query: str | None = None) -> str:
        return ""

    @plain.get("/", operation_id="look", name="our_look", dependencies=[Depends(dependency)])
    def look() -> str:
        return ""

    assert plain.openapi() == ours.openapi()
    assert {"/", "/items/{item}"} == set(ours.openapi()["paths"])


LATER = """
from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI

from errands import BackgroundTasks as Bag
from errands.fastapi import BackgroundTasks, get_background

app = FastAPI()
ran: list[str] = []


def dependency(background: BackgroundTasks) -> str:
    background.add_task(ran.append, "dependency")
    return "value"


@app.get("/")
async def handler(
    background: BackgroundTasks,
    value: Annotated[str, Depends(dependency)],
    old: Bag = Depends(get_background),
) -> str:
    background.add_task(ran.append, "handler")
    old.add_task(ran.append, "old")
    return value
"""


def test_annotations_may_be_evaluated_later(errands: Errands) -> None:
    """`from __future__ import annotations` makes each of them a string."""
    module: dict[str, Any] = {"__name__": "later"}
    exec(LATER, module)
    setup_errands(module["app"], errands)

    assert "value" == TestClient(module["app"]).get("/").json()
    assert ["dependency", "handler", "old"] == module["ran"]


def test_a_middleware_that_was_there_before_stays_outside(errands: Errands) -> None:
    """From further out, nobody could tell whether a handler raised or returned."""
    app, ran = FastAPI(), list[str]()

    @app.middleware("http")
    async def passes(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    setup_errands(app, errands)

    @app.get("/{fate}")
    def handler(background: BackgroundTasks, fate: str) -> None:
        background.add_task(ran.append, fate)
        if fate == "bad":
            raise HTTPException(409)

    client = TestClient(app)
    assert [200, 409] == [client.get(f"/{fate}").status_code for fate in ("good", "bad")]
    assert ["good"] == ran


def test_without_set_up_the_error_says_what_to_do() -> None:
    """Not a `KeyError` from somewhere below."""
    app = FastAPI()

    @app.get("/")
    def handler(background: BackgroundTasks) -> None: ...

    with pytest.raises(NoRequest, match=r"setup_errands\(app, errands\)"):
        TestClient(app).get("/")


def test_a_bare_client_waits_for_what_was_added(errands: Errands) -> None:
    """All has ended when the call returns, as with Starlette's tasks; nothing stays open."""
    site = Site(errands)

    async def slow() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        site.ran.append("slow")

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(slow)
        background.add_task(site.durable, "1")

    client = TestClient(site.app)
    for turn in (1, 2):
        client.get("/")
        assert [*["durable 1"] * turn, *["slow"] * turn] == sorted(site.ran)
        assert (False, 0) == (errands.is_open, errands.pending)


def test_a_client_with_lifespan_does_not_wait_but_its_end_does(errands: Errands) -> None:
    """The answer is there while the tasks are held up."""
    site = Site(errands)
    go = asyncio.Event()
    hold = errands.task(name="hold")

    @hold
    async def held() -> None:
        await go.wait()
        site.ran.append("durable")

    async def held_local() -> None:
        await go.wait()
        site.ran.append("local")

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> str:
        background.add_task(held)
        background.add_task(held_local)
        return "answered"

    async def let_go() -> None:
        go.set()

    with TestClient(site.app) as client:
        assert client.portal is not None
        assert "answered" == client.get("/").json()
        assert ([], 1, True) == (site.ran, errands.pending, errands.is_open)
        client.portal.call(let_go)

    assert ["durable", "local"] == sorted(site.ran)
    assert ([DONE], False) == (site.states(), errands.is_open)


async def test_requests_through_an_asgi_transport_run_their_tasks_inline(
    errands: Errands,
) -> None:
    """The transport of httpx sends no lifespan."""
    site = Site(errands)

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "1")
        background.add_task(site.durable, "1")

    transport = httpx.ASGITransport(app=site.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert 200 == (await client.get("/")).status_code

    assert ["durable 1", "local 1"] == sorted(site.ran)
    assert (False, 0) == (errands.is_open, errands.pending)


async def test_requests_at_once_without_a_lifespan_run_their_tasks_inline(
    errands: Errands,
) -> None:
    """One has come and gone while the other is still in its handler."""
    site = Site(errands)
    entered, go = asyncio.Event(), asyncio.Event()

    @site.app.get("/{word}")
    async def handler(background: BackgroundTasks, word: str) -> None:
        if word == "slow":
            entered.set()
            await go.wait()
        background.add_task(site.local, word)
        background.add_task(site.durable, word)

    transport = httpx.ASGITransport(app=site.app)
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        slow = asyncio.create_task(client.get("/slow"))
        await entered.wait()
        assert 200 == (await client.get("/quick")).status_code
        assert ["durable quick", "local quick"] == sorted(site.ran)
        site.ran.clear()
        go.set()
        assert 200 == (await slow).status_code

    assert ["durable slow", "local slow"] == sorted(site.ran)
    assert (False, 0) == (errands.is_open, errands.pending)


async def test_the_first_of_two_requests_without_a_lifespan_may_end_first(
    errands: Errands,
) -> None:
    """The store stays open for the second."""
    site = Site(errands)
    first_in, second_in, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @site.app.get("/{word}")
    async def handler(background: BackgroundTasks, word: str) -> None:
        if word == "first":
            first_in.set()
            await second_in.wait()
        else:
            second_in.set()
            await go.wait()
        background.add_task(site.local, word)
        background.add_task(site.durable, word)

    transport = httpx.ASGITransport(app=site.app)
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        first = asyncio.create_task(client.get("/first"))
        await first_in.wait()
        second = asyncio.create_task(client.get("/second"))
        done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        assert {first} == done
        assert ["durable first", "local first"] == sorted(site.ran)
        site.ran.clear()
        go.set()
        assert (200, 200) == (first.result().status_code, (await second).status_code)

    assert ["durable second", "local second"] == sorted(site.ran)
    assert (False, 0) == (errands.is_open, errands.pending)


# Lifespan


def lived(app: FastAPI, errands: Errands, notes: list[str]) -> None:
    """Serve one request of an application whose life is noted."""

    @errands.task(name="held")
    async def held() -> None:
        await asyncio.sleep(0)
        notes.append("durable ran")

    async def held_local() -> None:
        await asyncio.sleep(0)
        notes.append("local ran")

    @app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        notes.append("serving")
        background.add_task(held)
        background.add_task(held_local)

    with TestClient(app) as client:
        notes.append("open" if errands.is_open else "closed")
        assert 200 == client.get("/").status_code
    assert not errands.is_open


FORMS = ["manager", "manager with state", "lists", "router lifespan"]


@pytest.mark.parametrize("form", FORMS)
def test_errands_live_inside_the_life_of_the_application(errands: Errands, form: str) -> None:
    """Its pools are open before the first task, and are closed after the last."""
    notes: list[str] = []

    def note(word: str) -> None:
        notes.append(f"user {word}, errands {'open' if errands.is_open else 'closed'}")

    @asynccontextmanager
    async def plain(app: FastAPI) -> AsyncIterator[None]:
        note("up")
        yield
        note("down")

    @asynccontextmanager
    async def stateful(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        note("up")
        yield {"pool": "a pool"}
        note("down")

    if form == "lists":
        app = FastAPI(on_startup=[lambda: note("up")], on_shutdown=[lambda: note("down")])
    elif form == "router lifespan":
        app = FastAPI()
        app.include_router(APIRouter(lifespan=plain))
    else:
        app = FastAPI(lifespan=stateful if form == "manager with state" else plain)
    setup_errands(app, errands)

    @app.get("/state")
    def state(request: Request) -> str:
        return str(request.state.pool)

    lived(app, errands, notes)
    assert ["user up, errands closed", "open", "serving"] == notes[:3]
    assert ["durable ran", "local ran"] == sorted(notes[3:5])
    assert ["user down, errands closed"] == notes[5:]
    if form == "manager with state":
        with TestClient(app) as client:
            assert "a pool" == client.get("/state").json()


@pytest.mark.parametrize("form", ["manager", "lists"])
def test_a_store_that_cannot_be_opened_makes_the_start_fail(tmp_path: Path, form: str) -> None:
    """And the application is taken down again in order."""
    (tmp_path / "errands.db").write_bytes(b"this is no database, but it is long enough\n" * 99)
    errands = Errands(f"sqlite:///{tmp_path}/errands.db")
    notes: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        notes.append("up")
        try:
            yield
        finally:
            notes.append("down")

    if form == "lists":
        app = FastAPI(on_startup=[lambda: notes.append("up")])
    else:
        app = FastAPI(lifespan=lifespan)
    setup_errands(app, errands)

    with pytest.raises(StoreUnavailable), TestClient(app):
        pass
    assert (["up", "down"][: 1 if form == "lists" else 2], False) == (notes, errands.is_open)


async def test_a_start_that_failed_is_told_to_the_server(tmp_path: Path) -> None:
    """It hears `lifespan.startup.failed`, and never `complete`."""
    (tmp_path / "errands.db").write_bytes(b"this is no database, but it is long enough\n" * 99)
    app, sent = FastAPI(), list[str]()
    setup_errands(app, Errands(f"sqlite:///{tmp_path}/errands.db"))

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    with pytest.raises(StoreUnavailable):
        await app(scope, receive, send)
    assert ["lifespan.startup.failed"] == sent


def test_an_application_whose_own_start_fails_opens_nothing(errands: Errands) -> None:
    """Ours comes after it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        boom()
        yield

    app = FastAPI(lifespan=lifespan)
    setup_errands(app, errands)

    with pytest.raises(OSError, match="smtp"), TestClient(app):
        pass
    assert not errands.is_open


def test_jobs_of_the_user_s_start_up_are_run(errands: Errands) -> None:
    """What was kept before this process started is not forgotten by it."""
    site = Site(errands)
    asyncio.run(_keep(site))
    assert [State.QUEUED] == site.states()

    with TestClient(site.app) as client:
        assert client.portal is not None
        client.portal.call(drain, errands)
    assert (["durable early"], [DONE]) == (site.ran, site.states())


async def _keep(site: Site) -> None:
    async with site.errands:
        await site.errands.add_task(site.durable, "early")

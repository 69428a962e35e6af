"""Background tasks in a FastAPI application: that they run, in which order and context."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal

import fastapi
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from fastapi.testclient import TestClient
from fastapi_site import Shop, Site, boom, handler_of, order
from starlette.background import BackgroundTask
from starlette.types import ASGIApp, Receive, Scope, Send

import errands as face
from errands import Declared, Errands, State
from errands.fastapi import BackgroundTasks, setup_errands

DONE = State.DONE
Lifetime = Literal["request", "function"]
LIFETIMES: tuple[Lifetime, ...] = ("request", "function")
each_scope = pytest.mark.parametrize("scope", LIFETIMES)
words: ContextVar[str] = ContextVar("words", default="nothing")


@pytest.fixture(params=["bare", "lifespan"])
def site(request: pytest.FixtureRequest, errands: Errands) -> Site:
    """An application; once as a bare `TestClient` sees it, and once that was started."""
    return Site(errands, has_lifespan=request.param == "lifespan")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


def durable_boom(errands: Errands) -> Declared[[], None]:
    """A declared task that fails."""

    @errands.task(name="fails")
    def fails() -> None:
        boom()

    return fails


# A task that raises


def test_a_task_that_raises_stops_neither_the_later_ones_nor_the_next_request(site: Site) -> None:
    """Tasks of both kinds fail, between others of both kinds."""
    fails = durable_boom(site.errands)

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> str:
        background.add_task(site.local, "1")
        background.add_task(boom)
        background.add_task(fails)
        background.add_task(site.durable, "2")
        background.add_task(site.async_local, "3")
        return "fine"

    for _ in range(2):
        site.ran.clear()
        answer = site.get("/")
        assert (200, "fine") == (answer.status_code, answer.json())
        assert ["durable 2", "local 1", "local 3"] == sorted(site.ran)
    assert [State.FAILED, DONE] * 2 == site.states()


def test_local_tasks_run_one_after_another_in_the_order_added(site: Site) -> None:
    """Sync and async ones alike: none begins before the one before has ended."""

    async def slow(word: str) -> None:
        site.ran.append(f"{word} begins")
        for _ in range(5):
            await asyncio.sleep(0)
        site.ran.append(f"{word} ends")

    @site.app.get("/")
    async def handler(background: BackgroundTasks) -> None:
        background.add_task(slow, "1")
        background.add_task(site.local, "2")
        background.add_task(slow, "3")

    site.get("/")
    assert ["1 begins", "1 ends", "local 2", "3 begins", "3 ends"] == site.ran


@each_scope
@pytest.mark.parametrize("kind", ["local", "durable"])
def test_a_task_that_raises_leaves_the_transaction_committed(
    site: Site, shop: Shop, scope: Lifetime, kind: str
) -> None:
    """The client was told that the order is stored, so it is."""
    task = durable_boom(site.errands) if kind == "durable" else boom

    @site.app.post("/", status_code=201)
    def handler(
        background: BackgroundTasks,
        connection: Annotated[sqlite3.Connection, Depends(shop.transaction, scope=scope)],
    ) -> None:
        order(connection, "cake")
        background.add_task(task)

    assert 201 == site.request("POST", "/").status_code
    assert (["commit"], ["cake"]) == (shop.seen, shop.orders())
    assert [State.FAILED] * (kind == "durable") == site.states()


# What the handler returns


ANSWERS: dict[str, Callable[[], Any]] = {
    "json": lambda: {"a": 1},
    "nothing": lambda: None,
    "plain": lambda: Response("plain"),
    "text": lambda: PlainTextResponse("text"),
    "redirect": lambda: RedirectResponse("/elsewhere", 303),
    "empty": lambda: Response(status_code=204),
    "stream": lambda: StreamingResponse(iter(["a", "b"])),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_the_handler_returns_its_tasks_run(site: Site, answer: str) -> None:
    """Both kinds of tasks, once each."""

    @site.app.get("/", response_model=None)
    def handler(background: BackgroundTasks) -> Any:
        background.add_task(site.local, "kept")
        background.add_task(site.durable, "kept")
        return ANSWERS[answer]()

    assert site.get("/").status_code in (200, 204, 303)
    assert ["durable kept", "local kept"] == sorted(site.ran)


def test_a_response_with_tasks_of_its_own_stands_beside_ours(site: Site) -> None:
    """FastAPI forgets the injected ones then; ours run, and its own do, too."""

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> JSONResponse:
        background.add_task(site.local, "ours")
        background.add_task(site.durable, "ours")
        return JSONResponse({}, background=BackgroundTask(site.local, "its own"))

    assert 200 == site.get("/").status_code
    assert ["durable ours", "local its own", "local ours"] == sorted(site.ran)


def test_the_tasks_of_fastapi_run_beside_ours(site: Site) -> None:
    """One handler may take both, while an application is being moved over."""

    @site.app.get("/")
    def handler(background: BackgroundTasks, native: fastapi.BackgroundTasks) -> str:
        background.add_task(site.local, "ours")
        native.add_task(site.local, "native")
        background.add_task(site.durable, "ours")
        return "fine"

    assert "fine" == site.get("/").json()
    assert ["durable ours", "local native", "local ours"] == sorted(site.ran)


def test_a_native_task_that_raises_does_not_take_ours_along(site: Site) -> None:
    """The client has its 200, so what was added is kept."""

    @site.app.get("/")
    def handler(background: BackgroundTasks, native: fastapi.BackgroundTasks) -> None:
        native.add_task(boom)
        background.add_task(site.local, "ours")
        background.add_task(site.durable, "ours")

    assert 200 == site.get("/").status_code
    assert ["durable ours", "local ours"] == sorted(site.ran)


def test_ours_attached_to_a_response_by_habit_run_once(site: Site) -> None:
    """`Response(background=background)` is what one writes with Starlette's class."""

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> JSONResponse:
        background.add_task(site.local, "once")
        background.add_task(site.durable, "once")
        return JSONResponse({}, background=background)  # type: ignore[arg-type]

    assert 200 == site.get("/").status_code
    assert ["durable once", "local once"] == sorted(site.ran)


# Routers and mounts


def test_routers_with_dependencies_share_the_bag(site: Site) -> None:
    """Those of the application, of the router, of its inclusion and of the route."""

    def adds(word: str) -> Any:
        def dependency(background: BackgroundTasks) -> None:
            background.add_task(site.local, word)

        return Depends(dependency)

    router = APIRouter(prefix="/inner", dependencies=[adds("router")])

    @router.get("/", dependencies=[adds("route")])
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "handler")
        background.add_task(site.durable, "handler")

    site.app.include_router(router, prefix="/outer", dependencies=[adds("inclusion")])

    assert 200 == site.get("/outer/inner/").status_code
    assert ["local inclusion", "local router", "local route", "local handler"] == [
        word for word in site.ran if word != "durable handler"
    ]
    assert [DONE] == site.states()


def test_a_mounted_application_uses_the_bag_of_its_parent(site: Site) -> None:
    """It needs no set-up of its own, and what it raises is told apart as well."""
    child = FastAPI()

    @child.get("/{fate}")
    def handler(background: BackgroundTasks, fate: str) -> None:
        background.add_task(site.local, fate)
        background.add_task(site.durable, fate)
        if fate == "bad":
            raise HTTPException(409)

    site.app.mount("/child", child)

    assert 200 == site.get("/child/good").status_code
    assert 409 == site.get("/child/bad").status_code
    assert ["durable good", "local good"] == sorted(site.ran)
    assert [DONE] == site.states()


def test_only_a_mounted_application_may_be_set_up(site: Site) -> None:
    """It sees no lifespan, so its tasks run before its answer ends."""
    parent = FastAPI()
    parent.mount("/child", site.app)

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "kept")
        background.add_task(site.durable, "kept")

    with TestClient(parent) as client:
        assert 200 == client.get("/child/").status_code
        assert ["durable kept", "local kept"] == sorted(site.ran)
    assert [DONE] == site.states()


def test_parent_and_mounted_application_may_both_be_set_up(site: Site) -> None:
    """With the same `Errands`; each task runs once."""
    child = FastAPI()
    setup_errands(child, site.errands)

    @child.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "once")
        background.add_task(site.durable, "once")

    site.app.mount("/child", child)

    assert 200 == site.get("/child/").status_code
    assert ["durable once", "local once"] == sorted(site.ran)


# Context


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_local_tasks_see_the_context_in_which_they_were_added(site: Site, is_async: bool) -> None:
    """Also what a sync handler has set, which Starlette's tasks do not see."""

    def look(word: str) -> None:
        site.ran.append(f"{word} sees {words.get()}")

    async def async_look(word: str) -> None:
        look(word)

    async def dependency(background: BackgroundTasks) -> None:
        words.set("dependency")
        background.add_task(look, "1")

    def work(background: face.BackgroundTasks) -> None:
        before = words.get()
        words.set("handler")
        background.add_task(look, f"2 after {before}")
        background.add_task(async_look, "3")

    route = site.app.get("/", dependencies=[Depends(dependency)])
    route(handler_of(work, is_async=is_async))

    assert 200 == site.get("/").status_code
    assert [
        "1 sees dependency", "2 after dependency sees handler", "3 sees handler"
    ] == site.ran  # fmt: skip


def test_a_middleware_sets_the_context_for_tasks(site: Site) -> None:
    """A request id, for example."""

    class Named:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            token = words.set("middleware")
            try:
                await self.app(scope, receive, send)
            finally:
                words.reset(token)

    site.app.add_middleware(Named)

    @site.app.get("/")
    def handler(background: BackgroundTasks) -> None:
        background.add_task(lambda: site.ran.append(words.get()))

    assert 200 == site.get("/").status_code
    assert ["middleware"] == site.ran

"""Background tasks of FastAPI's dependencies, also of those that yield."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import pytest
from fastapi import Depends, HTTPException, Request
from fastapi_site import Shop, Site, order

import errands as face
from errands import Errands, State
from errands.fastapi import BackgroundTasks, get_background

DONE = State.DONE
Lifetime = Literal["request", "function"]
LIFETIMES: tuple[Lifetime, ...] = ("request", "function")
each_scope = pytest.mark.parametrize("scope", LIFETIMES)


@pytest.fixture(params=["bare", "lifespan"])
def site(request: pytest.FixtureRequest, errands: Errands) -> Site:
    """An application; once as a bare `TestClient` sees it, and once that was started."""
    return Site(errands, has_lifespan=request.param == "lifespan")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


# One bag


def test_the_handler_and_its_dependencies_share_one_bag(site: Site) -> None:
    """Sync and async, direct and of dependencies, cached and not; in FastAPI's order."""
    bags: list[object] = []

    def note(background: face.BackgroundTasks, word: str) -> None:
        bags.append(background)
        background.add_task(site.local, word)

    async def inner(background: BackgroundTasks) -> None:
        note(background, "inner")

    def outer(background: BackgroundTasks, _: Annotated[None, Depends(inner)]) -> None:
        note(background, "outer")

    class Instance:
        async def __call__(self, background: BackgroundTasks) -> None:
            note(background, "instance")

    @site.app.get("/", dependencies=[Depends(inner, use_cache=False), Depends(Instance())])
    async def handler(
        background: BackgroundTasks,
        one: Annotated[None, Depends(outer)],
        two: Annotated[None, Depends(outer, use_cache=False)],
        other: Annotated[face.BackgroundTasks, Depends(get_background, use_cache=False)],
        request: Request,
    ) -> None:
        note(background, "handler")
        note(other, "other")
        note(face.BackgroundTasks.of(request), "of(request)")
        note(face.BackgroundTasks.of(), "of()")

    assert 200 == site.get("/").status_code
    assert 1 == len({id(bag) for bag in bags})
    assert [
        "local inner", "local instance", "local outer", "local outer", "local handler",
        "local other", "local of(request)", "local of()",
    ] == site.ran  # fmt: skip


def test_the_next_request_has_a_bag_of_its_own(site: Site) -> None:
    """What one added is not run again by the other."""

    @site.app.get("/{word}")
    def handler(background: BackgroundTasks, word: str) -> None:
        background.add_task(site.local, word)

    site.get("/1")
    site.get("/2")
    assert ["local 1", "local 2"] == site.ran


def test_the_old_style_of_a_default_works(site: Site) -> None:
    """`= Depends(get_background)`, as it was written before `Annotated`."""

    @site.app.get("/")
    def handler(background: face.BackgroundTasks = Depends(get_background)) -> None:  # noqa: B008  # the old style
        background.add_task(site.local, "old")
        background.add_task(site.durable, "old")

    assert 200 == site.get("/").status_code
    assert ["durable old", "local old"] == sorted(site.ran)


# Dependencies that yield


@each_scope
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_tasks_that_are_added_after_yield_run(site: Site, scope: Lifetime, is_async: bool) -> None:
    """FastAPI loses those of the default scope, as its response has been sent by then."""

    async def async_dependency(background: BackgroundTasks) -> AsyncIterator[None]:
        background.add_task(site.local, "before")
        yield
        background.add_task(site.local, "after")
        background.add_task(site.durable, "after")

    def dependency(background: BackgroundTasks) -> Iterator[None]:
        background.add_task(site.local, "before")
        yield
        background.add_task(site.local, "after")
        background.add_task(site.durable, "after")

    chosen = async_dependency if is_async else dependency

    @site.app.get("/", dependencies=[Depends(chosen, scope=scope)])
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "handler")

    assert 200 == site.get("/").status_code
    local = [word for word in site.ran if word.startswith("local")]
    assert ["local before", "local handler", "local after"] == local
    assert ["durable after"] == [word for word in site.ran if word not in local]
    assert [DONE] == site.states()


@each_scope
def test_a_dependency_that_swallows_the_exception_does_not_save_the_tasks(
    site: Site, scope: Lifetime
) -> None:
    """The client gets a 500, since there is no response; nothing was promised."""

    def swallow() -> Iterator[None]:
        with suppress(HTTPException):
            yield

    @site.app.get("/", dependencies=[Depends(swallow, scope=scope)])
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")
        raise HTTPException(409)

    assert 500 == site.get("/").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)


@each_scope
def test_a_dependency_that_converts_the_exception_does_not_save_the_tasks(
    site: Site, scope: Lifetime
) -> None:
    """It is an exception all the same, and the answer is made from it."""

    def convert() -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            raise HTTPException(418) from error

    @site.app.get("/", dependencies=[Depends(convert, scope=scope)])
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.local, "bad")
        background.add_task(site.durable, "bad")
        raise KeyError

    assert 418 == site.get("/").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)


@each_scope
@pytest.mark.parametrize("kind", ["local", "durable"])
def test_tasks_see_what_the_transaction_of_the_request_committed(
    site: Site, shop: Shop, scope: Lifetime, kind: str
) -> None:
    """The order is: commit, then task. Each looks through a connection of its own."""

    def look(name: str) -> None:
        shop.seen.append(f"{name} sees {shop.orders()}")

    durable_look = site.errands.task(name="look")(look)

    @site.app.get("/")
    def handler(
        background: BackgroundTasks,
        connection: Annotated[sqlite3.Connection, Depends(shop.transaction, scope=scope)],
    ) -> None:
        background.add_task(durable_look if kind == "durable" else look, "task")
        order(connection, "cake")

    assert 200 == site.get("/").status_code
    assert ["commit", "task sees ['cake']"] == shop.seen


def test_a_commit_that_fails_after_the_answer_leaves_the_tasks(site: Site) -> None:
    """The 200 was sent: what it promised is kept, whatever a dependency does afterwards."""

    def commit() -> Iterator[None]:
        yield
        raise OSError("the database went away")

    @site.app.get("/", dependencies=[Depends(commit)])
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "kept")
        background.add_task(site.local, "kept")

    assert 200 == site.get("/").status_code
    assert ["durable kept", "local kept"] == sorted(site.ran)


def test_a_commit_that_fails_before_the_answer_drops_the_tasks(site: Site) -> None:
    """With `scope="function"` the client is told."""

    def commit() -> Iterator[None]:
        yield
        raise OSError("the database went away")

    @site.app.get("/", dependencies=[Depends(commit, scope="function")])
    def handler(background: BackgroundTasks) -> None:
        background.add_task(site.durable, "bad")
        background.add_task(site.local, "bad")

    assert 500 == site.get("/").status_code
    assert ([], [], 0) == (site.ran, site.jobs(), site.errands.pending)

"""FastHTML: what a request that fails leaves behind, and what a task that fails does not break."""

import logging
from pathlib import Path
from typing import Any

import pytest
from asgi_driver import Peer
from fasthtml.common import P
from fasthtml_site import Site
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.testclient import TestClient

from errands import State
from errands.fasthtml import BackgroundTasks


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(name="site")
def new_site(tmp_path: Path, is_async: bool, is_durable: bool) -> Site:
    return Site(tmp_path, is_async=is_async, is_durable=is_durable)


class OutOfStock(Exception):
    """An error of the application's own."""


# A task that fails


def test_a_local_task_that_raises_stops_nothing(
    tmp_path: Path, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The later ones run, the next request is answered, and the log names the task."""
    site = Site(tmp_path, is_async=is_async)

    def boom() -> None:
        raise ZeroDivisionError("no disk")

    async def boom_too() -> None:
        boom()

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "first")
        background.add_task(boom)
        background.add_task(site.note, "second")
        background.add_task(boom_too)
        background.add_task(site.note, "third")
        return P("page")

    with TestClient(site.app) as client:  # which raises whatever leaves the application
        statuses = [client.get("/page").status_code for _ in range(2)]

    failed = [record for record in caplog.records if record.name == "errands.local"]
    assert [200, 200] == statuses
    assert sorted(["first", "second", "third"] * 2) == sorted(site.notes)
    assert [logging.ERROR] * 4 == [record.levelno for record in failed]
    assert 4 == sum("boom" in record.getMessage() for record in failed)


def test_a_durable_task_that_raises_stops_nothing(tmp_path: Path, is_async: bool) -> None:
    """It ends as failed, with its traceback; those beside it are done."""
    site = Site(tmp_path, is_async=is_async, is_durable=True)

    @site.errands.task(name="boom")
    def boom() -> None:
        raise ZeroDivisionError("no disk")

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(boom)
        background.add_task(site.note, "beside")
        return P("page")

    with TestClient(site.app) as client:
        statuses = [client.get("/page").status_code for _ in range(2)]

    jobs = site.jobs()
    assert [200, 200] == statuses
    assert ["beside", "beside"] == site.notes
    assert {("boom", State.FAILED), ("note", State.DONE)} == {(job.task, job.state) for job in jobs}
    assert "ZeroDivisionError: no disk" in next(job.error or "" for job in jobs if job.error)


@pytest.mark.parametrize("is_bare", [False, True], ids=["lifespan", "bare"])
def test_the_error_of_a_task_never_leaves_the_application(
    tmp_path: Path, is_durable: bool, is_bare: bool
) -> None:
    """A server would close the connection; a test client would raise it."""
    site = Site(tmp_path)

    def boom() -> None:
        raise ZeroDivisionError

    task: Any = site.errands.task(name="boom")(boom) if is_durable else boom

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(task)
        return P("page")

    if is_bare:
        response = TestClient(site.app).get("/page")
    else:
        with TestClient(site.app) as client:
            response = client.get("/page")

    assert 200 == response.status_code


# A handler that raises


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPException(404), 404),
        (HTTPException(409, "taken"), 409),
        (HTTPException(503), 503),
        (ValueError("a bug"), 500),
        (OutOfStock(), 500),
    ],
    ids=repr,
)
def test_what_a_handler_added_before_it_raised_is_dropped(
    site: Site, error: Exception, status: int
) -> None:
    """Nothing runs, and the store keeps nothing."""

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        raise error

    response = site.visit("/page")

    assert status == response.status_code
    assert [] == site.notes
    assert [] == site.jobs()
    assert 0 == site.errands.pending


def test_a_parameter_that_fasthtml_cannot_fill_drops_what_was_added(
    tmp_path: Path, is_durable: bool
) -> None:
    """Missing is 400, of a wrong kind is 404; `before` had added something by then."""

    def before(background: BackgroundTasks) -> None:
        background.add_task(site.note, "dropped")
        background.on_error(site.note, "refused")

    site = Site(tmp_path, is_durable=is_durable, before=before)

    @site.get("/page")
    def page(count: int, background: BackgroundTasks) -> Any:
        background.add_task(site.note, f"ran {count}")
        return P("page")

    with site.client() as client:
        paths = ("/page", "/page?count=many", "/page?count=3")
        statuses = [client.get(path).status_code for path in paths]

    assert [400, 404, 200] == statuses
    assert ["dropped", "ran 3", "refused", "refused"] == sorted(site.notes)


def test_a_file_that_is_not_there_drops_what_was_added(site: Site, tmp_path: Path) -> None:
    """FastHTML raises for the handler, once it has looked at the response."""

    @site.get("/file")
    def file(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        return FileResponse(tmp_path / "nowhere.txt")

    response = site.visit("/file")

    assert 404 == response.status_code
    assert [] == site.notes
    assert [] == site.jobs()


def test_a_before_that_raises_drops_what_was_added(tmp_path: Path, is_durable: bool) -> None:
    """It is as much a part of the request as its handler is."""

    def before(background: BackgroundTasks) -> None:
        background.add_task(site.note, "dropped")
        raise HTTPException(403)

    site = Site(tmp_path, is_durable=is_durable, before=before)

    @site.get("/page")
    def page() -> Any:
        return P("page")

    response = site.visit("/page")

    assert 403 == response.status_code
    assert [] == site.notes


def test_an_after_that_raises_drops_what_the_handler_added(
    tmp_path: Path, is_durable: bool
) -> None:
    """The client gets a 500, so nothing was promised."""

    def after(resp) -> None:  # type: ignore[no-untyped-def]  # filled by its name
        raise ValueError(f"{resp} is not what was expected")

    site = Site(tmp_path, is_durable=is_durable, after=after)

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        return P("page")

    response = site.visit("/page")

    assert 500 == response.status_code
    assert [] == site.notes
    assert [] == site.jobs()


async def test_what_was_flushed_is_removed_when_the_handler_raises(tmp_path: Path) -> None:
    """A job that was stored on purpose goes with its request, and never started."""
    site = Site(tmp_path, is_durable=True)
    seen: list[tuple[str, State]] = []

    @site.app.get("/page")
    async def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        flushed = await background.flush()
        seen.extend((job.id, State.RUNNING) for job in flushed)
        seen.extend((job.id, job.state) for job in await site.errands.jobs())
        raise HTTPException(404)

    async with site.errands.working():
        await (client := Peer()).get(site.app, "/page")
        left = await site.errands.jobs()

    assert 404 == client.status
    assert 2 == len(seen)
    assert seen[0] == seen[1]
    assert [] == left
    assert [] == site.notes

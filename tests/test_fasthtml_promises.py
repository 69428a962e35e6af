"""FastHTML: a response that the client saw means stored; where that fails, nothing is kept."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asgi_driver import Peer
from fasthtml.common import EventStream, FastHTML, P, sse_message
from fasthtml_site import Site
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from errands import Errands, Job, OnConflict, State
from errands.errors import StoreUnavailable
from errands.fasthtml import BackgroundTasks, setup_errands
from errands.stores.memory import MemoryStore
from errands.testing import drain


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(name="site")
def new_site(tmp_path: Path, is_async: bool, is_durable: bool) -> Site:
    return Site(tmp_path, is_async=is_async, is_durable=is_durable)


async def test_jobs_are_stored_before_the_response_starts(
    tmp_path: Path, is_async: bool, url: str
) -> None:
    """Whoever sees a 2xx may rely on it: at that moment the store was asked."""
    site = Site(tmp_path, is_async=is_async, is_durable=True, url=url)
    stored: dict[str, list[tuple[str, State]]] = {}
    notes: dict[str, list[str]] = {}

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "promised")
        return P("page")

    async def look(message: Any) -> None:
        jobs = await site.errands.jobs()
        stored[message["type"]] = [(job.task, job.state) for job in jobs]
        notes[message["type"]] = list(site.notes)

    async with site.errands.working():
        await (client := Peer(watch=look)).get(site.app, "/page")
        await drain(site.errands)

    assert 200 == client.status
    assert [("note", State.RUNNING)] == stored["http.response.start"]  # held for this process
    assert [] == notes["http.response.start"]
    assert ["promised"] == site.notes


async def test_what_a_stream_adds_is_stored_before_it_sends_more(tmp_path: Path) -> None:
    """Whoever sees the chunk may rely on what was added before it; nothing starts meanwhile."""
    site = Site(tmp_path, is_durable=True)
    stored: list[int] = []
    notes: list[int] = []

    @site.app.get("/events")
    async def events(background: BackgroundTasks) -> Any:
        async def stream() -> AsyncIterator[str]:
            for number in range(3):
                background.add_task(site.note, str(number))
                yield sse_message(P(number))

        return EventStream(stream())

    async def look(message: Any) -> None:
        if message.get("body"):
            stored.append(len(await site.errands.jobs()))
            notes.append(len(site.notes))

    async with site.errands.working():
        await (client := Peer(watch=look)).get(site.app, "/events")
        await drain(site.errands)

    assert 200 == client.status
    assert [1, 2, 3] == stored
    assert [0, 0, 0] == notes
    assert ["0", "1", "2"] == sorted(site.notes)


async def test_jobs_of_a_request_that_raised_are_never_stored(tmp_path: Path) -> None:
    """At no moment could another worker have seen them."""
    site = Site(tmp_path, is_durable=True)
    stored: list[Job] = []

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        raise HTTPException(404)

    async def look(message: Any) -> None:
        stored.extend(await site.errands.jobs() if message else [])

    async with site.errands.working():
        await (client := Peer(watch=look)).get(site.app, "/page")

    assert 404 == client.status
    assert [] == stored


class FullStore(MemoryStore):
    """A store that cannot write."""

    async def add(self, jobs: Any, on_conflict: OnConflict = "keep") -> list[Job]:
        raise StoreUnavailable("the disk is full")


@pytest.mark.parametrize(
    ("handles", "text"),
    [(False, "Internal Server Error"), (True, "/page: the disk is full")],
    ids=["no handler", "a handler of 500"],
)
def test_a_store_that_fails_makes_a_5xx_that_keeps_nothing(
    tmp_path: Path, is_async: bool, handles: bool, text: str
) -> None:
    """A 2xx would be a lie; local tasks of the same request are dropped with the jobs."""

    async def broken(req: Request, exc: Exception) -> Any:
        return PlainTextResponse(f"{req.url.path}: {exc}", status_code=500)

    errands = Errands(FullStore())
    site = Site(tmp_path, is_async=is_async)
    handlers = {500: broken} if handles else {}
    app: Any = FastHTML(key_fname=str(tmp_path / ".sesskey"), exception_handlers=handlers)
    setup_errands(app, errands)

    @errands.task(name="job")
    def job() -> None:
        site.note("job")

    @app.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "local")
        background.add_task(job)
        return P("page")

    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/page")

    assert (500, text) == (response.status_code, response.text)
    assert [] == site.notes
    assert 0 == errands.pending


def test_a_session_that_cannot_be_written_drops_what_was_added(site: Site) -> None:
    """The response fails outside of us, on its way: what was stored for it is removed."""

    @site.get("/page")
    def page(background: BackgroundTasks, sess) -> Any:  # type: ignore[no-untyped-def]  # by its name
        sess["handler"] = page  # no JSON
        background.add_task(site.note, "dropped")
        return P("page")

    response = site.visit("/page")

    assert 500 == response.status_code
    assert [] == site.notes
    assert [] == site.jobs()


def test_too_much_in_the_background_is_answered_with_503(tmp_path: Path, is_async: bool) -> None:
    """The visitor may come again; nothing of the request runs."""
    site = Site(tmp_path, is_async=is_async)
    site.errands = Errands("memory:", max_pending=2)
    app: Any = FastHTML(key_fname=str(tmp_path / ".sesskey"))
    setup_errands(app, site.errands)

    def page(background: BackgroundTasks, count: int) -> Any:
        for _ in range(count):
            background.add_task(site.note, "ran")
        return P("page")

    site.app = app
    site.get("/page")(page)
    with site.client() as client:
        refused = client.get("/page?count=3")
        accepted = client.get("/page?count=2")

    assert (503, 200) == (refused.status_code, accepted.status_code)
    assert "5" == refused.headers["retry-after"]
    assert ["ran", "ran"] == site.notes

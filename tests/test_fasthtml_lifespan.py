"""FastHTML: from start to stop, and without a start, as test clients have it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fasthtml.common import Client, FastHTML, P, fast_app
from fasthtml_site import PATIENCE, Site
from starlette.requests import Request
from starlette.testclient import TestClient

from errands import Errands, State
from errands.fasthtml import BackgroundTasks, setup_errands
from errands.testing import drain

URLS = ["memory:", "sqlite:///{}/errands.db"]


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# Start and stop


class Life:
    """An application's start and stop, in the order in which things happened."""

    def __init__(self, folder: Path) -> None:
        self.errands = Errands("memory:", grace=PATIENCE)
        self.trace: list[str] = []
        self.stopping = threading.Event()
        self.options: dict[str, Any] = {"key_fname": str(folder / ".sesskey")}

    def up(self) -> None:
        self._say("user up")

    def down(self) -> None:
        self._say("user down")

    async def lifespan(self, app: Any) -> AsyncIterator[None]:  # FastHTML's
        self.up()
        yield
        self.down()

    async def lifespan_with_state(self, app: Any) -> AsyncIterator[dict[str, int]]:
        self.up()
        yield {"pool": 7}
        self.down()

    def last_task(self) -> None:
        """Ends only once the application was told to stop."""
        self.stopping.wait(PATIENCE)
        self._say("task ended")

    def live(self, app: Any) -> list[str]:
        """Start, serve one request that adds a task, stop."""

        @app.get("/page")
        def page(background: BackgroundTasks, req: Request) -> Any:
            self._say("serving")
            background.add_task(self.last_task)
            return P(getattr(req.state, "pool", "no pool"))

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def receive_watched() -> Any:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    self.stopping.set()
                return message

            await app(scope, receive_watched, send)

        with TestClient(watched) as client:
            self.page = client.get("/page").text
        return self.trace

    def _say(self, text: str) -> None:
        state = "open" if self.errands.is_open else "closed"
        self.trace.append(f"{text}, {state}")


ORDER = ["user up, closed", "serving, open", "task ended, open", "user down, closed"]


def with_callbacks(life: Life) -> Any:
    app: Any = FastHTML(on_startup=life.up, on_shutdown=life.down, **life.options)
    setup_errands(app, life.errands)
    return app


def with_lists_of_callbacks(life: Life) -> Any:
    async def up() -> None:
        life.up()

    app: Any = FastHTML(on_startup=[up], on_shutdown=[life.down], **life.options)
    setup_errands(app, life.errands)
    return app


def with_events(life: Life) -> Any:
    app: Any = FastHTML(**life.options)
    setup_errands(app, life.errands)
    app.on_event("startup")(life.up)
    app.on_event("shutdown")(life.down)
    return app


def with_a_generator(life: Life) -> Any:
    app: Any = FastHTML(lifespan=life.lifespan, **life.options)
    setup_errands(app, life.errands)
    return app


def with_a_generator_of_state(life: Life) -> Any:
    app: Any = FastHTML(lifespan=life.lifespan_with_state, **life.options)
    setup_errands(app, life.errands)
    return app


def with_one_set_later(life: Life) -> Any:
    app: Any = FastHTML(**life.options)
    setup_errands(app, life.errands)
    app.set_lifespan(life.lifespan)
    return app


def with_one_set_before(life: Life) -> Any:
    app: Any = FastHTML(**life.options)
    app.set_lifespan(life.lifespan)
    setup_errands(app, life.errands)
    return app


def with_fast_app(life: Life) -> Any:
    app, _ = fast_app(on_startup=life.up, on_shutdown=life.down, **life.options)
    setup_errands(app, life.errands)
    return app


def with_live_reload(life: Life) -> Any:
    app, _ = fast_app(live=True, on_startup=life.up, on_shutdown=life.down, **life.options)
    setup_errands(app, life.errands)
    return app


@pytest.mark.parametrize(
    "make",
    [
        with_callbacks, with_lists_of_callbacks, with_events, with_a_generator,
        with_a_generator_of_state, with_one_set_later, with_one_set_before, with_fast_app,
        with_live_reload,
    ],
)  # fmt: skip  # a list
def test_errands_live_inside_of_what_the_user_opens(
    tmp_path: Path, make: Callable[[Life], Any]
) -> None:
    """A task may use the user's pool until its end: it is drained before the pool is closed."""
    life = Life(tmp_path)

    trace = life.live(make(life))

    assert ORDER == trace


def test_the_state_of_a_lifespan_reaches_the_handlers(tmp_path: Path) -> None:
    """The messages pass through us unchanged."""
    life = Life(tmp_path)

    life.live(with_a_generator_of_state(life))

    assert "7" in life.page


def test_a_start_that_fails_leaves_errands_closed(tmp_path: Path) -> None:
    """The user's error is the one that is seen."""

    def fail() -> None:
        raise OSError("no database")

    site = Site(tmp_path, on_startup=fail)

    with pytest.raises(OSError, match="no database"), TestClient(site.app):
        pass

    assert not site.errands.is_open


def test_a_store_that_cannot_be_opened_fails_the_start(tmp_path: Path) -> None:
    """Better than to find out at the first job."""
    site = Site(tmp_path, url=f"sqlite:///{tmp_path}/nowhere/errands.db")

    with pytest.raises(Exception, match="nowhere"), TestClient(site.app):
        pass

    assert not site.errands.is_open


def test_an_application_may_be_started_again(tmp_path: Path, url: str, is_durable: bool) -> None:
    """As a test suite does with one application and many clients."""
    site = Site(tmp_path, is_durable=is_durable, url=url)

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "again")
        return P("page")

    statuses = [site.visit("/page").status_code for _ in range(3)]

    assert [200, 200, 200] == statuses
    assert ["again"] * 3 == site.notes


# Clients of tests


@pytest.mark.parametrize("url_of", URLS, ids=["memory", "sqlite"])
def test_without_a_lifespan_all_has_run_when_the_answer_is_there(
    tmp_path: Path, is_durable: bool, url_of: str
) -> None:
    """A bare `TestClient(app)` behaves as with Starlette's own tasks; the next visit as well."""
    site = Site(tmp_path, is_durable=is_durable, url=url_of.format(tmp_path))

    @site.get("/page")
    def page(background: BackgroundTasks, text: str) -> Any:
        background.add_task(site.note, f"{text} 1")
        background.add_task(site.note, f"{text} 2")
        return P("page")

    client = TestClient(site.app)
    client.get("/page?text=a")
    first = sorted(site.notes)
    client.get("/page?text=b")
    second = sorted(site.notes)

    assert ["a 1", "a 2"] == first
    assert ["a 1", "a 2", "b 1", "b 2"] == second
    assert not site.errands.is_open
    assert [State.DONE] * len(second) * is_durable == [job.state for job in site.jobs()]


def test_without_a_lifespan_a_handler_that_raises_drops_too(
    tmp_path: Path, is_durable: bool
) -> None:
    """Kept and dropped do not depend on how the application was started."""
    site = Site(tmp_path, is_durable=is_durable)

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        background.on_error(site.note, "apologise")
        raise ValueError

    response = site.client().get("/page")

    assert 500 == response.status_code
    assert ["apologise"] == site.notes


def test_the_client_of_fasthtml_runs_all_before_it_answers(
    tmp_path: Path, is_durable: bool
) -> None:
    """`fasthtml.common.Client` knows no lifespan."""
    site = Site(tmp_path, is_durable=is_durable)

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "ran")
        return P("page")

    client: Any = Client(site.app)
    response = client.get("/page")
    asyncio.run(client.cli.aclose())

    assert 200 == response.status_code
    assert ["ran"] == site.notes


def test_with_a_lifespan_the_answer_does_not_wait(tmp_path: Path, is_durable: bool) -> None:
    """The task ends when it may; the end of the application waits for it."""
    site, may_end = Site(tmp_path), threading.Event()

    def slow() -> None:
        may_end.wait(PATIENCE)
        site.note("ended")

    task: Any = site.errands.task(name="slow")(slow) if is_durable else slow

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(task)
        return P("page")

    with site.client() as client:
        status = client.get("/page").status_code
        at_the_answer = list(site.notes)
        may_end.set()

    assert 200 == status
    assert [] == at_the_answer
    assert ["ended"] == site.notes


def test_a_test_may_wait_for_the_background(tmp_path: Path, is_durable: bool) -> None:
    """`drain`, called in the loop of the client."""
    site = Site(tmp_path, is_durable=is_durable)

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "ran")
        return P("page")

    with site.client() as client:
        client.get("/page")
        assert client.portal is not None
        client.portal.call(drain, site.errands)
        notes = list(site.notes)

    assert ["ran"] == notes

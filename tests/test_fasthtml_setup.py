"""FastHTML: what is warned about when the application starts, and what is refused."""

import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fasthtml.common import APIRouter, FastHTML, P
from fasthtml_site import Site
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks  # what the star import brings
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from errands import Errands
from errands.errors import NoRequest, SetupError
from errands.fasthtml import BackgroundTasks, setup_errands

Next = Callable[[Request], Awaitable[Response]]


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# What is warned about


@contextmanager
def warned() -> Iterator[list[str]]:
    """The messages of the `RuntimeWarning`s in the block."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
    messages.extend(str(w.message) for w in caught if issubclass(w.category, RuntimeWarning))


def started(app: Any) -> list[str]:
    """What an application warns about when it starts."""
    with warned() as messages, TestClient(app):
        pass
    return messages


@pytest.mark.parametrize("kind", [StarletteTasks, BackgroundTask], ids=lambda kind: kind.__name__)
def test_a_name_that_the_star_import_replaced_is_warned_about(tmp_path: Path, kind: Any) -> None:
    """FastHTML would answer 400; the warning names the handler, and says what to type."""
    site = Site(tmp_path)

    @site.app.get("/page")
    def sign_up(background: kind) -> Any:
        return P("page")

    [message] = started(site.app)

    assert "sign_up(background)" in message
    assert "starlette.background" in message
    assert "from errands.fasthtml after `from fasthtml.common import *`" in message


def in_a_router(app: Any) -> None:
    router = APIRouter()

    @router("/page")
    def handler(background: StarletteTasks) -> Any:
        return P("page")

    router.to_app(app)


def in_a_class(app: Any) -> None:
    @app.route("/page")
    class Page:
        def get(background: StarletteTasks) -> Any:  # type: ignore[misc]  # noqa: N805  # FastHTML's
            return P("page")


def in_a_mounted_application(app: Any) -> None:
    child: Any = FastHTML(key_fname=app.key_fname)

    @child.get("/page")
    def handler(background: StarletteTasks) -> Any:
        return P("page")

    app.mount("/child", child)


def in_a_socket(app: Any) -> None:
    @app.ws("/ws")
    def handler(msg: str, background: StarletteTasks) -> Any:
        return P("page")


def in_before(app: Any) -> None:
    def before(background: StarletteTasks) -> Any:
        return None

    app.before.append(before)


@pytest.mark.parametrize(
    "write", [in_a_router, in_a_class, in_a_mounted_application, in_a_socket, in_before]
)
def test_it_is_warned_about_wherever_it_is_written(
    tmp_path: Path, write: Callable[[Any], None]
) -> None:
    """Everywhere FastHTML would fill the parameter."""
    site = Site(tmp_path)
    write(site.app)

    messages = started(site.app)

    assert 1 == len(messages)
    assert "errands.fasthtml" in messages[0]


def test_right_code_is_not_warned_about(tmp_path: Path) -> None:
    """Nor are parameters of any other kind, or without one."""
    site = Site(tmp_path)

    def helper() -> BackgroundTask:
        return BackgroundTask(site.note, "own")

    @site.app.get("/right")
    def right(background: BackgroundTasks, count: int = 0) -> Any:
        return P(count), helper()

    @site.app.get("/none")
    def none(req: Request) -> Any:
        return P(req.url.path)

    @site.app.ws("/ws")
    def heard(msg: str, background: BackgroundTasks) -> Any:
        return P(msg)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with site.client() as client:
            status = client.get("/right").status_code

    assert 200 == status


async def pass_on(request: Request, call_next: Next) -> Response:
    return await call_next(request)


def given_to_the_application(folder: Path, is_durable: bool) -> Site:
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)]
    return Site(folder, is_durable=is_durable, middleware=middleware)


def added_after_setup(folder: Path, is_durable: bool) -> Site:
    site = Site(folder, is_durable=is_durable)
    site.app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    return site


@pytest.mark.parametrize("make", [given_to_the_application, added_after_setup])
def test_middleware_outside_of_us_hides_nothing(
    tmp_path: Path, is_durable: bool, make: Callable[[Path, bool], Site]
) -> None:
    """Kept and dropped are told apart inside of it; and nothing is warned about."""
    site = make(tmp_path, is_durable)

    @site.get("/good")
    def good(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "good")
        return P("good")

    @site.get("/bad")
    def bad(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "dropped")
        background.on_error(site.note, "apologise")
        raise ValueError

    with warned() as messages, site.client() as client:
        statuses = [client.get(path).status_code for path in ("/good", "/bad")]

    assert [200, 500] == statuses
    assert ["apologise", "good"] == sorted(site.notes)
    assert [] == messages


def test_middleware_inside_of_us_is_warned_about(tmp_path: Path) -> None:
    """It hides whether the handler raised; the warning says where it belongs."""

    class Timing(BaseHTTPMiddleware):
        """A user's own."""

    site = Site(tmp_path)
    site.app.user_middleware.append(Middleware(Timing, dispatch=pass_on))

    [message] = started(site.app)

    assert "Timing is a BaseHTTPMiddleware inside of ErrandsMiddleware" in message
    assert "app.add_middleware" in message


def test_middleware_of_a_mounted_application_is_warned_about(tmp_path: Path) -> None:
    """It stands between us and the child's handlers."""
    site = Site(tmp_path)
    child: Any = FastHTML(
        key_fname=site.app.key_fname,
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)],
    )
    site.app.mount("/child", child)

    [message] = started(site.app)

    assert "BaseHTTPMiddleware" in message
    assert "'/child'" in message
    assert "tasks of handlers that raise will be kept" in message


# What is refused


def test_setup_is_done_once(tmp_path: Path) -> None:
    """Two would be two queues, of which one is never asked."""
    site = Site(tmp_path)

    with pytest.raises(SetupError, match="once is enough"):
        setup_errands(site.app, site.errands)


def test_setup_is_done_before_the_application_starts(tmp_path: Path) -> None:
    """Its middleware is built by then."""
    app: Any = FastHTML(key_fname=str(tmp_path / ".sesskey"))
    with TestClient(app):
        pass

    with pytest.raises(SetupError, match="before it serves"):
        setup_errands(app, Errands("memory:"))


def test_a_setup_that_was_refused_changes_nothing(tmp_path: Path) -> None:
    """No route, no middleware and no state are left by it."""
    app: Any = FastHTML(key_fname=str(tmp_path / ".sesskey"))
    with TestClient(app):
        pass
    with pytest.raises(SetupError):
        setup_errands(app, Errands("memory:"))

    response = TestClient(app).get("/_errands/jobs/any")

    assert 404 == response.status_code
    assert not hasattr(app.state, "errands")


def test_a_handler_without_setup_is_told_what_is_missing(tmp_path: Path) -> None:
    """The message names the call that was forgotten."""
    app: Any = FastHTML(key_fname=str(tmp_path / ".sesskey"))

    @app.get("/page")
    def page(background: BackgroundTasks) -> Any:
        return P("page")

    with pytest.raises(NoRequest, match=r"call setup_errands\(app, errands\)"):
        TestClient(app).get("/page")

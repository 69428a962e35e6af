"""FastHTML: one bag for all who have a hand in a request, wherever a handler is written."""

from pathlib import Path
from typing import Any

import pytest
from fasthtml.common import APIRouter, Beforeware, FastHTML, P, fast_app
from fasthtml_site import Site
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from errands import Errands
from errands.fasthtml import BackgroundTasks, setup_errands


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(name="site")
def new_site(tmp_path: Path, is_async: bool, is_durable: bool) -> Site:
    return Site(tmp_path, is_async=is_async, is_durable=is_durable)


# One bag for all who have a hand in the request


def test_before_handler_and_after_share_one_bag(tmp_path: Path, is_durable: bool) -> None:
    """Local tasks of all three run in the order in which they were added."""
    bags: set[int] = set()

    def add(background: BackgroundTasks, text: str) -> None:
        bags.add(id(background))
        background.add_task(site.note, text)

    def before(background: BackgroundTasks) -> None:
        add(background, "before")

    def after(resp, background: BackgroundTasks) -> None:  # type: ignore[no-untyped-def]  # filled by its name
        assert resp is not None
        add(background, "after")

    site = Site(tmp_path, is_durable=is_durable, before=Beforeware(before), after=after)

    @site.get("/page")
    def page(background: BackgroundTasks, req: Request) -> Any:
        add(background, "handler")
        bags.add(id(BackgroundTasks.of(req)))
        bags.add(id(BackgroundTasks.of()))
        return P("page")

    site.visit("/page")

    ran = sorted(site.notes) if is_durable else site.notes
    expected = ["before", "handler", "after"]
    assert (sorted(expected) if is_durable else expected) == ran
    assert 1 == len(bags)


def test_a_before_that_answers_itself_keeps_what_it_added(tmp_path: Path, is_durable: bool) -> None:
    """A guard that turns a visitor away may still note the visit."""

    def guard(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "turned away")
        return RedirectResponse("/login", status_code=303)

    site = Site(tmp_path, is_durable=is_durable, before=guard)

    @site.get("/secret")
    def secret(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "never")
        return P("secret")

    response = site.visit("/secret")

    assert (303, "/login") == (response.status_code, response.headers["location"])
    assert ["turned away"] == site.notes


def test_a_before_of_one_route_shares_the_bag(tmp_path: Path, is_durable: bool) -> None:
    """`before=` of a route is filled as one of the application is."""
    site = Site(tmp_path, is_durable=is_durable)

    def before(background: BackgroundTasks) -> None:
        background.add_task(site.note, "before")

    @site.app.get("/page", before=before)
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "handler")
        return P("page")

    site.visit("/page")

    assert ["before", "handler"] == sorted(site.notes)


def test_the_bag_is_found_deep_in_the_call_stack(site: Site) -> None:
    """A service needs no parameter for it, in a thread or not."""

    def service() -> None:
        BackgroundTasks.of().add_task(site.note, "from the depth")

    @site.get("/page")
    def page() -> Any:
        service()
        return P("page")

    site.visit("/page")

    assert ["from the depth"] == site.notes


def test_two_requests_have_two_bags(site: Site) -> None:
    """What one adds is none of the other's, even if that one fails."""

    @site.get("/good")
    def good(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "good")
        return P("good")

    @site.get("/bad")
    def bad(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "bad")
        raise ValueError

    with site.client() as client:
        statuses = [client.get(path).status_code for path in ("/good", "/bad", "/good")]

    assert [200, 500, 200] == statuses
    assert ["good", "good"] == site.notes


def test_other_parameters_are_filled_beside_the_bag(site: Site) -> None:
    """From the path, the query and the form, as in any handler."""

    @site.post("/orders/{number}")
    def order(number: int, background: BackgroundTasks, item: str, size: str = "m") -> Any:
        background.add_task(site.note, f"{number} {item} {size}")
        return P("ordered")

    with site.client() as client:
        client.post("/orders/7?size=xl", data={"item": "shirt"})

    assert ["7 shirt xl"] == site.notes


# Wherever a handler is written


def test_a_router_of_its_own_is_filled_too(tmp_path: Path, is_durable: bool) -> None:
    """`APIRouter` registers its handlers later."""
    site = Site(tmp_path, is_durable=is_durable)
    router = APIRouter(prefix="/shop")

    @router("/cart")
    def cart(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "cart")
        return P("cart")

    router.to_app(site.app)
    response = site.visit("/shop/cart")

    assert 200 == response.status_code
    assert ["cart"] == site.notes


def test_a_class_of_handlers_is_filled_too(tmp_path: Path, is_durable: bool) -> None:
    """Each method named after a verb is a handler."""
    site = Site(tmp_path, is_durable=is_durable)

    @site.app.route("/cards/{id}")
    class Cards:
        def get(id: int, background: BackgroundTasks) -> Any:  # type: ignore[misc]  # noqa: N805  # FastHTML's
            background.add_task(site.note, f"shown {id}")
            return P(id)

        async def patch(id: int, background: BackgroundTasks) -> Any:  # type: ignore[misc]  # noqa: N805  # FastHTML's
            background.add_task(site.note, f"changed {id}")
            return P(id)

    with site.client() as client:
        statuses = [client.get("/cards/1").status_code, client.patch("/cards/2").status_code]

    assert [200, 200] == statuses
    assert ["changed 2", "shown 1"] == sorted(site.notes)


def test_an_application_that_is_mounted_uses_the_bag_of_its_parent(
    tmp_path: Path, is_durable: bool
) -> None:
    """Kept and dropped are told apart there; Errands of its own, if it has them, stay idle."""
    site, child = Site(tmp_path, is_durable=is_durable), Site(tmp_path)
    seen: list[bool] = []

    @child.get("/good")
    def good(background: BackgroundTasks) -> Any:
        seen.append(child.errands.is_open)
        background.add_task(site.note, "good")
        return P("good")

    @child.get("/bad")
    def bad(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "bad")
        raise ValueError

    site.app.mount("/child", child.app)
    with site.client() as client:
        statuses = [client.get(f"/child/{path}").status_code for path in ("good", "bad")]

    assert [200, 500] == statuses
    assert ["good"] == site.notes
    assert [False] == seen
    assert (["note"] if is_durable else []) == [job.task for job in site.jobs()]


def test_an_application_that_is_mounted_needs_no_setup(tmp_path: Path, is_durable: bool) -> None:
    """Its handlers are filled because its parent was set up."""
    site = Site(tmp_path, is_durable=is_durable)
    child: Any = FastHTML(key_fname=site.app.key_fname)

    @child.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "child")
        return P("page")

    site.app.mount("/child", child)
    response = site.visit("/child/page")

    assert 200 == response.status_code
    assert ["child"] == site.notes


def test_a_mounted_application_may_be_the_only_one_with_errands(
    tmp_path: Path, is_durable: bool
) -> None:
    """No lifespan reaches it, so its tasks run before the answer returns."""
    child = Site(tmp_path, is_durable=is_durable)

    @child.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(child.note, "inline")
        return P("page")

    parent = Starlette(routes=[Mount("/child", child.app)])
    with TestClient(parent) as client:
        response = client.get("/child/page")
        notes = list(child.notes)

    assert 200 == response.status_code
    assert ["inline"] == notes


def test_fast_app_works(tmp_path: Path, is_durable: bool) -> None:
    """The way in which FastHTML's documentation makes an application."""
    errands = Errands("memory:")
    notes: list[str] = []
    app, rt = fast_app(key_fname=str(tmp_path / ".sesskey"), static_path=str(tmp_path))
    setup_errands(app, errands)

    def note(text: str) -> None:
        notes.append(text)

    task: Any = errands.task(name="note")(note) if is_durable else note

    @rt
    def upload(background: BackgroundTasks) -> Any:
        background.add_task(task, "uploaded")
        return P("Working on it")

    with TestClient(app) as client:
        response = client.post(f"{upload}")

    assert "Working on it" in response.text
    assert ["uploaded"] == notes
    assert app.state.errands is errands

"""FastHTML: whatever a handler returns, what it added runs."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fasthtml.common import (
    H1,
    Div,
    EventStream,
    FtResponse,
    P,
    Redirect,
    Title,
    cookie,
    sse_message,
)
from fasthtml_site import Site
from starlette.background import BackgroundTask
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from errands.fasthtml import BackgroundTasks, JobStatus

HTMX = {"hx-request": "true"}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(name="site")
def new_site(tmp_path: Path, is_async: bool, is_durable: bool) -> Site:
    return Site(tmp_path, is_async=is_async, is_durable=is_durable)


# What a handler returns


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ((Title("Hi"), P("two parts")), "two parts"),
        (P("one part"), "one part"),
        ([H1("a list")], "a list"),
        ((P("with a header"), cookie("seen", "yes")), "with a header"),
        ("a string", "a string"),
        ({"a": "dict"}, '{"a":"dict"}'),
        (7, "7"),
        (None, ""),
        (FtResponse(P("a response of components"), status_code=202), "a response of components"),
        (PlainTextResponse("a plain response"), "a plain response"),
        (JSONResponse(["json"]), '["json"]'),
        (FileResponse(__file__), "whatever a handler returns, what it added"),
        ((PlainTextResponse("a response in a tuple"),), "a response in a tuple"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_was_added_runs_whatever_the_handler_returns(
    site: Site, returned: Any, text: str
) -> None:
    """FastHTML loses native tasks beside ready-made responses; ours run, exactly once."""

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "added")
        return returned

    response = site.visit("/page", headers=HTMX)

    assert response.is_success
    assert text in response.text
    assert ["added"] == site.notes


@pytest.mark.parametrize(
    ("headers", "status", "header"), [(HTMX, 200, "hx-redirect"), ({}, 303, "location")]
)
def test_a_redirect_of_fasthtml_keeps_what_was_added(
    site: Site, headers: dict[str, str], status: int, header: str
) -> None:
    """Post, redirect, get: with htmx it is a header, without it a response of its own."""

    @site.post("/order")
    def order(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "ordered")
        return Redirect("/thanks")

    with site.client() as client:
        response = client.post("/order", headers=headers)

    assert (status, "/thanks") == (response.status_code, response.headers[header])
    assert ["ordered"] == site.notes


def test_a_redirect_response_keeps_what_was_added(site: Site) -> None:
    """A redirect is an ordinary answer of a handler that returned."""

    @site.get("/old")
    def old(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "moved")
        return RedirectResponse("/new")

    response = site.visit("/old")

    assert (307, "/new") == (response.status_code, response.headers["location"])
    assert ["moved"] == site.notes


def test_an_error_that_is_returned_keeps_what_was_added(site: Site) -> None:
    """Returned is kept, whatever the status: only what was raised is dropped."""

    @site.get("/busy")
    def busy(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "returned")
        return PlainTextResponse("not now", status_code=409)

    response = site.visit("/busy")

    assert 409 == response.status_code
    assert ["returned"] == site.notes


def test_a_handler_that_catches_its_own_exception_keeps_what_it_added(site: Site) -> None:
    """An exception that never left the handler did not fail the request."""

    @site.get("/caught")
    def caught(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "before")
        try:
            raise ValueError("mended")
        except ValueError:
            background.add_task(site.note, "within")
        background.add_task(site.note, "after")
        return FtResponse(P("bad, but known"), status_code=400)

    response = site.visit("/caught")

    assert 400 == response.status_code
    assert ["after", "before", "within"] == sorted(site.notes)


@pytest.mark.parametrize("kind", [FtResponse, Response], ids=["FtResponse", "Response"])
def test_a_response_with_a_task_of_its_own_runs_both(site: Site, kind: Any) -> None:
    """Starlette's own task and ours do not push each other out."""

    @site.get("/both")
    def both(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "ours")
        return kind("page", background=BackgroundTask(site.note, "own"))

    response = site.visit("/both")

    assert 200 == response.status_code
    assert ["own", "ours"] == site.notes


def test_a_task_of_the_response_that_fails_does_not_stop_ours(site: Site) -> None:
    """Starlette raises its own task's error out of the application; what we keep is kept."""

    def fail() -> None:
        raise OSError("no mail server")

    @site.get("/both")
    def both(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "ours")
        return PlainTextResponse("page", background=BackgroundTask(fail))

    response = site.visit("/both")

    assert 200 == response.status_code
    assert ["ours"] == site.notes


@pytest.mark.parametrize(
    "wrap",
    [
        lambda background: (P("page"), background),
        lambda background: Div(P("page"), background),
        lambda background: FtResponse((P("page"), background)),
        lambda background: Response("<p>page</p>", background=background),
        lambda background: FtResponse(P("page"), background=background),
    ],
    ids=["tuple", "child", "in FtResponse", "Response(background=)", "FtResponse(background=)"],
)
def test_handing_the_bag_back_by_habit_is_harmless(site: Site, wrap: Any) -> None:
    """It shows nothing on the page, and its tasks run once."""

    @site.get("/habit")
    def habit(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "once")
        return wrap(background)

    response = site.visit("/habit", headers=HTMX)

    assert "<p>page</p>" in response.text
    assert "" == re.sub(r"</?(p|div)>|page|\s", "", response.text)
    assert ["once"] == site.notes


def test_the_bag_alone_is_an_empty_page(site: Site) -> None:
    """Nothing of its insides is shown to a browser."""

    @site.get("/habit")
    def habit(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "once")
        return background

    response = site.visit("/habit", headers=HTMX)

    assert (200, "") == (response.status_code, response.text.strip())
    assert ["once"] == site.notes


def test_a_job_can_be_shown_by_the_page_that_added_it(tmp_path: Path) -> None:
    """It has its id at once, so that its status can be asked for later."""
    site = Site(tmp_path, is_durable=True)
    ids: list[str] = []

    @site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        job: Any = background.add_task(site.note, "working")
        ids.append(job.id)
        return P("Working on it"), JobStatus(job)

    page = site.visit("/start").text

    assert ids == [job.id for job in site.jobs()]
    assert f'id="job-{ids[0]}"' in page


# Bodies that are made while they are sent


def test_an_event_stream_adds_before_and_while_it_is_sent(site: Site) -> None:
    """What a stream adds runs too, once the stream has ended."""

    @site.get("/events")
    def events(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "before")

        async def stream() -> AsyncIterator[str]:
            background.add_task(site.note, "first")
            yield sse_message(Div("one"))
            background.add_task(site.note, "second")
            yield sse_message(Div("two"))
            background.add_task(site.note, "last")

        return EventStream(stream())

    response = site.visit("/events")

    assert 2 == response.text.count("data: ")
    assert ["before", "first", "last", "second"] == sorted(site.notes)


def test_a_body_made_by_a_plain_generator_adds_tasks(site: Site) -> None:
    """Starlette draws from it in a thread."""

    @site.get("/lines")
    def lines(background: BackgroundTasks) -> Any:
        def body() -> Iterator[str]:
            yield "one\n"
            background.add_task(site.note, "in a thread")
            yield "two\n"

        return StreamingResponse(body())

    response = site.visit("/lines")

    assert "one\ntwo\n" == response.text
    assert ["in a thread"] == site.notes

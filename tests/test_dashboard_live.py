"""What an update of a page leaves alone, in a real browser; and what it says when none comes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import Server, environment
from playwright.sync_api import expect
from test_dashboard_browser import CHROMIUM, DESK, PATIENCE, PHONE, Visit, visit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]
SITE = Path(__file__).parent / "dashboard_session_site.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Where visitors log in and out."""
    with Server([sys.executable, SITE], tmp_path_factory.mktemp("site"), environment()) as server:
        yield server


def await_update(visited: Visit) -> None:
    """Two of them, the first of which may have been on its way."""
    for _ in range(2):
        with visited.page.expect_response(lambda answer: answer.request.resource_type == "xhr"):
            pass


def say(visited: Visit, word: str) -> None:
    expect(visited.page.locator("#live")).to_have_text(word, timeout=PATIENCE)


@pytest.mark.parametrize("session", ["over", "of somebody else"])
def test_a_page_stays_when_the_session_is_over(site: Server, session: str) -> None:
    """Wherever the application sends the visitor; it says so, and goes on after a log-in."""
    with visit(site) as visited:
        visited.go("schedules")
        visited.page.context.add_cookies(
            [{"name": "session", "value": session, "url": visited.base}]
        )
        say(visited, "Signed out")
        expect(visited.page.locator("h1")).to_have_text("Schedules")
        expect(visited.row("tick")).to_be_visible()
        visited.page.context.clear_cookies()
        say(visited, "Live")


def test_a_page_says_that_nobody_answers(site: Server) -> None:
    """And goes on as soon as somebody does."""
    with visit(site) as visited:
        visited.go("schedules")
        visited.page.context.set_offline(True)
        say(visited, "No answer")
        expect(visited.row("tick")).to_be_visible()
        visited.page.context.set_offline(False)
        say(visited, "Live")


def test_who_walks_by_tab_is_left_where_they_are(site: Server) -> None:
    """At a button of a row, at what can be opened, and at a tab above."""
    with visit(site) as visited:
        page = visited.page
        visited.go("schedules")
        for there in (
            visited.row("tick").get_by_role("button", name="Pause"),
            visited.row("tick").locator("summary"),
        ):
            there.focus()
            await_update(visited)
            expect(there).to_be_focused()
        visited.go("jobs")
        page.get_by_role("link", name="Done").focus()
        await_update(visited)
        expect(page.get_by_role("link", name="Done")).to_be_focused()

        visited.require_peace()


@pytest.mark.parametrize(("path", "field"), [("jobs", "[name=text]"), ("workers", "[name=slots]")])
def test_what_was_written_is_not_lost(site: Server, path: str, field: str) -> None:
    """Also while somebody looks elsewhere before they go on."""
    with visit(site) as visited:
        visited.go(path)
        visited.page.locator(field).fill("12")
        visited.page.locator("h1").click()
        say(visited, "Held")
        expect(visited.page.locator(field)).to_have_value("12")
        visited.page.locator(field).fill("")
        visited.page.locator("h1").click()
        say(visited, "Live")

        visited.require_peace()


def test_a_job_that_is_forgotten_meanwhile_is_gone(site: Server) -> None:
    """Its page says so, and asks no more."""
    with visit(site) as visited:
        page = visited.page
        job = page.request.get(f"{visited.base}/add").text()
        visited.go(f"jobs/{job}")
        expect(page.locator("h1")).to_have_text("dashboard_session_site.later")
        change(visited, "delete", job)
        expect(page.locator("h1")).to_have_text("No such job", timeout=PATIENCE)
        expect(page.locator("#live")).not_to_be_visible()


def test_a_page_that_has_ended_is_not_called_live(site: Server) -> None:
    """A job that was cancelled stays as it is."""
    with visit(site) as visited:
        page = visited.page
        job = page.request.get(f"{visited.base}/add").text()
        visited.go(f"jobs/{job}")
        expect(page.locator("#live")).to_be_visible()
        change(visited, "cancel", job)
        expect(page.locator("main > .head .badge")).to_have_text("cancelled", timeout=PATIENCE)
        expect(page.locator("#live")).not_to_be_visible()

        visited.require_peace()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_no_page_is_wider_than_the_screen(site: Server, size: dict[str, int]) -> None:
    """However long names and errors are, of which no word can be broken."""
    with visit(site, viewport=size) as visited:
        page = visited.page
        job = page.request.get(f"{visited.base}/add-long").text()
        group = f"groups?group={'w' * 120}"
        for path in ("", "jobs", f"jobs/{job}", "groups", group, "errors", "queues"):
            visited.go(path)
            expect(page.locator("main")).to_contain_text("wwww")
            assert size["width"] == page.evaluate("document.documentElement.scrollWidth"), path

        visited.require_peace()


def change(visited: Visit, do: str, job: str) -> None:
    """As somebody else does it."""
    answer = visited.page.request.post(
        f"{visited.base}/errands/do/{do}",
        form={"id": job}, headers={"Sec-Fetch-Site": "same-origin"}, max_redirects=0,
    )  # fmt: skip  # a call
    assert 303 == answer.status

"""Our components in a real browser, and under a server that is told to stop."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from live_server import PATIENCE, Server, environment
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # asked or not, nobody is reached
]
APP = Path(__file__).parent / "apps_status.py"

pytestmark = pytest.mark.slow
in_a_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")
on_each_way = pytest.mark.parametrize("live", ["", "&live=1"], ids=["polled", "live"])


class Visit:
    """A page, what was asked for its sake, and what the browser complained of."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page, self.url = page, server.url
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(PATIENCE * 1000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def step(self, number: int) -> None:
        """Let the jobs go one step further."""
        httpx.get(f"{self.url}/step?number={number}", trust_env=False).raise_for_status()

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server([sys.executable, APP, tmp_path], tmp_path, environment()) as server:
        yield server


@contextmanager
def visiting(server: Server) -> Iterator[Visit]:
    """Open a browser; not a fixture, since Playwright keeps an event loop while it is open."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            yield Visit(browser.new_page(), server)
        finally:
            browser.close()


@in_a_browser
@on_each_way
def test_a_status_goes_on_to_its_end_and_stops(server: Server, live: str) -> None:
    """Step by step, in words and as a bar; then nothing is asked any more, and nobody else was."""
    with visiting(server) as visit:
        page = visit.page
        page.goto(f"{server.url}/?part=status{live}")
        for step in range(3):
            expect(page.locator(".errands-count")).to_have_text(f"{step} of 3")
            expect(page.locator(".errands-text")).to_have_text("Counting <i>sheep</i>")
            expect(page.get_by_role("progressbar")).to_have_js_property("value", step)
            visit.step(step + 1)
        expect(page.get_by_role("status").locator(".errands-state")).to_have_text("done")
        asked = len(visit.asked)
        page.wait_for_timeout(1500)  # longer than the second after which it would ask again

        assert asked == len(visit.asked)
        assert 0 == page.locator("errands-live").count()
        assert {urlsplit(server.url).netloc} == {urlsplit(url).netloc for url in visit.asked}
        assert [] == visit.complaints


@in_a_browser
@on_each_way
def test_a_group_goes_on_to_its_end_and_stops(server: Server, live: str) -> None:
    """Job by job, with those that failed; then nothing is asked any more."""
    with visiting(server) as visit:
        page = visit.page
        page.goto(f"{server.url}/?part=group{live}")
        for step, done in enumerate((0, 1, 1)):
            expect(page.locator(".errands-count")).to_have_text(f"{done} of 3")
            expect(page.get_by_role("progressbar")).to_have_js_property("value", step)
            visit.step(step + 1)
        expect(page.locator(".errands-state")).to_have_text("failed")
        expect(page.locator(".errands-count")).to_have_text("2 of 3")
        expect(page.locator(".errands-text")).to_have_text("1 failed")
        expect(page.get_by_role("progressbar")).to_have_js_property("value", 3)
        asked = len(visit.asked)
        page.wait_for_timeout(1500)  # longer than the second after which it would ask again

        assert asked == len(visit.asked)
        assert 0 == page.locator("errands-live").count()
        assert [] == visit.complaints


@in_a_browser
@on_each_way
def test_a_result_takes_the_place_of_the_status(server: Server, live: str) -> None:
    """As text, whatever it says."""
    with visiting(server) as visit:
        visit.page.goto(f"{server.url}/?part=result{live}")
        expect(visit.page.locator(".errands-state")).to_have_text("running")
        for step in range(3):
            visit.step(step + 1)

        expect(visit.page.locator("#result li").last).to_have_text("<b>bold</b>")
        expect(visit.page.locator(".errands")).to_have_count(0)
        assert [] == visit.complaints


@in_a_browser
@on_each_way
def test_a_job_that_is_forgotten_meanwhile_is_not_shown_as_it_was(
    server: Server, live: str
) -> None:
    """It is said, and nothing is asked any more."""
    with visiting(server) as visit:
        visit.page.goto(f"{visit.url}/?part=later{live}")
        expect(visit.page.locator(".errands")).to_have_text("queued")
        httpx.get(f"{visit.url}/forget", trust_env=False).raise_for_status()

        expect(visit.page.locator(".errands")).to_have_text("no longer known")
        expect(visit.page.locator("errands-live, [hx-get]")).to_have_count(0)
        assert [] == visit.complaints


@in_a_browser
def test_a_link_that_is_no_longer_good_is_asked_once(server: Server) -> None:
    """Somebody else has logged in, in another tab: the page stays, and gives up."""
    with visiting(server) as visit:
        visit.page.goto(f"{server.url}/?part=status")
        expect(visit.page.locator(".errands-count")).to_have_text("0 of 3")
        with visit.page.expect_response(lambda response: response.status == 404):
            visit.page.context.request.get(f"{server.url}/login?user=bob")
        asked = len(visit.asked)
        visit.page.wait_for_timeout(1500)  # as above

        assert asked == len(visit.asked)
        expect(visit.page.locator(".errands-count")).to_have_text("0 of 3")


@in_a_browser
@on_each_way
def test_a_page_goes_on_after_a_restart_of_the_server(tmp_path: Path, live: str) -> None:
    """Its links are still good, and the job is still there."""
    command: list[str | Path] = [sys.executable, APP, tmp_path]
    with Server(command, tmp_path, environment()) as first, visiting(first) as visit:
        visit.page.goto(f"{first.url}/?part=status{live}")
        expect(visit.page.locator(".errands-count")).to_have_text("0 of 3")
        first.kill()
        for step in range(3):
            (tmp_path / f"step{step + 1}").touch()
        port = str(urlsplit(first.url).port)
        with Server([*command, port], tmp_path, environment()):
            expect(visit.page.locator(".errands-state")).to_have_text("done")


def test_an_open_stream_holds_up_no_shutdown(server: Server) -> None:
    """Uvicorn waits for it without an end, and so it ends by itself."""
    page = httpx.get(f"{server.url}/?part=status&live=1", trust_env=False).text
    address = page.partition('src="/_errands')[2].partition('"')[0].replace("&amp;", "&")
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)
    connection.request("GET", f"/_errands{address}")
    stream = connection.getresponse()
    assert b"retry: 500\n" == stream.readline()

    begun = time.monotonic()
    server.stop()
    rest = stream.read()
    connection.close()

    assert time.monotonic() - begun < 5
    assert b"event: end" not in rest  # the job has not ended
    assert "Application shutdown complete." in server.output

"""The dashboard in a real browser, with two workers and the jobs of a day.

`SCREENSHOTS=docs/images python -m pytest tests/test_dashboard_browser.py -k pictures` makes the
pictures of the documentation.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from live_server import Server, environment
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # asked or not, nobody is reached
]  # fmt: skip  # a list
PATIENCE = 30_000.0  # milliseconds
HERE = Path(__file__).parent
PAGES = (
    "",
    "jobs",
    "jobs?state=failed",
    "groups",
    "groups?group=catalogue",
    "errors",
    "queues",
    "schedules",
    "services",
    "workers",
)
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}

Scheme = Literal["light", "dark"]

# The contrast of each text with what is behind it (WCAG 2.2, 1.4.3).
FAINT = """() => {
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (text) => rgb(text).slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (each) => {
        for (let at = each; at; at = at.parentElement) {
            const found = getComputedStyle(at).backgroundColor;
            if (rgb(found)[3] !== 0) return found;
        }
    };
    const faint = [];
    for (const each of document.querySelectorAll("body *")) {
        const has = [...each.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!has || !each.checkVisibility() || each.closest("svg, option")) continue;
        const [a, b] = [getComputedStyle(each).color, behind(each)].map(light);
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) faint.push(`${each.textContent.trim().slice(0, 40)}: ${contrast}`);
    }
    return faint;
}"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]


@dataclass
class Visit:
    """A page in the browser, and what happened on it meanwhile."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda told: self._hear(told.type, told.text))
        self.page.on("pageerror", lambda error: self._hear("error", str(error)))
        self.page.on("dialog", lambda dialog: self._hear("error", f"dialog: {dialog.message}"))
        self.page.on("framenavigated", lambda frame: self.loads.append(frame.url))
        self.page.context.on("request", lambda request: self._went_to(request.url))

    def go(self, path: str) -> None:
        """To a page of the dashboard."""
        self.page.goto(f"{self.base}/errands/{path}")

    def row(self, text: str) -> Any:
        """The row of a table that has this text."""
        return self.page.locator("tbody tr", has_text=text).first

    def require_peace(self) -> None:
        """Nothing was complained of, and nobody else was asked for anything."""
        assert [] == self.complaints
        assert {urlsplit(self.base).netloc} == self.hosts

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _went_to(self, url: str) -> None:
        self.hosts.add(urlsplit(url).netloc)


@contextmanager
def visit(shop: Server, **options: Any) -> Iterator[Visit]:
    """Open a browser.

    Not a fixture: Playwright keeps an event loop in this thread while it is open.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            context = browser.new_context(**{"viewport": DESK, **options})
            yield Visit(context.new_page(), shop.url)
        finally:
            browser.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shop, and another worker beside it."""
    folder = tmp_path_factory.mktemp("shop")
    variables = environment(SHOP_STORE="sqlite:///shop.db")
    what = ["seed"] if "SCREENSHOTS" in os.environ else ["seed", "strange"]
    with Server([sys.executable, HERE / "dashboard_site.py", *what], folder, variables) as server:
        command = [sys.executable, "-m", "errands", "worker", "dashboard_site:errands"]
        worker = subprocess.Popen(
            [*command, "--slots", "8", "--app-dir", HERE], cwd=folder, env=variables
        )
        try:
            yield server
        finally:
            worker.terminate()
            worker.wait(PATIENCE)


def test_no_page_asks_anybody_else(shop: Server) -> None:
    """And none has anything to complain of, kept up to date or not."""
    with visit(shop) as visited:
        for path in PAGES:
            visited.go(path)
            expect(visited.page.locator("h1")).to_be_visible()
        visited.go("jobs?state=failed")
        visited.page.locator("a[data-row]").first.click()
        expect(visited.page.locator("svg.lifeline")).to_be_visible()
        visited.go("")
        with visited.page.expect_response(lambda answer: answer.url.endswith("/errands/")):
            pass  # the page has looked by itself

        visited.require_peace()


def test_a_page_keeps_itself_up_to_date(shop: Server) -> None:
    """Without a reload; what somebody has opened stays open, and where they are they stay."""
    with visit(shop) as visited:
        visited.go("services")
        row = visited.row("ftp.mirror")
        restarts = row.locator("td[data-label=Restarts]").inner_text()
        row.locator("[id='log-ftp.mirror'] summary").click()
        visited.page.keyboard.press("j")
        visited.page.keyboard.press("k")
        expect(row.locator("[data-row]")).to_be_focused()
        expect(row.locator("td[data-label=Restarts]")).not_to_have_text(restarts, timeout=PATIENCE)

        expect(row.locator("[id='log-ftp.mirror'] pre")).to_contain_text("connected to ftp")
        expect(row.locator("[id='log-ftp.mirror'] pre")).to_be_visible()
        expect(row.locator("[data-row]")).to_be_focused()
        assert [f"{shop.url}/errands/services"] == visited.loads
        visited.require_peace()


def test_a_page_can_be_told_to_stay_as_it_is(shop: Server) -> None:
    """By its button; and while a row is selected or a field is being filled."""
    with visit(shop) as visited:
        asked: list[str] = []
        visited.go("jobs")
        live = visited.page.locator("#live")
        live.click()
        expect(live).to_have_text("Paused")
        visited.page.on("request", lambda request: asked.append(request.url))
        visited.page.clock.install()
        visited.page.clock.run_for(20_000)

        assert [] == asked


def test_an_update_swallows_no_click(shop: Server) -> None:
    """Between press and release a page stays as it is."""
    with visit(shop) as visited:
        visited.go("jobs")
        page = visited.page
        page.locator("[data-row]").first.hover()
        assert page.evaluate("isBusy()") is False
        page.mouse.down()
        assert page.evaluate("isBusy()") is True
        page.mouse.up()
        expect(page).not_to_have_url(re.compile(r"/jobs$"))

        visited.require_peace()


def test_jobs_are_filtered(shop: Server) -> None:
    """By a text, a task and a state; and the address of what was found can be shared."""
    with visit(shop) as visited:
        page = visited.page
        visited.go("jobs")
        page.get_by_role("link", name="Failed").click()
        page.get_by_role("searchbox").fill("partner-3.example")
        page.get_by_text("More").click()
        page.get_by_label("Task").select_option("webhooks.deliver")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("tbody tr").first).to_contain_text("webhooks.deliver")
        found, address = page.locator("tbody tr").count(), page.url

        assert {"failed"} == set(page.locator("tbody .badge").all_inner_texts())
        assert 0 < found < 30
        visited.require_peace()
    with visit(shop) as other:
        other.page.goto(address)
        expect(other.page.locator("tbody tr")).to_have_count(found)
        expect(other.page.get_by_role("searchbox")).to_have_value("partner-3.example")


def test_a_schedule_is_paused(shop: Server) -> None:
    """It says so, and goes on when it is told to."""
    with visit(shop) as visited:
        visited.go("schedules")
        row = visited.row("reindex people")
        row.get_by_role("button", name="Pause").click()
        expect(row).to_contain_text("paused")
        expect(visited.page.get_by_role("status")).to_have_text("Paused.")
        assert visited.page.url.endswith("/errands/schedules")
        row.get_by_role("button", name="Resume").click()
        expect(row.locator(".badge")).to_have_text("on")

        visited.require_peace()
    shop.wait_for("pause who='ada'")


def test_a_queue_is_paused(shop: Server) -> None:
    """And goes on."""
    with visit(shop) as visited:
        visited.go("queues")
        row = visited.row("webhooks")
        row.get_by_role("button", name="Pause").click()
        expect(row).to_contain_text("paused")
        row.get_by_role("button", name="Resume").click()
        expect(row).not_to_contain_text("paused")

        visited.require_peace()
    shop.wait_for("resume who='ada'")


def test_a_group_is_cancelled(shop: Server) -> None:
    """From the list to its page; those that can be cancelled are counted, and then they are."""
    with visit(shop) as visited:
        page = visited.page
        visited.go("groups")
        visited.row("autumn").get_by_role("link", name="autumn").click()
        expect(page.locator("h1")).to_have_text("autumn sale")
        page.get_by_role("button", name="Cancel 40").click()
        page.get_by_role("button", name="Cancel 40").click()
        expect(page.locator("main > .head .badge")).to_have_text("done", timeout=PATIENCE)
        visited.go("groups?group=autumn+sale")
        expect(page.locator("main > .head")).to_contain_text("40 of 40")
        page.get_by_role("link", name="Cancelled").click()
        expect(page.locator("tbody .badge").first).to_have_text("cancelled")
        expect(page.get_by_role("button", name="Retry 40")).to_be_visible()

        visited.require_peace()


def test_all_of_an_error_are_retried(shop: Server) -> None:
    """They are counted, retried by a job of its own, and queued."""
    with visit(shop) as visited:
        page = visited.page
        visited.go("jobs?state=failed&task=search.reindex")
        there = page.locator("tbody tr").count()
        page.get_by_role("link", name="retry all").click()
        page.get_by_role("button", name=f"Retry {there}").click()
        expect(page.get_by_role("status")).to_contain_text("This job changes all that match")
        expect(page.locator("main > .head .badge")).to_have_text("done", timeout=PATIENCE)
        expect(page.locator("section", has_text="Result").locator("pre").last).to_have_text(
            str(there)
        )
        visited.go("jobs?state=failed&task=search.reindex")
        expect(page.locator("tbody tr")).to_have_count(0)
        visited.go("errors")
        row = visited.row("SMTPServerDisconnected")
        row.get_by_role("button", name="Retry").click()
        expect(page.get_by_role("status")).to_contain_text("Queued again")

        visited.require_peace()


def test_a_job_is_retried_with_edited_arguments(shop: Server) -> None:
    """The secret that was hidden goes along."""
    with visit(shop) as visited:
        page = visited.page
        visited.go("jobs?state=failed&task=payments.capture&text=may not capture")
        page.locator("[data-row]").first.click()
        page.get_by_text("Run again with other arguments").click()
        field = page.get_by_role("textbox", name="arguments")
        assert "sk_live" not in field.input_value()
        field.fill(field.input_value().replace('"amount": -', '"amount": 4'))
        page.get_by_role("button", name="Add this job").click()
        expect(page.get_by_role("status")).to_contain_text("with the edited arguments")
        expect(page.locator("main > .head .badge")).to_have_text("done", timeout=PATIENCE)
        expect(page.locator("main")).to_contain_text('"status": "succeeded"')

        visited.require_peace()


def test_rows_are_retried_by_their_key(shop: Server) -> None:
    """`r` retries the row; `x` ticks it, and the page then stays as it is."""
    with visit(shop) as visited:
        page = visited.page
        visited.go("jobs?state=failed&task=images.thumbnails")
        there = page.locator("tbody tr").count()
        page.keyboard.press("j")
        page.keyboard.press("r")
        expect(page.get_by_role("status")).to_have_text("Queued again: 1.")
        expect(page.locator("tbody tr")).to_have_count(there - 1)
        page.keyboard.press("j")
        page.keyboard.press("x")
        page.keyboard.press("j")
        page.keyboard.press("x")
        expect(page.locator("[name=id]:checked")).to_have_count(2)
        page.get_by_role("button", name="Retry", exact=True).first.click()
        expect(page.get_by_role("status")).to_have_text("Queued again: 2.")

        visited.require_peace()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(shop: Server, scheme: Scheme) -> None:
    """Its contrast is 4.5 at least, by day and by night."""
    with visit(shop, color_scheme=scheme) as visited:
        for path in PAGES:
            visited.go(path)
            assert [] == visited.page.evaluate(FAINT), path
        back = visited.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert {"light": "rgb(251, 250, 248)", "dark": "rgb(20, 21, 23)"}[scheme] == back


def test_keys_lead_everywhere(shop: Server) -> None:
    """To the search, along the rows, into a job, and to another page."""
    with visit(shop) as visited:
        page = visited.page
        visited.go("")
        page.keyboard.press("/")
        page.wait_for_url("**/jobs#search")
        expect(page.get_by_role("searchbox")).to_be_focused()
        page.keyboard.type("jk/ customer7@")
        expect(page.get_by_role("searchbox")).to_have_value("jk/ customer7@")
        page.keyboard.press("Escape")
        visited.go("jobs?state=done&task=payments.capture")
        rows = page.locator("[data-row]")
        for key, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
            page.keyboard.press(key)
            expect(rows.nth(at)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("payments.capture")
        page.keyboard.press("g")
        page.keyboard.press("e")
        expect(page.locator("h1")).to_have_text("Errors")
        page.keyboard.press("?")
        expect(page.locator("dialog")).to_contain_text("next row, row before")
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).not_to_be_visible()

        visited.require_peace()


def test_everything_works_without_javascript(shop: Server) -> None:
    """But for liveness, of which there is no sign then."""
    with visit(shop, java_script_enabled=False) as visited:
        page = visited.page
        for path in PAGES:
            visited.go(path)
            expect(page.locator("h1")).to_be_visible()
            expect(page.locator("#live")).not_to_be_visible()
        visited.go("jobs")
        page.get_by_role("searchbox").fill("customer7@")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("tbody tr").first).to_contain_text("customer7@")
        page.get_by_role("link", name="All", exact=True).click()
        visited.go("jobs?state=done")
        first = page.locator("[data-row]").first.get_attribute("href")
        page.get_by_role("link", name="Older").click()
        expect(page.locator("tbody tr")).to_have_count(50)
        assert first != page.locator("[data-row]").first.get_attribute("href")
        page.locator("[data-row]").first.click()
        expect(page.locator("svg.lifeline")).to_be_visible()
        visited.go("schedules")
        row = visited.row("reindex people")
        row.get_by_role("button", name="Pause").click()
        expect(row.locator(".badge")).to_have_text("paused")
        row.get_by_role("button", name="Resume").click()
        expect(row.locator(".badge")).to_have_text("on")


def test_a_phone_shows_all_of_it(shop: Server) -> None:
    """No page is wider than the screen."""
    with visit(shop, viewport=PHONE) as visited:
        visited.go("jobs?state=failed")
        job = visited.page.locator("[data-row]").first.get_attribute("href") or ""
        for path in (*PAGES, job.removeprefix("/errands/"), "jobs?queue=x", "change?do=retry"):
            visited.go(path)
            width = visited.page.evaluate("document.documentElement.scrollWidth")
            assert PHONE["width"] == width, path

        visited.require_peace()


def test_a_phone_tells_a_service_before_its_log(shop: Server) -> None:
    """How it does stands below its name, and its log has the width of the screen."""
    with visit(shop, viewport=PHONE) as visited:
        visited.go("services")
        row = visited.row("ftp.mirror")
        row.locator("[id='log-ftp.mirror'] summary").click()
        name, state, log = (
            row.locator(each).bounding_box() or {}
            for each in ("[data-row]", ".badge", "pre >> nth=-1")
        )

        assert name["y"] < state["y"] < log["y"]
        assert log["width"] > 0.9 * PHONE["width"]
        visited.require_peace()


def test_strange_texts_do_nothing(shop: Server) -> None:
    """Tags and handlers in arguments and errors are read, and not obeyed."""
    with visit(shop) as visited:
        for path in ("jobs?task=strange", "errors", "jobs?text=<img src=x onerror=alert(1)>"):
            visited.go(path)
            expect(visited.page.locator("h1")).to_be_visible()
        visited.go("jobs?task=strange")
        visited.page.locator("[data-row]").first.click()
        expect(visited.page.locator("pre").first).to_contain_text("<script>alert(1)</script>")
        assert 0 == visited.page.locator("main img, main script").count()

        visited.require_peace()


def test_pictures_for_the_documentation(shop: Server, tmp_path: Path) -> None:
    """Each page, by day and by night, on a desk and on a phone."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    schemes: tuple[Scheme, ...] = ("light", "dark")
    for scheme in schemes:
        for place, size in (("desk", DESK), ("phone", PHONE)):
            with visit(shop, viewport=size, color_scheme=scheme) as visited:
                for name, path in PICTURES:
                    visited.go(path)
                    if name in ("job", "order"):
                        visited.page.locator("[data-row]").first.click()
                        expect(visited.page.locator("svg.lifeline")).to_be_visible()
                    if name == "services":
                        visited.page.locator("[id='log-ftp.mirror'] summary").click()
                    if name == "order":
                        visited.page.locator(".graph").scroll_into_view_if_needed()
                    picture = folder / f"dashboard-{name}-{place}-{scheme}.png"
                    visited.page.screenshot(path=picture)
                    assert picture.stat().st_size > 10_000, "there is nothing to be seen"


PICTURES = (
    ("jobs", "jobs"), ("job", "jobs?state=failed&task=webhooks.deliver&text=Trace"),
    ("errors", "errors"), ("queues", "queues"), ("groups", "groups"),
    ("group", "groups?group=catalogue"), ("order", "jobs?task=orders.pack"), ("now", ""),
    ("services", "services"),
)  # fmt: skip  # a table

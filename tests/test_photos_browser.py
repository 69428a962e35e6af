"""The example in a real browser: cards come to their end without a reload."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from photo_site import Darkroom, picture
from playwright.sync_api import FilePayload, Page, expect, sync_playwright

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
PATIENCE = 30_000.0  # milliseconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]


@dataclass
class Visit:
    """A page in the browser, and what happened on it meanwhile."""

    page: Page
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

    def wait_for_state(self, state: str, name: str) -> None:
        """Return once the card of this picture shows this state."""
        card = self.page.locator("#cards article", has=self.page.get_by_text(name, exact=True))
        expect(card.locator(".state")).to_have_text(state, timeout=PATIENCE)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _went_to(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.hosts.add(urlsplit(url).netloc)


@contextmanager
def visit(darkroom: Darkroom) -> Iterator[Visit]:
    """Open the page in a browser of its own.

    Not a fixture: Playwright keeps an event loop in this thread while it is open.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            visit = Visit(browser.new_page())
            visit.page.goto(darkroom.server.url)
            yield visit
        finally:
            browser.close()


@pytest.fixture
def darkroom(tmp_path: Path) -> Iterator[Darkroom]:
    with Darkroom(tmp_path, pause=0.1) as darkroom:
        yield darkroom


def payload(name: str, content: bytes) -> FilePayload:
    """A file, as a visitor chooses it from a disk."""
    return {"name": name, "mimeType": "image/png", "buffer": content}


def test_chosen_pictures_reach_their_end_without_a_reload(darkroom: Darkroom) -> None:
    """The good one shows its prints, the bad one its reason; nobody else's server is asked."""
    name = "<img src=x onerror=alert(1)>.png"
    with visit(darkroom) as visited:
        page = visited.page
        page.locator("#drop input[type=file]").set_input_files(
            [payload(name, picture()), payload("bad.png", b"no picture")]
        )
        visited.wait_for_state("failed", "bad.png")
        visited.wait_for_state("done", name)

        prints = page.locator("article.done img")
        expect(prints).to_have_count(3)
        for number in range(3):
            shown = "image => image.decode().then(() => image.naturalWidth)"
            assert prints.nth(number).evaluate(shown) > 0
        expect(page.locator("article.failed > p")).to_have_text(
            "This is not a JPEG, PNG or WebP picture."
        )
        page.wait_for_load_state("networkidle")

    assert [f"{darkroom.server.url}/"] == visited.loads
    assert {urlsplit(darkroom.server.url).netloc} == visited.hosts
    assert [] == visited.complaints


def test_a_dropped_picture_reaches_its_end(darkroom: Darkroom, tmp_path: Path) -> None:
    """A file let go over the zone is uploaded at once."""
    file = tmp_path / "dropped.png"
    file.write_bytes(picture())
    with visit(darkroom) as visited:
        box = visited.page.locator("#drop").bounding_box()
        assert box is not None
        mouse = visited.page.context.new_cdp_session(visited.page)
        for kind in ("dragEnter", "dragOver", "drop"):
            mouse.send(
                "Input.dispatchDragEvent",
                {
                    "type": kind,
                    "x": box["x"] + box["width"] / 2,
                    "y": box["y"] + box["height"] / 2,
                    "data": {"items": [], "files": [str(file)], "dragOperationsMask": 1},
                },
            )
        visited.wait_for_state("done", "dropped.png")

    assert [f"{darkroom.server.url}/"] == visited.loads
    assert [] == visited.complaints


def test_a_sample_reaches_its_end(darkroom: Darkroom) -> None:
    """One click, one card."""
    with visit(darkroom) as visited:
        button = visited.page.locator("#samples button").first
        name = f"{button.get_attribute('value')}.jpg"
        button.click()
        visited.wait_for_state("done", name)

        expect(visited.page.locator("#cards article")).to_have_count(1)

    assert [f"{darkroom.server.url}/"] == visited.loads
    assert [] == visited.complaints


def test_a_failure_leads_to_its_traceback_and_to_a_retry(darkroom: Darkroom) -> None:
    """From the card to the job on the dashboard; with its file mended it is developed there."""
    with visit(darkroom) as visited:
        page = visited.page
        page.locator("#drop input[type=file]").set_input_files(payload("bad.png", b"no picture"))
        visited.wait_for_state("failed", "bad.png")
        page.get_by_role("link", name="Why it failed").click()
        expect(page.locator("h1")).to_have_text("photos.develop")
        expect(page.locator("#attempt-0 pre")).to_contain_text("Traceback")
        expect(page.locator("#attempt-0 pre")).to_contain_text("pictures.BrokenPicture")
        (original,) = (
            path for path in (darkroom.pictures / "originals").iterdir() if not path.suffix
        )
        original.write_bytes(picture())
        page.get_by_role("button", name="Retry").click()
        expect(page.locator("main > .head .badge")).to_have_text("done", timeout=PATIENCE)
        page.goto(darkroom.server.url)
        visited.wait_for_state("done", "bad.png")

        expect(page.get_by_role("link", name="Why it failed")).to_have_count(0)
        page.get_by_role("link", name="Behind the scenes").click()
        expect(page.locator("h1")).to_have_text("Now")

    assert {urlsplit(darkroom.server.url).netloc} == visited.hosts
    assert [] == visited.complaints


def test_an_open_page_outlives_the_server(tmp_path: Path) -> None:
    """The server is killed and comes back: the card on the page goes on to its end."""
    with Darkroom(tmp_path, pause=30) as first, visit(first) as visited:
        visited.page.locator("#drop input[type=file]").set_input_files(
            payload("cat.png", picture())
        )
        visited.wait_for_state("running", "cat.png")
        first.server.kill()
        expect(visited.page.locator("main.away")).to_have_count(1, timeout=PATIENCE)

        with Darkroom(tmp_path, port=urlsplit(first.server.url).port or 0):
            visited.wait_for_state("done", "cat.png")
            expect(visited.page.locator("main.away")).to_have_count(0, timeout=PATIENCE)

    assert [f"{first.server.url}/"] == visited.loads

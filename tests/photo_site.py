"""The darkroom of `examples/photos` in a process of its own, and a visitor without scripts."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from bs4 import BeautifulSoup, Tag
from live_server import PATIENCE, Server, environment
from PIL import Image

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "photos"
LOOK = 0.05  # seconds between two looks at a card
HTMX = {"HX-Request": "true"}
Colour = tuple[int, int, int]
RED, BLUE, GREEN = (200, 30, 40), (30, 40, 200), (20, 160, 60)


@dataclass(frozen=True)
class Card:
    """What a visitor sees of one picture.

    Args:
        poll: Where its next version is to be had; empty for the last one.
        text: Its line of text.
        thumbnails: Their URLs.
        palette: Colours as `#rrggbb`.
    """

    name: str
    state: str
    text: str
    poll: str
    thumbnails: tuple[str, ...]
    palette: tuple[str, ...]


class Darkroom:
    """The example, copied to a folder and started there, with its pictures in another.

    Args:
        folder: An empty one, for all of it; or that of an earlier one, whose pictures stay.
        pause: Seconds that each step of a job takes longer.
        port: Where to listen; a free one by default.
    """

    def __init__(self, folder: Path, *, pause: float = 0, port: int = 0) -> None:
        self.pictures = folder / "pictures"
        self.elsewhere = folder / "elsewhere"
        self.program = self.elsewhere / "photos"
        self._start_in = self.elsewhere / "start"
        for inner in ("home", "start", "tmp"):
            (self.elsewhere / inner).mkdir(parents=True, exist_ok=True)
        if not self.program.exists():
            ours = shutil.ignore_patterns("uploads", "__pycache__")
            shutil.copytree(EXAMPLE, self.program, ignore=ours)
        self.server = Server(
            [sys.executable, self.program / "main.py"],
            self._start_in,
            environment(
                HOME=str(self.elsewhere / "home"),
                TMPDIR=str(self.elsewhere / "tmp"),
                PHOTOS_DIR=str(self.pictures),
                PHOTOS_PAUSE=str(pause),
                PORT=str(port),
            ),
        )

    def __enter__(self) -> Darkroom:
        self.server.__enter__()
        self.http = httpx.Client(
            base_url=self.server.url,
            timeout=PATIENCE,
            trust_env=False,
            event_hooks={"response": [refuse_500]},
        )
        return self

    def __exit__(self, *exc: Any) -> None:
        self.http.close()
        self.server.__exit__(*exc)

    def cards(self) -> list[Card]:
        """Those of the page as it is loaded now."""
        return cards_in(self.http.get("/").raise_for_status().text)

    def upload(self, *files: tuple[str, bytes]) -> list[Card]:
        """Send files in one form, as htmx does, and return the cards that it would show."""
        form = [("pictures", (name, content, "image/png")) for name, content in files]
        response = self.http.post("/upload", files=form, headers=HTMX)
        return cards_in(response.raise_for_status().text)

    def look(self, card: Card) -> Card:
        """The next version of a card, fetched as htmx does."""
        response = self.http.get(card.poll, headers=HTMX)
        (found,) = cards_in(response.raise_for_status().text)
        return found

    def follow(self, card: Card, *, until: Sequence[str] = ()) -> Card:
        """The last version of a card, or the first one in one of these states."""
        end = time.monotonic() + PATIENCE
        while card.poll and card.state not in until:
            assert time.monotonic() < end, f"{card} does not come to its end"
            time.sleep(LOOK)  # a page gets no signal either
            card = self.look(card)
        assert not until or card.state in until, f"{card} was never {until}"
        return card

    def thumbnails(self, card: Card) -> list[Image.Image]:
        """Those of a card, fetched, smallest first."""
        responses = [self.http.get(url).raise_for_status() for url in card.thumbnails]
        assert {"image/jpeg"} == {response.headers["content-type"] for response in responses}
        found = [Image.open(BytesIO(response.content)) for response in responses]
        return sorted(found, key=lambda thumbnail: max(thumbnail.size))


def cards_in(html: str) -> list[Card]:
    """The cards of a page or of a fragment, in their order."""
    assert "Traceback" not in html
    return [card_of(article) for article in BeautifulSoup(html, "html.parser").find_all("article")]


def card_of(article: Tag) -> Card:
    text, links = article.find("p"), [str(link["href"]) for link in article.find_all("a")]
    return Card(
        name=words_of(article.find("h2")),
        state=words_of(article.find(class_="state")),
        text=words_of(text),
        poll=str(article.get("hx-get", "")),
        thumbnails=tuple(link for link in links if link.startswith("/thumbnails/")),
        palette=tuple(re.findall(r"#[0-9a-f]{6}\b", article.get_text(" "))),
    )


def words_of(element: Any) -> str:
    assert isinstance(element, Tag)
    return element.get_text()


def refuse_500(response: httpx.Response) -> None:
    """No page of ours may fall over, whatever is asked of it."""
    assert response.status_code < 500, f"{response.request.url} answered {response}"


def picture(
    kind: str = "PNG",
    size: tuple[int, int] = (900, 600),
    colours: Sequence[Colour] = (RED, BLUE),
    **options: Any,
) -> bytes:
    """A picture of equally high stripes, the first on top."""
    drawn = Image.new("RGB", (1, len(colours)))
    for row, colour in enumerate(colours):
        drawn.putpixel((0, row), colour)
    return encoded(drawn.resize(size, Image.Resampling.NEAREST), kind, **options)


def encoded(drawn: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    drawn.save(file, kind, **options)
    return file.getvalue()


def files_in(folder: Path) -> Mapping[str, bytes]:
    """All files below a folder with their contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }

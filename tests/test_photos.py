"""The example: pictures dropped on a page are developed, whatever happens to the server."""

import asyncio
import http.client
import re
import time
from collections.abc import Iterator
from math import dist
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from live_server import PATIENCE
from photo_site import (
    BLUE,
    GREEN,
    HTMX,
    LOOK,
    RED,
    Card,
    Colour,
    Darkroom,
    cards_in,
    encoded,
    files_in,
    picture,
)
from PIL import Image, ImageColor

from errands import Errands, Job, Outcome

pytestmark = pytest.mark.slow

MB = 1024 * 1024
SIZES = [128, 320, 640]
SCRIPT = "<script>alert(1)</script>.png"


@pytest.fixture(scope="module")
def darkroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """One that all tests share which do not kill it."""
    with Darkroom(tmp_path_factory.mktemp("darkroom")) as darkroom:
        yield darkroom


def assert_readable(card: Card) -> None:
    """It failed, with one line for a visitor who is no programmer."""
    assert ("failed", "", (), ()) == (card.state, card.poll, card.thumbnails, card.palette)
    assert re.fullmatch(r"[A-Z][\w ,'-]{10,80}\.", card.text)


def sent_raw(darkroom: Darkroom, path: str, size: int) -> tuple[int, str]:
    """The answer to a request that announces a body of this size, and sends none of it."""
    connection = http.client.HTTPConnection(urlsplit(darkroom.server.url).netloc, timeout=PATIENCE)
    try:
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(size))
        connection.putheader("Content-Type", "multipart/form-data; boundary=cut")
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def jobs_of(darkroom: Darkroom) -> list[Job]:
    """What the store of a darkroom that was closed has kept."""

    async def look() -> list[Job]:
        async with Errands(f"sqlite:///{darkroom.pictures / 'errands.db'}") as errands:
            return await errands.jobs()

    return asyncio.run(look())


# What becomes of pictures


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_becomes_thumbnails_and_a_palette(darkroom: Darkroom, kind: str) -> None:
    """All three of the right sizes, and its colours among the hex codes."""
    colours: list[Colour] = [RED, GREEN, BLUE]
    (card,) = darkroom.upload((f"flag.{kind.lower()}", picture(kind, (900, 600), colours)))

    done = darkroom.follow(card)

    assert (f"flag.{kind.lower()}", "done") == (done.name, done.state)
    sizes = [thumbnail.size for thumbnail in darkroom.thumbnails(done)]
    assert [(size, round(size * 2 / 3)) for size in SIZES] == sizes
    palette = [ImageColor.getrgb(code) for code in done.palette]
    assert 3 <= len(palette) <= 5
    for colour in colours:
        assert min(dist(colour, found) for found in palette) < 30


def test_a_thumbnail_shows_the_picture(darkroom: Darkroom) -> None:
    """What was above stays above, in its colour."""
    (card,) = darkroom.upload(("flag.png", picture("PNG", (600, 900), (RED, BLUE))))

    thumbnails = darkroom.thumbnails(darkroom.follow(card))

    for thumbnail in thumbnails:
        width, height = thumbnail.size
        for y, colour in ((height // 4, RED), (height * 3 // 4, BLUE)):
            found = thumbnail.getpixel((width // 2, y))
            assert isinstance(found, tuple)
            assert dist(colour, found) < 20


def test_a_picture_that_lies_on_its_side_is_put_upright(darkroom: Darkroom) -> None:
    """A camera says in the EXIF data how it was held."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right
    (card,) = darkroom.upload(("camera.jpg", picture("JPEG", (900, 600), exif=exif)))

    thumbnails = darkroom.thumbnails(darkroom.follow(card))

    assert [(427, 640)] == [thumbnail.size for thumbnail in thumbnails[-1:]]


def test_a_small_picture_is_not_blown_up(darkroom: Darkroom) -> None:
    """Its thumbnails are as large as it is."""
    (card,) = darkroom.upload(("small.png", picture("PNG", (90, 60))))

    thumbnails = darkroom.thumbnails(darkroom.follow(card))

    assert [(90, 60)] * 3 == [thumbnail.size for thumbnail in thumbnails]


def test_a_transparent_picture_gets_white_paper(darkroom: Darkroom) -> None:
    """JPEG knows no transparency."""
    (card,) = darkroom.upload(("glass.png", encoded(Image.new("RGBA", (64, 64)), "PNG")))

    done = darkroom.follow(card)

    assert ("done", ("#ffffff",)) == (done.state, done.palette)
    assert [(255, 255, 255)] * 3 == [t.getpixel((9, 9)) for t in darkroom.thumbnails(done)]


# What cannot become a picture


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("cut.jpg", picture("JPEG")[:1500], id="a JPEG cut off"),
        pytest.param("cut.png", picture("PNG")[:300], id="a PNG cut off"),
        pytest.param("cut.webp", picture("WEBP")[:60], id="a WebP cut off"),
        pytest.param("notes.txt", b"milk, eggs, bread\n", id="a text"),
        pytest.param("notes.jpg", b"milk, eggs, bread\n", id="a text with the name of a picture"),
        pytest.param("empty.png", b"", id="an empty file"),
        pytest.param("moving.gif", picture("GIF"), id="another format"),
        pytest.param(
            "huge.png", encoded(Image.new("1", (9000, 9000)), "PNG"), id="too many pixels"
        ),
    ],
)
def test_what_is_no_good_picture_fails_with_a_readable_reason(
    darkroom: Darkroom, name: str, content: bytes
) -> None:
    """One line for people: no traceback, no path, no name of a class."""
    (card,) = darkroom.upload((name, content))

    failed = darkroom.follow(card)

    assert name == failed.name
    assert_readable(failed)
    assert "on our side" not in failed.text


def test_a_bad_file_harms_none_of_those_beside_it(darkroom: Darkroom) -> None:
    """Each file of a form has a card of its own, with an end of its own."""
    good = picture()
    files = [("a.png", good), ("b.png", good[:200]), ("c.jpg", good), ("d.txt", b"text")]

    cards = darkroom.upload(*files, ("e.webp", picture("WEBP")))

    ends = {card.name: darkroom.follow(card).state for card in cards}
    expected = {"a.png": "done", "b.png": "failed", "c.jpg": "done", "d.txt": "failed"}
    assert {**expected, "e.webp": "done"} == ends


def test_a_file_that_is_too_large_says_so(darkroom: Darkroom) -> None:
    """The card names the limit."""
    (card,) = darkroom.upload(("large.png", picture().ljust(20 * MB + 1, b"\0")))

    failed = darkroom.follow(card)

    assert_readable(failed)
    assert "20 MB" in failed.text


def test_a_file_as_large_as_allowed_is_developed(darkroom: Darkroom) -> None:
    """The limit itself is within it."""
    (card,) = darkroom.upload(("large.jpg", picture("JPEG").ljust(20 * MB, b"\0")))

    assert "done" == darkroom.follow(card).state


def test_too_large_a_request_is_refused_before_it_is_read(darkroom: Darkroom) -> None:
    """Neither memory nor disk is filled, and the answer says how much may be sent."""
    status, text = sent_raw(darkroom, "/upload", 200 * MB + 1)

    assert (413, True) == (status, "200 MB" in text)
    assert 1 == len(text.splitlines())


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"pictures": ("", b"")}, id="an empty field"),
        pytest.param({"pictures": (None, b"text")}, id="text"),
        pytest.param({"other": ("a.png", b"")}, id="another field"),
    ],
)
def test_a_form_without_pictures_makes_no_card(
    darkroom: Darkroom, form: dict[str, tuple[str | None, bytes]]
) -> None:
    """It is no error of the server either: the visitor pressed the button too early."""
    before = len(darkroom.cards())

    response = darkroom.http.post("/upload", files=form, headers=HTMX)

    assert [] == cards_in(response.text)
    assert before == len(darkroom.cards())


# The page


def test_samples_are_there_at_the_first_start(darkroom: Darkroom) -> None:
    """Whoever has no picture at hand can try one of ours."""
    page = BeautifulSoup(darkroom.http.get("/").text, "html.parser")
    buttons = page.select("form#samples button")

    assert len(buttons) >= 3
    for button in buttons:
        (shown,) = button.find_all("img")
        assert 200 == darkroom.http.get(str(shown["src"])).status_code


def test_a_sample_is_developed_like_an_upload(darkroom: Darkroom) -> None:
    """It takes the same way to the same end."""
    page = BeautifulSoup(darkroom.http.get("/").text, "html.parser")
    (name, *_) = [str(button["value"]) for button in page.select("form#samples button")]

    response = darkroom.http.post("/sample", data={"name": name}, headers=HTMX)

    (card,) = cards_in(response.raise_for_status().text)
    done = darkroom.follow(card)
    assert ("done", 3) == (done.state, len(done.thumbnails))


def test_the_page_itself_shows_all_cards_newest_first(darkroom: Darkroom) -> None:
    """A visitor who comes back later finds what became of the pictures."""
    for name in ("first.png", "second.png"):
        (card,) = darkroom.upload((name, picture()))
        darkroom.follow(card)

    newest = darkroom.cards()[:2]

    assert [("second.png", "done"), ("first.png", "done")] == [(c.name, c.state) for c in newest]


def test_a_browser_without_scripts_is_led_back_to_the_page(darkroom: Darkroom) -> None:
    """Its card is there when the page is."""
    form = {"pictures": ("plain.png", picture(), "image/png")}
    response = darkroom.http.post("/upload", files=form)

    assert (303, "/") == (response.status_code, response.headers["location"])
    assert "plain.png" == darkroom.cards()[0].name


def test_names_of_files_are_shown_and_not_obeyed(darkroom: Darkroom) -> None:
    """Markup in a name is text, in the fragment as on the page."""
    form = {"pictures": (SCRIPT, b"no picture", "image/png")}
    fragment = darkroom.http.post("/upload", files=form, headers=HTMX).text
    (card,) = cards_in(fragment)
    darkroom.follow(card)
    page = darkroom.http.get("/").text

    assert SCRIPT == card.name
    assert "<script>alert" not in fragment
    assert "<script>alert" not in page


def test_the_access_log_has_a_line_for_each_upload(darkroom: Darkroom) -> None:
    """Local tasks write it, after the response, in the order of the files."""
    content = picture()
    names = ["log 1.png", "log 2.png", "log 3.png"]
    for card in darkroom.upload(*((name, content) for name in names)):
        darkroom.follow(card)

    lines = wait_for_lines(darkroom, "log ", 3)

    assert names == [re.findall(r"'(.+)'", line)[0] for line in lines]
    assert [f"{len(content)} bytes"] * 3 == [re.findall(r"\d+ bytes", line)[0] for line in lines]


def test_a_name_cannot_forge_a_line_of_the_access_log(darkroom: Darkroom) -> None:
    """A line break in it is written as text."""
    forged = "\n2000-01-01 00:00:00 nobody did this.png"
    body = (
        b"--cut\r\nContent-Disposition: form-data; name=\"pictures\"; filename*=UTF-8''"
        b"broken%0Aline.png\r\n\r\nx\r\n--cut\r\n"
        b'Content-Disposition: form-data; name="pictures"; filename="raw'
        + forged.encode()
        + b'"\r\n\r\nx\r\n--cut--\r\n'
    )
    kind = {"Content-Type": "multipart/form-data; boundary=cut"}
    darkroom.http.post("/upload", content=body, headers=HTMX | kind)
    darkroom.upload(("after the forged one.png", b"x"))

    wait_for_lines(darkroom, "after the forged one", 1)

    for line in (darkroom.pictures / "access.log").read_text().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [0-9a-f]{32} \d+ bytes ['\"]", line)
        assert not line.startswith("2000")


def wait_for_lines(darkroom: Darkroom, word: str, count: int) -> list[str]:
    """The lines of the access log with this word, once there are so many."""
    log, end = darkroom.pictures / "access.log", time.monotonic() + PATIENCE
    while True:
        lines = [line for line in log.read_text().splitlines() if word in line]
        if len(lines) >= count:
            return lines
        assert time.monotonic() < end, f"{count} lines with {word!r}, but there are {lines}"
        time.sleep(0.02)  # a file gives no signal


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/thumbnails/0123456789abcdef0123456789abcdef-128.jpg",
        "/thumbnails/../errands.db",
        "/thumbnails/%2e%2e/errands.db",
        "/samples/..%2faccess.log",
        "/static/..%2fmain.py",
        "/samples/Nothing.jpg",
    ],
)
def test_what_is_not_there_is_not_found(darkroom: Darkroom, path: str) -> None:
    """Unknown pictures answer 404, and so do ways out of a folder."""
    host = urlsplit(darkroom.server.url).netloc
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    connection.request("GET", path)  # httpx would make the path tidy first
    response = connection.getresponse()
    connection.close()

    assert 404 == response.status


@pytest.mark.parametrize("job_id", ["0190b3f0-0000-7000-8000-000000000000", "nonsense", ""])
def test_an_unknown_card_vanishes(darkroom: Darkroom, job_id: str) -> None:
    """As for a job that was forgotten after its week: 286 has htmx ask no more."""
    response = darkroom.http.get("/card", params={"job_id": job_id}, headers=HTMX)

    assert 286 == response.status_code
    assert [] == cards_in(response.text)


def test_an_unknown_sample_is_not_found(darkroom: Darkroom) -> None:
    """Neither a card nor a file is made for it."""
    before = len(darkroom.cards())
    for name in ("Nothing", "../originals/x", SCRIPT):
        assert 404 == darkroom.http.post("/sample", data={"name": name}).status_code

    assert before == len(darkroom.cards())


# Where it writes, and what it survives


def test_nothing_is_written_outside_its_folder(tmp_path: Path) -> None:
    """Whatever names the files have: not beside the program, not where it was started."""
    room = Darkroom(tmp_path)
    before = files_in(room.elsewhere)
    escapes = ["../../out.png", "../elsewhere/out.png", f"{room.elsewhere}/out.png", "..\\out.png"]
    with room:
        cards = room.upload(*((name, picture()) for name in escapes))
        ends = [room.follow(card).state for card in cards]
        room.upload(("large.png", b"\0" * 3 * MB))  # larger than what is held in memory

    assert ["done"] * 4 == ends
    assert before == files_in(room.elsewhere)
    assert {"elsewhere", "pictures"} == {path.name for path in tmp_path.iterdir()}
    assert not [path for path in room.pictures.rglob("*") if path.name.startswith("out")]


def test_pictures_are_developed_after_a_kill_in_the_middle(tmp_path: Path) -> None:
    """No job is lost: what ran runs again, what waited has its turn, and each is done once."""
    names = [f"{number}.png" for number in range(5)]  # three at a time
    with Darkroom(tmp_path, pause=0.5) as room:
        cards = room.upload(*((name, picture()) for name in names))
        started = {card.name for card in cards if is_under_way(room, card)}
        room.server.kill()

    with Darkroom(tmp_path) as room:
        found = [room.follow(card) for card in room.cards()]

    assert 3 == len(started)
    assert names == sorted(card.name for card in found)
    assert [("done", 3)] * 5 == [(card.state, len(card.thumbnails)) for card in found]
    outcomes = [[attempt.outcome for attempt in job.history] for job in jobs_of(room)]
    assert 3 == outcomes.count([Outcome.LOST, Outcome.DONE])
    assert 2 == outcomes.count([Outcome.DONE])


def is_under_way(room: Darkroom, card: Card) -> bool:
    """Whether a picture is being developed, seen once its first thumbnail is there."""
    end = time.monotonic() + PATIENCE
    while (card := room.look(card)).state == "running" and not card.thumbnails:
        assert time.monotonic() < end, f"{card} gets no thumbnail"
        time.sleep(LOOK)  # a page gets no signal
    return card.state == "running"

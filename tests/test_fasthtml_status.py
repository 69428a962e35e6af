"""`JobStatus` and the like: fragments that say how far a job is, and ask again until it ended."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from bs4 import BeautifulSoup
from fasthtml.common import Div, Li, P, Ul, to_xml
from fasthtml_site import PATIENCE, Site
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from errands import BackgroundTasks as AnyBackgroundTasks
from errands import Errands, Job, Progress, Retry, State, new_id, progress
from errands.errors import NoRequest, SetupError
from errands.fasthtml import BackgroundTasks, JobProgress, JobResult, JobStatus, headers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=3)
NOBODY = "019b76da-a800-7001-8000-000000000000"  # an id as ours are
HTMX = {"hx-request": "true"}
EVIL = "<script>alert('you')</script>"

queued = Job(id=new_id(NOW), task="thumbnails", payload="{}", due_at=NOW, free_at=NOW, added_at=NOW)
running = queued.claimed("worker", NOW, timedelta(seconds=15))


def rendered(site: Site, part: Any) -> str:
    """What a handler that returns `part()` answers to htmx."""
    site.get("/part")(part)
    return str(site.visit("/part", headers=HTMX).text)


def address_of(page: str, attribute: str = "hx-get") -> str:
    """The one that a fragment asks."""
    [address] = re.findall(f' {attribute}="([^"]+)"', page)
    return html.unescape(address)


def items(numbers: list[int]) -> Any:
    return Ul(*map(Li, numbers))


def broken(numbers: list[int]) -> Any:
    raise KeyError("no such")


class Counting:
    """A site with one task, which has told progress and waits for leave to end."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.site = Site(folder, **options)
        self.told, self.may_end = Event(), Event()
        self.task = self.site.errands.task(name="count")(self.count)

    def count(self, number: int) -> list[int]:
        progress(1, number, "Counting")
        self.told.set()
        self.may_end.wait(PATIENCE)
        return list(range(number))

    @contextmanager
    def client(self) -> Iterator[Any]:
        with self.site.client() as client:
            try:
                yield client
            finally:
                self.may_end.set()

    def end(self, client: Any) -> None:
        """Return once the background has nothing left to do."""
        from errands.testing import drain

        self.may_end.set()
        client.portal.call(drain, self.site.errands)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


# How it looks


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (queued, "queued"),
        (running, "running"),
        (running.failed("boom", LATER, wait=5), "retrying"),
        (running.done("1", LATER), "done"),
        (running.failed("boom", LATER), "failed"),
        (running.cancelled(LATER), "cancelled"),
    ],
    ids=["queued", "running", "retrying", "done", "failed", "cancelled"],
)
def test_it_names_the_state_in_words_and_for_styles(site: Site, job: Job, word: str) -> None:
    """A job that waits for another attempt is shown as what it does; aloud, too."""
    page = rendered(site, lambda: JobStatus(job))

    assert f'<span class="errands-state">{word}</span>' in page
    assert f'class="errands errands-{word}"' in page
    assert f'id="job-{job.id}"' in page
    assert ' role="status"' in page
    assert ' aria-live="polite"' in page


@pytest.mark.parametrize("part", [JobStatus, JobProgress, lambda job: JobResult(job, items)])
@pytest.mark.parametrize(
    ("job", "asks"),
    [
        (queued, True),
        (running, True),
        (running.failed("boom", LATER, wait=5), True),
        (running.done("[1]", LATER), False),
        (running.failed("boom", LATER), False),
        (running.cancelled(LATER), False),
    ],
    ids=["queued", "running", "retrying", "done", "failed", "cancelled"],
)
def test_it_asks_again_until_the_job_has_ended(site: Site, part: Any, job: Job, asks: bool) -> None:
    """The fragment of an ended job simply has no trigger."""
    page = rendered(site, lambda: part(job))

    assert asks == ("hx-trigger" in page)
    assert asks == (f'hx-get="/_errands/jobs/{job.id}.' in page)
    assert asks == ('hx-swap="outerHTML"' in page)


@pytest.mark.parametrize("part", [JobStatus, JobProgress])
def test_it_shows_the_progress_of_a_running_job(site: Site, part: Any) -> None:
    """How many of how many, and with what."""
    page = rendered(site, lambda: part(running.progressed(Progress(2000, 5000, "Sending"))))

    [bar] = re.findall("<progress[^>]*>", page)
    assert 'value="2000"' in bar
    assert 'max="5000"' in bar
    assert 'aria-label="Sending"' in bar
    assert (part is JobStatus) == ("<bdi>Sending</bdi>" in page)
    assert (part is JobStatus) == (">2,000 of 5,000<" in page)


def test_it_shows_a_progress_whose_end_nobody_knows(site: Site) -> None:
    """A bar without a known end is not a full one."""
    page = rendered(site, lambda: JobStatus(running.progressed(Progress(2, None, "Reading"))))

    [bar] = re.findall("<progress[^>]*>", page)
    assert "max" not in bar
    assert "value" not in bar
    assert "<bdi>Reading</bdi>" in page


def test_it_says_the_last_line_of_the_error_alone(site: Site) -> None:
    """The rest of a traceback is for the log, not for a visitor."""
    traceback = 'Traceback (most recent call last):\n  File "secret.py"\nOSError: disk is full\n'
    failed = running.failed(traceback, LATER)
    page = rendered(site, lambda: (JobStatus(failed), JobProgress(failed)))

    assert 2 == page.count("<bdi>OSError: disk is full</bdi>")
    assert "secret.py" not in page


@pytest.mark.parametrize(
    "job",
    [
        running.failed(f"Traceback\nValueError: {EVIL}", LATER),
        running.progressed(Progress(1, 2, EVIL)),
        running.progressed(Progress(1, 2, '" autofocus onfocus="alert(1)')),
    ],
    ids=["error", "progress", "attribute"],
)
def test_what_a_job_says_is_harmless_text(site: Site, job: Job) -> None:
    """A name that somebody typed into a form may be part of an error."""
    page = rendered(site, lambda: (JobStatus(job), JobProgress(job)))

    assert "<script" not in page
    assert not BeautifulSoup(page, "html.parser").select("[onfocus]")


def test_each_page_brings_our_style_and_asks_nobody_else(tmp_path: Path) -> None:
    """A sheet and a script; without the sheet, if asked."""
    [style, script] = map(to_xml, headers())
    plain = Site(tmp_path, default_hdrs=False)
    unstyled = Site(tmp_path, setup={"style": False}, default_hdrs=False)
    for each in (plain, unstyled):
        each.get("/")(lambda: P("Hello"))

    assert (True, True) == (".errands{" in plain.visit("/").text, "errands-live" in script)
    assert (False, True) == tuple(
        text in unstyled.visit("/").text for text in (".errands{", "errands-live")
    )
    assert not re.search(r"https?:|url\(|@import", style + script)


# From its start to its end


@pytest.mark.parametrize("url_of", ["memory:", "sqlite:///{}/errands.db"], ids=["memory", "sqlite"])
def test_a_browser_follows_a_job_from_its_start_to_its_end(tmp_path: Path, url_of: str) -> None:
    """What each answer asks for leads to the next one, until one asks for nothing."""
    counting = Counting(tmp_path, url=url_of.format(tmp_path))

    @counting.site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        return JobStatus(background.add_task(counting.task, 3))

    with counting.client() as client:
        page = client.get("/start", headers=HTMX).text
        counting.told.wait(PATIENCE)
        address = address_of(page)
        seen = client.get(address, headers=HTMX)
        while "Counting" not in seen.text:  # a report of progress is stored soon, not at once
            seen = client.get(address, headers=HTMX)
        again = client.get(address_of(seen.text), headers=HTMX)
        counting.end(client)
        ended = client.get(address_of(seen.text), headers=HTMX)

    assert "queued" in page
    assert 200 == seen.status_code
    assert (204, "") == (again.status_code, again.text)  # nothing new: htmx leaves the page alone
    assert (200, False) == (ended.status_code, "hx-" in ended.text)
    assert ">done</span>" in ended.text


def test_a_returned_job_shows_how_it_does(counting: Counting) -> None:
    """Alone, among other things, and inside of them."""

    @counting.site.get("/alone")
    def alone(background: BackgroundTasks) -> Any:
        return background.add_task(counting.task, 3)

    @counting.site.get("/among")
    def among(background: BackgroundTasks) -> Any:
        return P("Hello"), Div(background.add_task(counting.task, 3))

    with counting.client() as client:
        pages = [client.get(path, headers=HTMX).text for path in ("/alone", "/among")]

    assert [1, 1] == [page.count('class="errands errands-queued"') for page in pages]
    assert [True, True] == ["hx-get" in page for page in pages]


def test_a_result_is_shown_by_a_function_of_the_application(counting: Counting) -> None:
    """Whoever answers finds it again by its signed name."""

    @counting.site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        return JobResult(background.add_task(counting.task, 2), items)

    with counting.client() as client:
        page = client.get("/start", headers=HTMX).text
        counting.end(client)
        address = address_of(page)
        ended = client.get(address, headers=HTMX).text
        forged = client.get(address.replace("items", "rendered"), headers=HTMX)

    assert "queued" in page
    assert ["0", "1"] == re.findall("<li>(.)</li>", ended)
    assert 404 == forged.status_code


@pytest.mark.errands_falls
@pytest.mark.parametrize("live", [False, True], ids=["polled", "live"])
def test_a_result_that_cannot_be_shown_says_so_and_asks_no_more(
    counting: Counting, caplog: pytest.LogCaptureFixture, live: bool
) -> None:
    """It is logged with its traceback, once, and not each second while the page is open."""

    @counting.site.get("/start")
    async def start() -> Any:
        return JobResult(await counting.site.errands.add_task(counting.task, 2), broken, live=live)

    with counting.client() as client:
        page = client.get("/start", headers=HTMX).text
        counting.end(client)
        shown = client.get(address_of(page, "src" if live else "hx-get"), headers=HTMX)

    assert 200 == shown.status_code
    assert "its result cannot be shown: the log of the server says why" in shown.text
    assert (live, False) == ("event: end" in shown.text, "hx-get" in shown.text)
    assert "KeyError: 'no such'" in caplog.text


def test_fragments_of_one_job_have_an_id_each(site: Site) -> None:
    """As HTML has it, also of the bars in them."""
    kinds = (JobStatus, JobProgress, lambda job: JobResult(job, items))
    page = rendered(site, lambda: Div(*(kind(running) for kind in kinds)))
    found = re.findall(r' id="([^"]+)"', page)

    assert 6 == len(found)
    assert len(set(found)) == len(found), found


def test_a_function_that_cannot_be_found_again_is_refused(site: Site) -> None:
    """At once, and not when the job is done in another process."""
    with pytest.raises(ValueError, match="Write it at the top of the module"):
        JobResult(queued, lambda value: value)


def test_a_job_that_fails_is_shown_with_its_last_words(tmp_path: Path) -> None:
    """Escaped: what it says may be what somebody typed; where a result was to be, too."""
    counting = Counting(tmp_path)
    site = counting.site

    @site.errands.task(name="fail", retry=Retry(attempts=1))
    def fail(name: str) -> None:
        raise ValueError(f"nobody is called {name}")

    @site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        return JobResult(background.add_task(fail, EVIL), items)

    with counting.client() as client:
        page = client.get("/start", headers=HTMX).text
        counting.end(client)
        ended = client.get(address_of(page), headers=HTMX).text

    assert [State.FAILED] == [job.state for job in site.jobs()]
    assert "ValueError: nobody is called &lt;script&gt;" in ended
    assert "<script" not in ended
    assert "hx-" not in ended


def test_a_job_that_is_forgotten_ends_the_polling(counting: Counting) -> None:
    """286 is htmx's sign to stop."""

    @counting.site.get("/start")
    def start() -> Any:
        return JobStatus(queued)  # which no store has

    with counting.client() as client:
        address = address_of(client.get("/start", headers=HTMX).text)
        gone = client.get(address, headers=HTMX)

    assert (286, True, False) == (gone.status_code, "no longer" in gone.text, "hx-" in gone.text)


# Live


@pytest.mark.parametrize("part", [JobStatus, JobProgress])
def test_a_live_job_is_followed_by_a_stream(counting: Counting, part: Any) -> None:
    """It begins where the page ends, and its last event is the last."""

    @counting.site.get("/start")
    async def start() -> Any:
        return part(await counting.site.errands.add_task(counting.task, 3), live=True)

    with counting.client() as client:
        page = client.get("/start", headers=HTMX).text
        counting.end(client)
        stream = client.get(address_of(page, "src"))
        [seen] = re.findall("id: (.*)", stream.text)
        again = client.get(address_of(page, "src"), headers={"Last-Event-ID": seen})

    assert "<errands-live" in page
    assert "hx-" not in page
    assert "text/event-stream; charset=utf-8" == stream.headers["content-type"]
    assert 1 == stream.text.count('event: end\ndata: <div role="status"')
    assert "errands-done" in stream.text
    assert 204 == again.status_code  # so a browser does not come back


def test_a_live_result_is_sent_by_the_stream(counting: Counting) -> None:
    """As the same function makes it."""

    @counting.site.get("/start")
    async def start() -> Any:
        job = await counting.site.errands.add_task(counting.task, 2)
        return JobResult(job, items, live=True)

    with counting.client() as client:
        page = client.get("/start", headers=HTMX).text
        counting.end(client)
        stream = client.get(address_of(page, "src")).text

    assert re.search(r"event: end\ndata: <ul>.*<li>1</li></ul>\n\n", stream)


# In time, or later


@pytest.mark.parametrize("has_time", [True, False], ids=["in time", "later"])
def test_a_handler_answers_in_time_or_shows_the_job(counting: Counting, has_time: bool) -> None:
    """202 and where to ask, which a program may ask for JSON."""
    if has_time:
        counting.may_end.set()

    @counting.site.get("/start")
    async def start() -> Any:
        job = await counting.site.errands.add_task(counting.task, 2)
        found = await counting.site.errands.wait_or_202(job, PATIENCE if has_time else 0.01)
        return items(found) if isinstance(found, list) else found

    with counting.client() as client:
        answer = client.get("/start", headers=HTMX)
        if has_time:
            assert (200, True) == (answer.status_code, "<li>1</li>" in answer.text)
            return
        counting.end(client)
        told = client.get(answer.headers["location"], headers={"accept": "application/json"})
        shown = client.get(answer.headers["location"], headers=HTMX)

    assert (202, True) == (answer.status_code, 'hx-trigger="every 1s"' in answer.text)
    assert ("done", [0, 1]) == (told.json()["state"], told.json()["result"])
    assert "errands-done" in shown.text


# Whose it is, and where


@pytest.mark.parametrize("job_id", [NOBODY, "nope", "<b>", "%00", " ", "x.", "x.é"])
def test_an_id_alone_is_no_link(tmp_path: Path, url: str, job_id: str) -> None:
    """404, as for any page that is not there; the id is not repeated to the browser."""
    site = Site(tmp_path, url=url)

    answers = [site.visit(f"/_errands/jobs/{job_id}{end}") for end in ("", "/events")]
    shown = site.visit(f"/_errands/jobs/{job_id}", headers=HTMX)  # by htmx 4, which swaps a 404

    assert {(404, "404 Not Found")} == {(answer.status_code, answer.text) for answer in answers}
    assert (404, True) == (shown.status_code, ">no longer known<" in shown.text)
    assert "hx-" not in shown.text


def test_a_link_is_good_for_whom_it_was_made_only(tmp_path: Path) -> None:
    """For another user, and for nobody, there is no such page."""
    counting = Counting(tmp_path, setup={"status_key": lambda request: request.session.get("user")})

    @counting.site.get("/login")
    def login(request: Request, user: str) -> str:
        request.session["user"] = user
        return f"You are {user}"

    @counting.site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        return JobStatus(background.add_task(counting.task, 3))

    with counting.client() as client:
        client.get("/login?user=ann")
        address = address_of(client.get("/start", headers=HTMX).text)
        mine = client.get(address, headers=HTMX).status_code
        client.get("/login?user=bob")
        other = client.get(address, headers=HTMX).status_code
        stream = client.get(address.replace("?", "/events?")).status_code
        client.cookies.clear()
        nobody = client.get(address, headers=HTMX).status_code

    assert (200, 404, 404, 404) == (mine, other, stream, nobody)


def test_links_outlive_a_restart(tmp_path: Path) -> None:
    """And are good in another process on the same store: the secret is kept there."""
    first, second = (Counting(tmp_path, url=f"sqlite:///{tmp_path}/errands.db") for _ in range(2))
    first.may_end.set()

    @first.site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        return JobStatus(background.add_task(first.task, 3))

    address = address_of(first.site.visit("/start", headers=HTMX).text)

    assert ">done<" in second.site.visit(address, headers=HTMX).text


def test_a_secret_of_the_application_signs(tmp_path: Path) -> None:
    """Two with the same one agree whatever their stores; one with another does not."""
    words = {"ann": "correct horse", "bob": "correct horse", "eve": "battery staple"}
    sites = {name: Site(tmp_path, setup={"secret": word}) for name, word in words.items()}
    address = address_of(rendered(sites["ann"], lambda: JobStatus(queued)))

    found = {name: site.visit(address, headers=HTMX).status_code for name, site in sites.items()}

    assert {"ann": 286, "bob": 286, "eve": 404} == found  # their stores have no such job


def test_links_lead_into_a_mounted_application(tmp_path: Path) -> None:
    """Below the path where it is mounted, and that of a proxy."""
    from starlette.testclient import TestClient

    site = Site(tmp_path)
    site.get("/part")(lambda: (JobStatus(queued), JobStatus(queued, live=True)))
    parent = TestClient(Starlette(routes=[Mount("/shop", site.app)]), root_path="/proxy")

    page = parent.get("/proxy/shop/part", headers=HTMX).text

    for attribute in ("hx-get", "src"):
        address = address_of(page, attribute)
        assert address.startswith(f"/proxy/shop/_errands/jobs/{queued.id}.")
        assert "no longer known" in parent.get(address, headers=HTMX).text


def test_an_application_inside_of_another_answers_its_own_links(tmp_path: Path) -> None:
    """Both were set up: the outer one stores what is added, the inner one shows it."""
    from starlette.testclient import TestClient

    from errands.starlette import setup_errands

    site = Site(tmp_path)
    site.get("/part")(lambda: JobStatus(queued))
    outer = Starlette(routes=[Mount("/shop", site.app)])
    setup_errands(outer, site.errands)

    with TestClient(outer) as client:
        address = address_of(client.get("/shop/part", headers=HTMX).text)
        answer = client.get(address, headers=HTMX)

    assert address.startswith("/shop/_errands/jobs/")
    assert 286 == answer.status_code


def test_without_a_request_there_is_no_link(site: Site) -> None:
    """For whom would it be? A job that has ended needs none."""
    with pytest.raises(NoRequest):
        JobStatus(queued)

    assert ">done<" in to_xml(JobStatus(running.done("1", LATER)))


async def test_without_our_setup_there_is_no_link() -> None:
    """Nobody would answer it."""
    async with Errands("memory:") as errands:
        bag: AnyBackgroundTasks = errands.background({"type": "http"})
        token = bag.enter()
        with pytest.raises(SetupError, match="setup_errands"):
            JobStatus(queued)
        bag.leave(token)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    """A variable that was not set, most likely."""
    with pytest.raises(ValueError, match="nobody can guess"):
        Site(tmp_path, setup={"secret": ""})


def test_a_result_that_could_not_be_kept_says_so(site: Site) -> None:
    """The job is done; to ask again would not help."""
    lost = running.done(None, LATER, note="NotSerializable: a socket is no JSON")

    page = rendered(site, lambda: JobResult(lost, items))

    assert ">done<" in page
    assert "NotSerializable: a socket is no JSON" in page
    assert "hx-" not in page

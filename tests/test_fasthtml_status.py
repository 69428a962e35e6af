"""`JobStatus`: a fragment that says how far a job is, and asks again until it has ended."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fasthtml.common import to_xml
from fasthtml_site import PATIENCE, Site

from errands import Job, Progress, Retry, State, new_id, progress
from errands.fasthtml import BackgroundTasks, JobStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=3)
NOBODY = "019b76da-a800-7001-8000-000000000000"  # an id as ours are
HTMX = {"hx-request": "true"}
EVIL = "<script>alert('you')</script>"

queued = Job(id=new_id(NOW), task="thumbnails", payload="{}", due_at=NOW, free_at=NOW, added_at=NOW)
running = queued.claimed("worker", NOW, timedelta(seconds=15))


def shown(job: Job) -> str:
    return str(to_xml(JobStatus(job), indent=False))


@pytest.mark.parametrize(
    ("job", "text", "css"),
    [
        (queued, "queued", "queued"),
        (running, "running", "running"),
        (running.failed("boom", LATER, wait=5), "retrying", "queued"),
        (running.done("1", LATER), "done", "done"),
        (running.failed("boom", LATER), "failed", "failed"),
        (running.cancelled(LATER), "cancelled", "cancelled"),
    ],
    ids=["queued", "running", "retrying", "done", "failed", "cancelled"],
)
def test_it_names_the_state_in_words_and_for_styles(job: Job, text: str, css: str) -> None:
    """A job that waits for another attempt is shown as what it does."""
    html = shown(job)

    assert f"<small>{text}</small>" in html
    assert f'class="errands-job errands-{css}"' in html
    assert f'id="job-{job.id}"' in html


@pytest.mark.parametrize(
    ("job", "asks"),
    [
        (queued, True),
        (running, True),
        (running.failed("boom", LATER, wait=5), True),
        (running.done("1", LATER), False),
        (running.failed("boom", LATER), False),
        (running.cancelled(LATER), False),
    ],
    ids=["queued", "running", "retrying", "done", "failed", "cancelled"],
)
def test_it_asks_again_until_the_job_has_ended(job: Job, asks: bool) -> None:
    """The fragment of an ended job simply has no trigger."""
    html = shown(job)

    assert asks == ("hx-trigger" in html)
    assert asks == (f'hx-get="/_errands/jobs/{job.id}"' in html)
    assert asks == ('hx-swap="outerHTML"' in html)


def test_it_shows_the_progress_of_a_running_job() -> None:
    """How many of how many, and with what."""
    html = shown(running.progressed(Progress(2, 5, "Making thumbnails")))

    [bar] = re.findall("<progress[^>]*>", html)
    assert 'value="2"' in bar
    assert 'max="5"' in bar
    assert "<small>Making thumbnails</small>" in html


def test_it_shows_a_progress_whose_end_nobody_knows() -> None:
    """A bar without a known end is not a full one."""
    html = shown(running.progressed(Progress(2, None, "Reading")))

    [bar] = re.findall("<progress[^>]*>", html)
    assert "max" not in bar
    assert "<small>Reading</small>" in html


def test_it_says_the_last_line_of_the_error_alone() -> None:
    """The rest of a traceback is for the log, not for a visitor."""
    traceback = 'Traceback (most recent call last):\n  File "secret.py"\nOSError: disk is full\n'
    html = shown(running.failed(traceback, LATER))

    assert "<p>OSError: disk is full</p>" in html
    assert "secret.py" not in html


@pytest.mark.parametrize(
    "job",
    [
        running.failed(f"Traceback\nValueError: {EVIL}", LATER),
        running.progressed(Progress(1, 2, EVIL)),
    ],
    ids=["error", "progress"],
)
def test_what_a_job_says_is_harmless_text(job: Job) -> None:
    """A name that somebody typed into a form may be part of an error."""
    html = shown(job)

    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("url_of", ["memory:", "sqlite:///{}/errands.db"], ids=["memory", "sqlite"])
def test_a_browser_follows_a_job_from_its_start_to_its_end(tmp_path: Path, url_of: str) -> None:
    """What each answer asks for leads to the next one, until one asks for nothing."""
    site = Site(tmp_path, url=url_of.format(tmp_path))
    told, may_end = Event(), Event()

    @site.errands.task(name="count")
    def count(number: int) -> int:
        progress(1, number, "Counting")
        told.set()
        may_end.wait(PATIENCE)
        return number

    @site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        return JobStatus(background.add_task(count, 3))

    with site.client() as client:
        page = client.get("/start", headers=HTMX).text
        [address] = re.findall('hx-get="([^"]+)"', page)
        told.wait(PATIENCE)
        seen = client.get(address, headers=HTMX)
        while "progress" not in seen.text:  # a report of progress is stored soon, not at once
            seen = client.get(address, headers=HTMX)
        may_end.set()
        site_has_ended(client, site)
        ended = client.get(address, headers=HTMX)

    assert "queued" in page
    assert (200, True) == (seen.status_code, f'hx-get="{address}"' in seen.text)
    assert "Counting" in seen.text
    assert (200, False) == (ended.status_code, "hx-" in ended.text)
    assert "<small>done</small>" in ended.text


def test_a_job_that_fails_is_shown_with_its_last_words(tmp_path: Path) -> None:
    """Escaped: what it says may be what somebody typed."""
    site = Site(tmp_path)

    @site.errands.task(name="fail", retry=Retry(attempts=1))
    def fail(name: str) -> None:
        raise ValueError(f"nobody is called {name}")

    @site.get("/start")
    def start(background: BackgroundTasks) -> Any:
        return JobStatus(background.add_task(fail, EVIL))

    with site.client() as client:
        page = client.get("/start", headers=HTMX).text
        site_has_ended(client, site)
        [address] = re.findall('hx-get="([^"]+)"', page)
        ended = client.get(address, headers=HTMX).text

    assert [State.FAILED] == [job.state for job in site.jobs()]
    assert "ValueError: nobody is called &lt;script&gt;" in ended
    assert "<script" not in ended
    assert "hx-" not in ended


@pytest.mark.parametrize("job_id", [NOBODY, "nope", "<b>", "%00", " "])
def test_a_job_that_nobody_knows_ends_the_polling(tmp_path: Path, url: str, job_id: str) -> None:
    """286 is htmx's sign to stop; the id is not repeated to the browser."""
    site = Site(tmp_path, url=url)

    response = site.visit(f"/_errands/jobs/{job_id}", headers=HTMX)

    assert (286, "") == (response.status_code, response.text)


def site_has_ended(client: Any, site: Site) -> None:
    """Return once the background has nothing left to do."""
    from errands.testing import drain

    client.portal.call(drain, site.errands)

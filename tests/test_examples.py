"""The examples of one file, as a reader starts them."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from documents import ROOT
from live_server import PATIENCE, Server, environment
from server_driver import wait_until

pytestmark = pytest.mark.slow


def test_the_consumer_writes_all_that_was_answered(tmp_path: Path) -> None:
    """And its service is there."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "consumer.py")]
    expected = [{"sensor": "roof", "celsius": float(number)} for number in range(200)]
    with (
        Server(command, tmp_path, environment(PORT="0")) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        for reading in expected:
            assert 202 == http.post("/readings", json=reading).status_code
        service = http.get("/services").json()

    lines = (tmp_path / "readings.jsonl").read_text().splitlines()
    assert expected == [json.loads(line) for line in lines]
    assert [{"name": "consumer.consume", "state": "running", "restarts": 0}] == service
    assert "Traceback" not in server.output


def test_the_consumer_refuses_what_is_no_reading(tmp_path: Path) -> None:
    """And goes on."""
    command = [sys.executable, str(ROOT / "examples" / "consumer.py")]
    with (
        Server(command, tmp_path, environment(PORT="0")) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        assert 422 == http.post("/readings", json={"sensor": "roof"}).status_code
        assert 202 == http.post("/readings", json={"sensor": "x", "celsius": 1}).status_code

    assert '{"sensor":"x","celsius":1.0}\n' == (tmp_path / "readings.jsonl").read_text()


def test_progress_is_shown_to_the_end(tmp_path: Path) -> None:
    """The page has the stream of its job, which brings the result."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "progress.py")]
    with (
        Server(command, tmp_path, environment(PORT="0", PAUSE="0")) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        assert 303 == http.post("/", data={"text": "sea <b> sea"}).status_code
        while links := re.findall('<errands-live src="([^"]+)"', http.get("/").text):
            stream = http.get(html.unescape(links[0])).text
            assert "event: end" in stream or not stream
        page = " ".join(http.get("/").text.split())

    assert "<dt>sea</dt>" in page.replace(" ", "")
    assert "&lt;b&gt;" in page
    assert "Traceback" not in server.output


def test_a_twisted_site_adds_jobs_and_a_job_uses_twisted(tmp_path: Path) -> None:
    """Its job looks at a page of the site itself; and the reactor stops in order."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "twisted_site.py")]
    with (
        Server(command, tmp_path, environment(PORT="0"), "stopped") as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        job = http.post("/", data={"url": server.url}).json()
        done = [{**job, "state": "done", "result": "200"}]
        wait_until(lambda: http.get("/").json() == done, lambda: http.get("/").text)

    assert "Traceback" not in server.output
    assert "Unhandled" not in server.output


def test_a_twisted_site_that_cannot_start_says_why(tmp_path: Path) -> None:
    """And ends."""
    script = str(ROOT / "examples" / "twisted_site.py")
    ended = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=environment(ERRANDS_URL="sqlite:////no/such/folder/errands.db"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert 1 == ended.returncode
    assert "StoreUnavailable" in ended.stderr.splitlines()[-1]

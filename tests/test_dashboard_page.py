"""The page on the dashboard: its code runs, its links lead somewhere, its words are ours."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import httpx
import pytest
from documents import ROOT, blocks, links, text_of
from live_server import PATIENCE, Server, environment, run

PAGE = "docs/dashboard.md"
[MAIN] = blocks(PAGE, "python")


@pytest.mark.slow
def test_the_application_shows_its_dashboard(tmp_path: Path) -> None:
    """To whom `allow` lets in, and to nobody else."""
    (tmp_path / "main.py").write_text(MAIN)
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"]
    with Server(command, tmp_path, environment()) as server:
        answers = [
            httpx.get(f"{server.url}/errands/", headers=headers, trust_env=False)
            for headers in ({}, {"x-user": "ada"})
        ]

    assert [403, 200] == [answer.status_code for answer in answers]
    assert "<h1>Now</h1>" in answers[1].text


@pytest.mark.slow
def test_the_command_shows_the_dashboard_alone(tmp_path: Path) -> None:
    """On this machine, until it is told to stop."""
    (tmp_path / "main.py").write_text(MAIN)
    command = [sys.executable, "-m", "errands", "dashboard", "main:errands", "--port", "0"]
    with Server(command, tmp_path, environment()) as server:
        here = httpx.get(server.url, trust_env=False)
        elsewhere = httpx.get(server.url, headers={"host": "shop.example"}, trust_env=False)
        server._process.send_signal(signal.SIGINT)
        assert 0 == server._process.wait(PATIENCE)

    assert [200, 403] == [here.status_code, elsewhere.status_code]
    assert "Traceback" not in server.output


def test_the_command_says_how_it_is_called(tmp_path: Path) -> None:
    """With an example."""
    output = run([sys.executable, "-m", "errands", "dashboard", "--help"], tmp_path)

    assert "errands dashboard app.main:errands" in output
    assert "8130" in output
    assert "8130" in text_of(PAGE)


def test_every_link_leads_somewhere() -> None:
    """From the folder of the page, pictures among them."""
    assert [] == [link for link in links(PAGE) if not (ROOT / "docs" / link).exists()]
    assert links(PAGE)


@pytest.mark.parametrize(
    "word", ["Now", "Jobs", "Errors", "Queues", "Schedules", "Services", "Workers"]
)
def test_every_page_is_described(word: str) -> None:
    """In the table."""
    assert any(line.startswith(f"| {word} |") for line in text_of(PAGE).splitlines())

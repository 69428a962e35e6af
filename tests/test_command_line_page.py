"""The page on the command line: each of its commands runs, and its tables are whole."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_driver import HOUR, NOW, failed, job, keep, know, plan
from documents import ROOT, blocks, links, text_of
from live_server import PATIENCE, environment

from errands.cli import _checks as checks
from errands.cli import main

PAGE = "docs/command-line.md"
COMMANDS = [line for block in blocks(PAGE, "sh") for line in block.splitlines() if line]
SHOP = """
from errands import Errands, every

errands = Errands("sqlite:///errands.db")

@errands.task
def resize(path: str, sizes: list[int]) -> int:
    return len(sizes)

@errands.schedule(every(hours=24))
def nightly() -> None:
    pass
"""
NAMED = "01a03b9d-9d43-7000-8000-0123456789ab"


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(tmp_path: Path, command: str) -> None:
    """In a folder with an application and its store; the doctor finds that nobody is at work."""
    (tmp_path / "shop.py").write_text(SHOP)
    mail = failed(queue="mail").failed("ConnectionError", NOW)
    url = f"sqlite:///{tmp_path}/errands.db"
    service = job(task="shop.follow", key="service:shop.follow", queue="services", payload="{}")
    keep(url, [failed(id=NAMED), mail, job(due_at=NOW + HOUR), service])
    know(url, worker="web-1-4711-c0ffee")
    plan(url, "shop.nightly")
    if "resume" in command:
        assert 0 == run("errands pause mail", tmp_path).returncode

    ended = run(command, tmp_path)

    assert (1 if "doctor" in command else 0) == ended.returncode, ended.stderr
    assert "" == ended.stderr
    assert "" != ended.stdout


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell, with this version of `errands`."""
    ours = f'errands() {{ {shlex.quote(sys.executable)} -W error -m errands "$@"; }}'
    return subprocess.run(
        ["sh", "-c", f"{ours}\n{command}"], cwd=folder, env=environment(), text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip  # a call


def test_every_link_leads_somewhere() -> None:
    """From the folder of the page."""
    inward = [link for link in links(PAGE) if "://" not in link]

    assert [] == [link for link in inward if not (ROOT / "docs" / link).exists()]
    assert inward


def test_every_command_is_on_the_page() -> None:
    """And every check of the doctor."""
    text = text_of(PAGE)
    names = [check.__name__ for check in checks.CHECKS]

    assert [] == [name for name in main.commands if f"errands {name}" not in text]
    assert [] == [name for name in names if f"| `{name}` |" not in text]

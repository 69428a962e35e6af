"""The page on services: its code runs, and its links lead somewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import pytest
from documents import ROOT, blocks, links, text_of
from live_server import run

from errands import ServiceState
from errands._service import Restart

PAGE = "docs/services.md"
FOLLOW, POLL = blocks(PAGE, "python")

USE = """
import asyncio
import logging
logging.basicConfig()
async def main():
    async with errands.working():
        await errands.started(poll_mailbox, timeout=5)
        print(*[service.state for service in await errands.services()])
asyncio.run(main())
"""


@pytest.mark.slow
def test_the_program_runs(tmp_path: Path) -> None:
    """It prints its prices and its service, and ends."""
    (tmp_path / "main.py").write_text(FOLLOW)

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert ["{'CHF': 1.0}", "main.follow_prices running 0"] == output.splitlines()


@pytest.mark.slow
def test_the_plain_function_runs(tmp_path: Path) -> None:
    """It says that it is ready, and ends when it is told to."""
    (tmp_path / "main.py").write_text(POLL + USE)

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert {"looking for mail", "running"} == set(output.splitlines())


def test_every_link_leads_somewhere() -> None:
    """From the folder of the page."""
    assert [] == [link for link in links(PAGE) if not (ROOT / "docs" / link).exists()]
    assert links(PAGE)


@pytest.mark.parametrize("word", [*ServiceState, *get_args(Restart)])
def test_every_word_is_explained(word: str) -> None:
    """Each state and each policy stands in a table."""
    rows = [line for line in text_of(PAGE).splitlines() if line.startswith("|")]

    assert any(f"`{word}`" in row or f'`"{word}"`' in row for row in rows)

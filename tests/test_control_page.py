"""The page on control: its code runs, and it names what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import get_args

import pytest
from documents import ROOT, blocks, links, text_of
from live_server import run

from errands import EventName, Obstacle

PAGE = "docs/control.md"


@pytest.mark.slow
def test_the_program_runs(tmp_path: Path) -> None:
    """It prints why, how many, and what it was told."""
    [program] = blocks(PAGE, "python")
    (tmp_path / "main.py").write_text(program)

    why, cancelled, told = run([sys.executable, "-W", "error", "main.py"], tmp_path).splitlines()

    assert why.startswith("The queue 'default' is paused since 20")
    assert "1 cancelled" == cancelled
    assert "['main.crawl cancelled', 'main.crawl cancelled']" == told


def test_all_obstacles_and_events_are_named() -> None:
    """And no others."""
    text = text_of(PAGE)
    table = text[text.index("| `reason.obstacle`") : text.index("## Be told")]
    named = [
        word
        for row in table.splitlines()[2:]
        for word in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    ]

    assert sorted(Obstacle) == sorted(named)
    assert all(f'"{event}"' in text for event in get_args(EventName))


def test_its_links_lead_somewhere() -> None:
    """Inside the project."""
    assert all((ROOT / "docs" / link.partition("#")[0]).exists() for link in links(PAGE))

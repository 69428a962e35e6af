"""The page on limits: its code runs, and its links lead somewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from documents import ROOT, blocks, links
from live_server import run

PAGE = "docs/limits.md"


@pytest.mark.slow
def test_the_program_runs(tmp_path: Path) -> None:
    """It says what waits, and for what."""
    (tmp_path / "main.py").write_text(blocks(PAGE, "python")[0])

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert "50 wait for rate:main.mail:customer_id=42" == output.strip()


def test_every_link_leads_somewhere() -> None:
    """From the folder of the page."""
    files = [link.partition("#")[0] for link in links(PAGE)]

    assert [] == [file for file in files if not (ROOT / "docs" / file).exists()]
    assert files

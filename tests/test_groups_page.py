"""The page on groups: its code runs, and its links lead somewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import pytest
from documents import ROOT, blocks, paths, text_of
from live_server import run

from errands._options import IfFailed

PAGE = "docs/groups.md"
WORK, STOP, CHANGED = blocks(PAGE, "python")

USE = """
async def use() -> None:
    async with errands:
        await changed(1)
        await changed(1)
        await stop()
        print(len(await errands.jobs()))
asyncio.run(use())
"""


@pytest.mark.slow
def test_the_program_runs(tmp_path: Path) -> None:
    """It gathers, splits, cancels, asks again and debounces."""
    (tmp_path / "main.py").write_text(f"{WORK}\n{STOP}\n{CHANGED}\n{USE}")

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert ["pets: [448, 896]", "10 of 10, 0 failed", "14"] == output.splitlines()


def test_every_file_that_is_named_is_there() -> None:
    """From the root of the project."""
    assert [] == [path for path in paths(PAGE) if not (ROOT / path).exists()]
    assert "benchmarks/groups.py" in paths(PAGE)


@pytest.mark.parametrize("word", get_args(IfFailed))
def test_every_policy_is_explained(word: str) -> None:
    """It stands in a table."""
    rows = [line for line in text_of(PAGE).splitlines() if line.startswith("|")]

    assert any(f'`"{word}"`' in row for row in rows)

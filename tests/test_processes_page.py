"""The page on processes: its code runs, and its times are those of the code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from documents import blocks, text_of
from live_server import run

from errands.executors._child import GRACE, START

PAGE = "docs/processes.md"
[PROGRAM] = blocks(PAGE, "python")


@pytest.mark.slow
def test_the_program_runs(tmp_path: Path) -> None:
    """It prints how many primes there are, and ends."""
    (tmp_path / "main.py").write_text(PROGRAM)

    assert ["303"] == run([sys.executable, "-W", "error", "main.py"], tmp_path).splitlines()


def test_the_times_are_those_of_the_code() -> None:
    """After which a cancelled function is killed, for one."""
    assert (2, 60) == (GRACE, START)
    assert "After two seconds the process is killed" in text_of(PAGE)

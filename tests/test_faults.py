"""The page of faults and the tests that it names keep in step."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "faults.md"
CONTRACT = HERE.parent / "src" / "errands" / "testing" / "_contract"
WHOLE = ("test_survival.py", "test_deaths.py", "test_postgres_faults.py")  # each test of theirs
FILES = {path.name: path for path in (*HERE.glob("test_*.py"), *CONTRACT.glob("_*.py"))}


def named() -> list[tuple[str, str]]:
    """The tests that the page names: file and function."""
    return re.findall(r"`(\w+\.py)::(\w+)`", PAGE.read_text())


def written_in(file: str) -> set[str]:
    """The tests of a file, also those in a class."""
    found = ast.walk(ast.parse(FILES[file].read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in found if isinstance(node, kinds) and node.name[:5] == "test_"}


@pytest.mark.parametrize("file", sorted({file for file, _ in named()}))
def test_every_test_on_the_page_exists(file: str) -> None:
    """Under the name that stands there."""
    assert set() == {name for other, name in named() if other == file} - written_in(file)


@pytest.mark.parametrize("survival", WHOLE)
def test_every_test_of_survival_is_on_the_page(survival: str) -> None:
    """And no one twice."""
    ours = [name for file, name in named() if file == survival]

    assert sorted(written_in(survival)) == sorted(ours)


def test_every_row_names_a_test() -> None:
    """And says how the fault is driven and what is promised."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if "|" in line]
    faults = [row for row in rows if row[0] != "fault" and not row[0].startswith("---")]

    assert len(named()) > 20
    assert [] == [row for row in faults if len(row) != 4 or not all(row) or "::" not in row[3]]

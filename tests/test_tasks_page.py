"""The page on tasks: its code runs, and it names what there is, with its defaults."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest
from documents import ROOT, blocks, links, text_of
from live_server import run

from errands import Errands, Retry, errors

PAGE = "docs/tasks.md"


def section(heading: str) -> str:
    return text_of(PAGE).split(f"\n## {heading}\n")[1].split("\n## ")[0]


def names(heading: str) -> set[str]:
    """What stands in code in the first column of the table under a heading."""
    rows = re.findall(r"^\| (.+?) \|", section(heading), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.slow
def test_the_program_runs(tmp_path: Path) -> None:
    """It tries again, tells of a failure, and adds once."""
    program, _ = blocks(PAGE, "python")
    (tmp_path / "main.py").write_text(program)

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert ["example.org at the third attempt", "failed 1", "True"] == output.splitlines()


def test_retry_is_told_with_its_defaults() -> None:
    """All of them."""
    told = dict(re.findall(r"^\| `(\w+)` \| `?(\w+)`? \|", section("When it fails"), re.MULTILINE))
    defaults = {
        name: str(getattr(parameter.default, "__name__", parameter.default)).removesuffix(".0")
        for name, parameter in inspect.signature(Retry).parameters.items()
    }

    assert defaults == told


def test_all_options_and_settings_are_named() -> None:
    """And no others; a clock is for tests."""
    options = set(inspect.signature(Errands.options).parameters) - {"self"}
    settings = set(inspect.signature(Errands).parameters) - {"store", "clock"}

    assert options == names("Options")
    assert settings == names("Settings")


def test_its_errors_are_there() -> None:
    """Under the names that the page gives them."""
    found = names("Errors") - {"TimeoutError"}

    assert 5 < len(found)
    assert all(issubclass(getattr(errors, name), errors.ErrandsError) for name in found)


def test_its_links_lead_somewhere() -> None:
    """Inside the project."""
    assert all((ROOT / "docs" / link.partition("#")[0]).exists() for link in links(PAGE))

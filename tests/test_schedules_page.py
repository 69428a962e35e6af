"""The page on schedules, and the example that it names, do what they say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from documents import ROOT, blocks, links
from live_server import run

from errands import Errands, Schedule

PAGE = "docs/schedules.md"
WEEKEND = """
Fri 05:00  backup
Fri 07:00  report on sales
Sat 05:00  backup
Sun 06:00  backup
Sun 07:00  report on visits
… down until Monday at nine: sales are made up for, the backup is not
Mon 09:00  report on sales
Tue 06:00  backup
Tue 07:00  report on sales
backup: next on Wed at 06:00
sales report: next on Wed at 07:00
visits report: next on Sun at 07:00
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "says"),
    [(0, r"(no mail\n){2,3}main\.look_for_mail: every 500 ms 20.*\nmain\.report: 0 3 \* \* mon"),
     (1, r"hello Mary\n$")],
)  # fmt: skip  # a table
def test_its_code_runs(tmp_path: Path, number: int, says: str) -> None:
    """From a file in an empty folder, without a warning."""
    (tmp_path / "main.py").write_text(blocks(PAGE, "python")[number], encoding="utf-8")

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert re.match(says, output), output


def test_the_page_has_no_other_code() -> None:
    """Each block is run above."""
    assert 2 == len(blocks(PAGE, "python"))


@pytest.mark.slow
def test_the_example_lives_through_a_weekend(tmp_path: Path) -> None:
    """To the minute, though the clocks change; and it leaves nothing behind."""
    example = ROOT / "examples" / "reports.py"

    output = run([sys.executable, "-W", "error", example], tmp_path)

    assert WEEKEND.strip().splitlines() == output.splitlines()
    assert [] == list(tmp_path.iterdir())


def test_every_name_on_the_page_exists() -> None:
    """What can be asked of schedules, and what each of them tells."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    schedules = Errands("memory:").schedules

    acts = set(re.findall(r"errands\.schedules\.(\w+)\(", text))
    assert {"add", "change", "list", "pause", "remove", "run"} == acts
    assert [] == [act for act in acts if not hasattr(schedules, act)]
    [told] = re.findall(r"all, by name: (.*) \|", text)
    assert [] == [n for n in re.findall(r"`(\w+)", told) if not hasattr(Schedule, n)]


def test_every_link_of_the_page_leads_somewhere() -> None:
    """From the folder in which it stands."""
    assert [] == [link for link in links(PAGE) if not (ROOT / "docs" / link).exists()]

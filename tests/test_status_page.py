"""The page on how a job is shown: its code runs, and its names are those of the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from documents import ROOT, blocks, links, text_of
from fasthtml.common import to_xml
from live_server import run

import errands.fasthtml
from errands import Group, Job, State
from errands.fasthtml import headers

PAGE = "docs/status.md"
USE = {
    0: """
from starlette.testclient import TestClient
with TestClient(app) as client:
    htmx = {"hx-request": "true"}
    for path in ("/upload?name=cat.png", "/everything", "/soon", "/folder"):
        answer = client.get(path, headers=htmx)
        print(answer.status_code, answer.text.count("errands-"), "64 pixels" in answer.text)
""",
    1: """
from starlette.testclient import TestClient
with TestClient(app) as client:
    print(client.post("/sums?a=1&b=2").json())
""",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "says"),
    [
        (0, r"200 [1-9]\d* False\n200 \d+ (True|False)\n200 0 False\n200 [1-9]\d* False\n$"),
        (1, "3\n$"),
    ],
)
def test_its_code_runs(tmp_path: Path, number: int, says: str) -> None:
    """From a file in an empty folder, as a server would run it."""
    (tmp_path / "main.py").write_text(blocks(PAGE, "python")[number] + USE[number])

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert re.match(says, output), output


def test_every_class_on_the_page_has_a_style() -> None:
    """And each that has one is on the page, but for the state that has the plain colour."""
    sheet = to_xml(headers()[0])
    text = text_of(PAGE)
    named = set(re.findall(r"`(errands-\w+)`", text)) | {
        f"errands{name}" for name in re.findall(r"`(-\w+)`", text)
    }

    plain = {"errands-queued", "errands-cancelled"}
    assert named - plain == set(re.findall(r"\.(errands-\w+)", sheet))
    assert {f"errands-{state}" for state in State} | {"errands-retrying"} <= named


def test_every_component_is_on_the_page() -> None:
    """The public ones."""
    parts = [name for name in errands.fasthtml.__all__ if name.startswith(("Group", "Job"))]

    assert [] == [part for part in parts if not re.search(rf"`{part}\((job|group)", text_of(PAGE))]
    assert [True, True] == [hasattr(each, "__ft__") for each in (Group, Job)]


def test_the_sizes_on_the_page_are_right() -> None:
    """Of what is sent with each page."""
    sizes = [round(len(to_xml(part, indent=False)) / 500) / 2 for part in headers()]
    told = re.findall(r"a style sheet of (\S+) kB and a script of (\S+) kB", text_of(PAGE))

    assert [tuple(f"{size:g}" for size in sizes)] == told


def test_the_links_of_the_page_lead_somewhere() -> None:
    """Inside the project."""
    assert [] == [link for link in links(PAGE) if not (ROOT / "docs" / link).exists()]

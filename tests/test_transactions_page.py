"""What `docs/transactions.md` shows does what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from documents import blocks, text_of
from live_server import run

from errands.stores import _borrowed

PAGE = "docs/transactions.md"
PROGRAMS = blocks(PAGE, "python")
SAID = [
    ["the oven is broken: no order, no receipt", "receipt for order 2"],
    ["receipt for order 1"],
    ["15"],
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"), [*zip(PROGRAMS, SAID, strict=True)], ids=range(len(SAID))
)
def test_a_program_says_what_the_page_says(tmp_path: Path, code: str, said: list[str]) -> None:
    """From a file in an empty folder, without a warning."""
    (tmp_path / "main.py").write_text(code, encoding="utf-8")

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert said == output.splitlines()


def test_every_kind_of_connection_is_named() -> None:
    """Nobody has to guess."""
    kinds = [_borrowed.SHOWN.get(kind, kind) for kind in (*_borrowed.SQLITE, *_borrowed.SQLALCHEMY)]
    names = [part for kind in kinds for part in kind.split(".")]

    assert [] == [name for name in names if name.lower() not in text_of(PAGE).lower()]

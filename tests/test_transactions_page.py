"""What `docs/transactions.md` shows does what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from documents import blocks, text_of
from live_server import run
from postgres_server import PostgresServer

from errands.stores import _connections

PAGE = "docs/transactions.md"
KINDS = (*_connections.SQLITE, *_connections.POSTGRESQL, *_connections.SQLALCHEMY)
PROGRAMS = blocks(PAGE, "python")
SAID = [
    ["the oven is broken: no order, no receipt", "receipt for order 2"],
    ["receipt for order 1"],
    ["receipt for order 1"],
    ["15"],
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"), [*zip(PROGRAMS, SAID, strict=True)], ids=range(len(SAID))
)
def test_a_program_says_what_the_page_says(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch,
    code: str, said: list[str],
) -> None:  # fmt: skip  # fixtures and parameters
    """From a file in an empty folder, beside an empty database, without a warning."""
    (tmp_path / "main.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("DATABASE_URL", postgres.new_database())

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert said == output.splitlines()


def test_every_kind_of_connection_is_named() -> None:
    """Nobody has to guess."""
    kinds = [_connections.SHOWN.get(kind, kind) for kind in KINDS]
    names = [part for kind in kinds for part in kind.split(".")]

    assert [] == [name for name in names if name.lower() not in text_of(PAGE).lower()]

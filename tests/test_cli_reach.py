"""What a command line reaches: nothing is made or upgraded there, and tables fit a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import apsw
import pytest
from cli_driver import (
    APP,
    done,
    errands,
    failed,
    in_terminal,
    job,
    keep,
)
from ports import free_port

LOOKING = ["jobs", "workers", "schedules", "services", "doctor"]

STORES = ("sqlite", "postgres")  # that other processes see


# What is not there


@pytest.mark.parametrize("command", [*LOOKING, "top --json", "show 01a03b9d", "prune --keep 0"])
def test_a_mistyped_path_makes_no_file(tmp_path: Path, command: str) -> None:
    """It is named, with what to do; status 1."""
    ended = errands(*command.split(), "--store", f"sqlite:///{tmp_path}/typo.db")

    assert 1 == ended.status
    assert f"{tmp_path}/typo.db is not there" in ended.out + ended.err
    assert [] == list(tmp_path.iterdir())


def test_another_database_gets_no_tables(tmp_path: Path) -> None:
    """It stays as it was."""
    path = tmp_path / "shop.db"
    db = apsw.Connection(str(path))
    db.execute("create table orders (id integer)")
    db.close()
    before = path.read_bytes()

    ended = errands("jobs", "--store", f"sqlite:///{path}")

    assert 1 == ended.status
    assert "has no jobs of Errands: name another file" in ended.err
    assert before == path.read_bytes()


def test_an_empty_database_of_a_server_gets_no_tables(postgres_url: str) -> None:
    """Nor a schema."""
    for _ in range(2):  # the second time it would be there
        ended = errands("jobs", url=postgres_url)
        assert 1 == ended.status
        assert "has no jobs of Errands in the schema 'test_" in ended.err
        assert "secret" not in ended.err


def test_an_older_store_is_not_upgraded(tmp_path: Path, file: str) -> None:
    """Processes of the older version may be at work on it."""
    keep(file)
    set_schema(tmp_path / "errands.db", 3)

    ended = errands("jobs", url=file)

    assert 1 == ended.status
    assert "has schema 3, and to open it would upgrade it" in ended.err
    assert 3 == schema(tmp_path / "errands.db")


def test_a_newer_store_is_refused(tmp_path: Path, file: str) -> None:
    """With the versions."""
    keep(file)
    set_schema(tmp_path / "errands.db", 99)

    assert "has schema 99, and this version of Errands knows" in errands("jobs", url=file).err


@pytest.mark.parametrize("command", LOOKING)
def test_a_server_that_is_away_is_one_line(command: str) -> None:
    """Without its password and without a traceback."""
    url = f"postgresql://ann:s3cret@127.0.0.1:{free_port()}/shop"

    ended = errands(command, "--store", url)

    assert 1 == ended.status
    said = ended.out + ended.err
    assert str(urlsplit(url).port) in said
    assert "See that the server runs" in said
    assert 1 == len(said.strip().splitlines())
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "memory:"], "jobs in memory are seen by their own process only"),
        (["--store", "nosuch://ann:s3cret@host/x"], "expected a URL that starts with one of"),
        (["--store", "sqlite:///x.db", *APP], "--app has a store of its own"),
        (["--factory"], "give that, too"),
        (["--app", "nosuch:errands"], "there is no module 'nosuch'"),
        (["--state", "lost"], "'lost' is not one of"),
    ],
)
def test_what_makes_no_sense_is_said(options: list[str], said: str) -> None:
    """In words, and never with a password."""
    ended = errands("jobs", *options)

    assert 0 != ended.status
    assert said in ended.err
    assert "s3cret" not in ended.err


# In a terminal


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_fits_the_terminal(file: str, columns: int) -> None:
    """However long its texts are."""
    long = job(task=f"shop.{'x' * 90}", queue="q" * 90, payload=json.dumps({"a": "ü" * 300}))
    keep(file, [long, failed(), done()])

    status, shown = in_terminal("jobs", "-s", file, columns=columns)

    assert 0 == status
    assert columns >= max(len(line) for line in shown.splitlines())
    assert long.id[:18] in shown
    assert (long.id in shown) == (columns == 200)


@pytest.mark.slow
def test_without_rich_there_are_tables_all_the_same(file: str) -> None:
    """Plain ones, which fit as well."""
    [kept] = keep(file, [failed(queue="q" * 90)])

    status, shown = in_terminal("jobs", "-s", file, before="import sys; sys.modules['rich'] = None")

    assert 0 == status
    titles, row = shown.splitlines()
    assert ["id", "state", "task", "added", "said"] == titles.split()
    assert row.startswith(f"{kept.id[:18]}  failed  resize")
    assert len(row) <= 80


@pytest.mark.slow
def test_nothing_is_told_as_a_sentence(file: str) -> None:
    """Where somebody looks."""
    keep(file)

    assert (0, "there are no jobs\n") == in_terminal("jobs", "-s", file)


def schema(path: Path) -> object:
    db = apsw.Connection(str(path))
    try:
        [[found]] = db.execute("select value from errands_meta where name = 'schema'")
        return found
    finally:
        db.close()


def set_schema(path: Path, version: int) -> None:
    db = apsw.Connection(str(path))
    db.execute("update errands_meta set value = ? where name = 'schema'", (version,))
    db.close()

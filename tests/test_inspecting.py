"""What is asked from outside of an application: its store before it is opened, what waits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import apsw
import apsw.bestpractice
import pytest
from cli_driver import HOUR, NOW, failed, job

from errands import Errands, Query
from errands.errors import NotAStore, NotSerializable, StoreUnavailable, UnknownTask
from errands.stores import store_at
from errands.stores.sqlite._examined import _flaw


async def test_a_store_is_examined_once_it_was_opened(url: str) -> None:
    """Its engine and the version of its tables are told; memory tells nothing."""
    there = Errands(url)
    async with there:
        pass
    found = await there.examine()

    if url.startswith("memory:"):
        assert found is None
        return
    assert found is not None
    assert (found.known, False, None) == (found.schema, found.is_old, found.flaw)
    assert found.engine.split()[0] == ("SQLite" if url.startswith("sqlite") else "PostgreSQL")


@pytest.mark.parametrize("driver", ["apsw", "sqlite3"])
async def test_an_examination_leaves_nothing_behind(
    tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor in an empty file, which is no store; whatever a library does to all connections."""
    hooks = [apsw.bestpractice.connection_wal, apsw.bestpractice.connection_optimize]
    monkeypatch.setattr(apsw, "connection_hooks", hooks)
    there = Errands(f"sqlite:///{tmp_path}/errands.db?driver={driver}")
    with pytest.raises(StoreUnavailable, match="is not there: correct the path"):
        await there.examine()
    assert [] == list(tmp_path.iterdir())

    (tmp_path / "errands.db").touch()
    with pytest.raises(NotAStore, match="has no jobs of Errands"):
        await there.examine()
    assert [0] == [path.stat().st_size for path in tmp_path.iterdir()]

    (tmp_path / "errands.db").write_text("no database at all " * 100)
    with pytest.raises(NotAStore, match="file is not a database"):
        await there.examine()


@pytest.mark.parametrize(
    ("version", "has_a_flaw"), [("3.40.1", True), ("3.51.2", True), ("3.51.3", False)]
)
def test_an_sqlite_that_can_corrupt_files_is_a_flaw(version: str, has_a_flaw: bool) -> None:
    """The message names the version that mended it."""
    assert has_a_flaw == ("3.51.3" in (_flaw(version) or ""))


async def test_what_is_due_is_told_with_its_place(url: str) -> None:
    """Since when; not what comes later, runs, has ended, or is paused."""
    old = job(queue="mail", task="a", free_at=NOW - HOUR, due_at=NOW - HOUR)
    async with Errands(url) as there, store_at(url) as store:
        target = there._engine.store if url.startswith("memory:") else store
        await target.add(
            [
                old, job(queue="mail", task="a"), job(queue="mail", task="b"),
                job(due_at=NOW + 9 * HOUR, free_at=NOW + 9 * HOUR), failed(),
                job(task="held").claimed("w", NOW, 9 * HOUR), job(queue="slow"),
            ]
        )  # fmt: skip  # a row
        await there.pause("slow")
        due, oldest = await there.due(), await there.oldest()

    assert {("mail", "a"): NOW - HOUR, ("mail", "b"): NOW} == due
    assert {"mail": NOW - HOUR} == oldest


async def test_a_call_is_read_from_text() -> None:
    """As the annotations say; what does not fit is refused by its name."""
    there = Errands("memory:")

    @there.task(name="t")
    async def task(when: datetime, number: int = 1) -> None: ...

    function, args, kwargs = there.call_of("t", '{"when": "2026-02-01T00:00:00Z"}')

    assert task is function
    assert ([], {"when": datetime(2026, 2, 1, tzinfo=UTC)}) == (args, kwargs)
    with pytest.raises(NotSerializable, match="number"):
        there.call_of("t", '{"when": "2026-02-01T00:00:00Z", "number": "x"}')
    with pytest.raises(UnknownTask):
        there.call_of("u", "{}")


async def test_long_changes_tell_how_far_they_are(errands: Errands) -> None:
    """With how many were dealt with."""
    retried: list[int] = []
    cancelled: list[int] = []
    pruned: list[int] = []
    async with errands:
        await errands._engine.store.add([failed() for _ in range(600)])
        await errands.retry(Query(), tell=retried.append)
        await errands.cancel(Query(), tell=cancelled.append)
        await errands.prune(tell=pruned.append)

    for told in (retried, cancelled, pruned):
        assert told == sorted(told)
        assert (600, True) == (told[-1], len(told) > 1 or told is pruned)

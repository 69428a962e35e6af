"""Which files count as changed, by looking for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from patience import soon

from errands.cli._changes import changes, looked_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.py", "sub/b.py", "venv/pyvenv.cfg", "venv/lib/c.py", ".git/d.py", "note.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.touch()
    return tmp_path


def touch(file: Path, at: int) -> None:
    """Have the file written at another instant, whatever the clock shows."""
    file.touch()
    os.utime(file, (at, at))


async def following(looking: AsyncIterator[set[Path]]) -> asyncio.Task[set[Path]]:
    """The next change, which is looked for by now."""

    async def following() -> set[Path]:
        return await anext(looking)

    task = asyncio.create_task(following())
    await asyncio.sleep(0.05)  # the folder gives no sign that somebody has looked
    return task


async def test_written_new_and_lost_files_are_changes(folder: Path) -> None:
    """Also in folders below."""
    looking = looked_for(folder, pause=0.001)
    change = await following(looking)
    touch(folder / "sub" / "b.py", 1)
    first = await soon(change)
    change = await following(looking)
    touch(folder / "sub" / "new.py", 1)
    second = await soon(change)
    change = await following(looking)
    (folder / "a.py").unlink()
    third = await soon(change)

    assert {folder / "sub" / "b.py"} == first
    assert {folder / "sub" / "new.py"} == second
    assert {folder / "a.py"} == third


async def test_what_is_no_code_of_theirs_is_left_alone(folder: Path) -> None:
    """Virtual environments, hidden folders and other kinds of files."""
    change = await following(looked_for(folder, pause=0.001))
    for number, name in enumerate(("venv/lib/c.py", ".git/d.py", "note.txt")):
        touch(folder / name, number)
    touch(folder / "a.py", 1)

    assert {folder / "a.py"} == await soon(change)


async def test_the_operating_system_tells_of_changes(folder: Path) -> None:
    """Where `watchfiles` is installed."""
    pytest.importorskip("watchfiles", reason="watchfiles is not installed")
    change = await following(changes(folder))
    touch(folder / "a.py", 1)

    assert {folder / "a.py"} == await soon(change)

"""Tests that run alone: a lock of the whole run keeps the others away."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import quiet

fcntl = pytest.importorskip("fcntl", reason="there are no locks")


def item(folder: Path, *, is_alone: bool, **more: object) -> Any:
    """What is asked of a test in a process beside others."""
    config = SimpleNamespace(option=SimpleNamespace(basetemp=folder / "gw0"), **more)
    return SimpleNamespace(config=config, get_closest_marker=lambda _: is_alone or None)


def may_run(folder: Path, *, is_alone: bool) -> bool:
    """Whether another process would get its turn at once."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


@pytest.mark.parametrize("is_alone", [False, True])
def test_beside_one_that_runs_alone_there_is_nobody(tmp_path: Path, is_alone: bool) -> None:
    """Beside any other there may be others, but for those that want to be alone."""
    with quiet.turn(item(tmp_path, is_alone=is_alone, workerinput={})):
        seen = [may_run(tmp_path, is_alone=other) for other in (False, True)]

    assert [not is_alone, False] == seen
    assert may_run(tmp_path, is_alone=True)


def test_in_one_process_nothing_is_locked(tmp_path: Path) -> None:
    """They run one after another anyway."""
    with quiet.turn(item(tmp_path, is_alone=True)):
        assert may_run(tmp_path, is_alone=True)

"""Tests that want a quiet machine: while one of them runs, the other processes of pytest wait.

`@pytest.mark.alone` is for those that measure how long something takes. With pytest-xdist they
come last, so that nobody waits for long; a lock makes sure that they run one at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True


def has_neighbours(config: pytest.Config) -> bool:
    """Whether this is one of several processes that run the tests."""
    return hasattr(config, "workerinput")


def is_alone(item: pytest.Item) -> bool:
    """Whether no other test may run meanwhile."""
    return item.get_closest_marker("alone") is not None


@contextmanager
def turn(item: pytest.Item) -> Iterator[None]:
    """Wait until this test may run, and keep those away that may not run meanwhile."""
    if not HAS_LOCKS or not has_neighbours(item.config):
        yield
        return
    lock = os.open(Path(item.config.option.basetemp).parent, os.O_RDONLY)  # that of all of them
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if is_alone(item) else fcntl.LOCK_SH)
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # also where a child has inherited it
        os.close(lock)

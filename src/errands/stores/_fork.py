"""Forks: a child must not touch the SQLite files or the servers that its parent had open.

It has no thread that would write, and believes to hold locks that it does not hold
(sqlite.org/howtocorrupt.html, section 2.6); or it would speak in the midst of what its parent
says to a server. So it is refused, until it is a new program.
"""

from __future__ import annotations

import os
from collections import Counter

from ..errors import SetupError

_open: Counter[str] = Counter()
_inherited: set[str] = set()
_locks: set[int] = set()


def opened(path: str) -> None:
    """Note that this process has the file, or the address, open.

    Raises:
        SetupError: if the process that forked this one had it open then.
    """
    refuse(path)
    _open[path] += 1


def closed(path: str) -> None:
    """Note that it was closed."""
    _open[path] -= 1


def refuse(path: str) -> None:
    """Do nothing, unless the process that forked this one had the file open then.

    Raises:
        SetupError: if it had.
    """
    if path in _inherited:
        raise SetupError(
            f"this process was forked while {path} was open: open it after the fork, as when the "
            "application starts (gunicorn: leave --preload out; multiprocessing: use 'spawn')"
        )


def hold(lock: int) -> None:
    """A locked descriptor; a child must let go of it, or its parent would seem to live on."""
    _locks.add(lock)


def release(lock: int) -> None:
    """Let go of a locked descriptor."""
    _locks.discard(lock)
    os.close(lock)


def _in_child() -> None:
    _inherited.update(path for path, times in _open.items() if times > 0)
    _open.clear()
    for lock in _locks:
        os.close(lock)
    _locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

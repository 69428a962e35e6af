"""The turn: who of several processes writes next, in the order in which they asked.

SQLite lets those that wait for its write lock look again after a pause, so that whoever has
just committed gets it again, and some wait for half a second. The kernel wakes those that wait
for a `flock` in their order. This one only makes the queue fair: that one writes at a time is
still SQLite's doing, also where there is no `flock`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    HAS_LOCKS = False
else:
    HAS_LOCKS = True


class Turn:
    """A place in the queue of those who write to the files of one folder.

    The folder itself is what is locked: no file has to be made, and to close a descriptor of
    the database would drop SQLite's own locks in this process.
    """

    def __init__(self, folder: Path) -> None:
        """Stand nowhere yet."""
        self._folder = folder
        self._descriptor: int | None = None
        self._either = threading.Lock()  # it came, or it is too late

    def open(self) -> None:
        """Be ready to queue."""
        if HAS_LOCKS:
            self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Queue no more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def take(self, seconds: float) -> bool:
        """Wait for our turn, so many seconds at the most, and say whether it came.

        Where it did not, it may still come, and is then given to the next.
        """
        if self._descriptor is None or self._is_free(self._descriptor):
            return True
        if not seconds:
            return False
        came, is_late = threading.Event(), threading.Event()
        waiting = threading.Thread(
            target=self._queue, args=(self._descriptor, came, is_late), daemon=True
        )
        waiting.start()
        came.wait(seconds)
        with self._either:
            if not came.is_set():
                is_late.set()
        return came.is_set()

    def leave(self) -> None:
        """Let the next one write."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _is_free(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without it
            return True
        return True

    def _queue(self, descriptor: int, came: threading.Event, is_late: threading.Event) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with self._either:
            if not is_late.is_set():
                came.set()
                return
        fcntl.flock(descriptor, fcntl.LOCK_UN)

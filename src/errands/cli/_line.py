"""The line of a child to its parent: it carries reports, and breaks when the parent dies."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable

from ._report import Report, encode

MARGIN = 10.0  # seconds beyond twice the grace, after which whoever has not ended is ended


def longest_end(grace: float) -> float:
    """Seconds after which a process that was asked to stop has ended: jobs, then local tasks."""
    return 2 * grace + MARGIN


class Line:
    """The child's end of it.

    Until `ask` is set the process is only starting, and ends at once with its parent.

    Args:
        descriptor: The socket's, inherited from the parent.

    Attributes:
        ask: Called once, in a thread of its own, when the parent is dead.
        grace: Seconds that jobs get to end.
    """

    def __init__(self, descriptor: int) -> None:
        """Begin to watch."""
        os.set_inheritable(descriptor, False)  # what tasks start is not our parent's affair
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self.ask: Callable[[], object] | None = None
        self.grace = 0.0
        self._unsent = b""
        threading.Thread(target=self._watch, name="errands line", daemon=True).start()

    def tell(self, report: Report) -> None:
        """Send a report, unless the parent has not taken all of the one before."""
        self._unsent = self._unsent or encode(report)
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # broken: the thread sees it, too
            return

    def _watch(self) -> None:
        while self._is_whole():
            pass
        if self.ask is None:
            os._exit(1)
        self.ask()
        time.sleep(longest_end(self.grace))  # in a daemon's thread: over when the process is
        os._exit(1)

    def _is_whole(self) -> bool:
        select.select([self._socket], [], [])
        try:
            return bool(self._socket.recv(1024))
        except BlockingIOError:
            return True
        except OSError:
            return False

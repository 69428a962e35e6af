"""The bell: tells everyone who listens that a job may have become free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from .._job import Job, State

Ring = Callable[[], object]

ECHOES = (0.01, 0.04, 0.15, 0.6)  # seconds from one to the next


class Bell:
    """Calls its listeners, in the thread that rings."""

    def __init__(self) -> None:
        """Start with no listener."""
        self._listeners: list[Ring] = []

    def listen(self, ring: Ring) -> Callable[[], None]:
        """Call `ring` from now on; the answer ends that."""
        self._listeners.append(ring)
        return lambda: self._listeners.remove(ring)

    def ring(self) -> None:
        """Call every listener."""
        for ring in tuple(self._listeners):
            ring()


class Echo:
    """Rings a few times after something that may become news without our being told.

    Args:
        ring: Tells everyone.
    """

    def __init__(self, ring: Ring) -> None:
        """Be silent."""
        self._ring = ring
        self._next: asyncio.TimerHandle | None = None
        self._number = 0

    def begin(self) -> None:
        """Ring soon, and again after growing pauses."""
        if self._next is not None and self._number == 0:
            return  # soon enough, and not put off by whoever begins again and again
        self.end()
        self._number = 0
        self._wait()

    def end(self) -> None:
        """Ring no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(ECHOES[self._number], self._sound)

    def _sound(self) -> None:
        self._next = None
        self._number += 1
        if self._number < len(ECHOES):
            self._wait()
        self._ring()


def is_news(jobs: Iterable[Job]) -> bool:
    """Whether one of these jobs waits for a worker, and not for something else first."""
    return any(job.state is State.QUEUED and job.blocked_by is None for job in jobs)

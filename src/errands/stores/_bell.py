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

    def begin(self) -> None:
        """Ring soon, and again after growing pauses."""
        self.end()
        self._wait(0)

    def end(self) -> None:
        """Ring no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _wait(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(ECHOES[number], self._sound, number)

    def _sound(self, number: int) -> None:
        self._next = None
        if number + 1 < len(ECHOES):
            self._wait(number + 1)
        self._ring()


def is_news(jobs: Iterable[Job]) -> bool:
    """Whether one of these jobs waits for a worker."""
    return any(job.state is State.QUEUED for job in jobs)

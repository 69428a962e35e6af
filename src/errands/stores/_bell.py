"""The bell: tells everyone who listens that a job may have become free."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .._job import Job, State

Ring = Callable[[], object]


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


def is_news(jobs: Iterable[Job]) -> bool:
    """Whether one of these jobs waits for a worker."""
    return any(job.state is State.QUEUED for job in jobs)

"""Room in queues: how many more jobs may be added to one that has a bound.

Other processes add, too, and to count at each addition would be slow. So a bound is kept
about, and not to the job: one process counts anew once it has used up half of what was free.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from ._job import Job
from ._store import Store
from .errors import QueueFull

FRESH = 1.0  # seconds for which a count is believed


class Room:
    """The room that is left in the queues which have a bound.

    Args:
        bounds: How many unfinished jobs each of them may have.
    """

    def __init__(self, bounds: Mapping[str, int]) -> None:
        """Count nothing yet."""
        self._bounds = bounds
        self._left: dict[str, tuple[int, float]] = {}  # and until when that is believed

    async def take(self, store: Store, jobs: Sequence[Job]) -> None:
        """Count jobs that are about to be added.

        Raises:
            QueueFull: if a queue has no room for them; then none is counted.
        """
        if not self._bounds:
            return
        wanted = Counter(job.queue for job in jobs if job.queue in self._bounds)
        for queue, number in wanted.items():
            left, until = self._left.get(queue, (0, 0.0))
            if number > left or time.monotonic() > until:
                left = await self._count(store, queue)
            if number > left:
                bound = self._bounds[queue]
                raise QueueFull(
                    f"the queue {queue!r} has {bound - left} unfinished jobs, and max_queued is "
                    f"{bound}: add again when its workers have caught up, or start more of them"
                )
        for queue, number in wanted.items():
            left, until = self._left[queue]
            self._left[queue] = left - number, until

    async def _count(self, store: Store, queue: str) -> int:
        bound = self._bounds[queue]
        free = bound - await store.backlog(queue, bound)
        self._left[queue] = max(free // 2, min(free, 1)), time.monotonic() + FRESH
        return free

"""Room in queues: how many more jobs may be added to one that has a bound.

Other processes add, too, and to count at each addition would be slow. So a bound is kept
about, and not to the job: one process counts anew once it has used up half of what was free.
What it is just adding no count may show yet, and is taken for added.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from ._job import Job
from ._store import Store
from .errors import QueueFull

FRESH = 1.0  # seconds for which a count is believed


class Room:
    """The room that is left in the queues which have a bound, in one event loop.

    Args:
        bounds: How many unfinished jobs each of them may have.

    Attributes:
        is_bounded: Whether there is any such queue.
    """

    def __init__(self, bounds: Mapping[str, int]) -> None:
        """Count nothing yet."""
        self._bounds, self.is_bounded = bounds, bool(bounds)
        self._left: dict[str, tuple[int, float]] = {}  # and until when that is believed
        self._coming = Counter[str]()  # jobs that are just being added
        self._turn, self._came = asyncio.Lock(), asyncio.Event()

    @asynccontextmanager
    async def kept_for(self, jobs: Sequence[Job], store: Store) -> AsyncIterator[None]:
        """Keep room for jobs that are added in the block.

        Raises:
            QueueFull: if a queue has no room for them; then none is kept.
        """
        wanted = Counter(job.queue for job in jobs if job.queue in self._bounds)
        if not wanted:
            yield
            return
        await self._take(store, wanted)
        try:
            yield
        finally:  # they are added by now, or were not
            self._coming.subtract(wanted)
            self._came.set()

    async def _take(self, store: Store, wanted: Counter[str]) -> None:
        async with self._turn:  # many at once would all see the same room
            for queue, number in wanted.items():
                left, until = self._left.get(queue, (0, 0.0))
                if number > left or time.monotonic() > until:
                    await self._count(store, queue, number)
            for queue, number in wanted.items():
                left, until = self._left[queue]
                self._left[queue] = left - number, until
            self._coming.update(wanted)

    async def _count(self, store: Store, queue: str, number: int) -> None:
        bound = self._bounds[queue]
        while True:
            self._came.clear()
            coming = self._coming[queue]  # before: one that comes meanwhile may not be counted
            there = await store.backlog(queue, bound)
            free = bound - there - coming
            if number <= free:
                self._left[queue] = max(free // 2, min(free, 1)), time.monotonic() + FRESH
                return
            if not coming or number > bound - there:
                raise QueueFull(
                    f"the queue {queue!r} has {there} unfinished jobs, and max_queued is "
                    f"{bound}: add again when its workers have caught up, or start more of them"
                )
            await self._came.wait()  # some may be counted twice, as coming and as there

"""The trail: where the free jobs begin, for a worker that takes one batch after another.

Each claim leaves dead entries at the head of the index, and whoever looks for free jobs from
there walks over all of them until vacuum has come by: 150,000 jobs later it takes twice as long.
So a worker that takes many jobs in a row begins where its claim before has ended. Jobs that came
to be free behind that point, and places that are new, are seen at the next look at everything,
a tenth of a second later; and whatever is there is seen before a worker goes idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._job import Job
from ..._store import Claim
from .._rows import as_json

MANY = 2000  # jobs in a row, before which every look is at everything
PAUSE = 0.1  # seconds between two looks at everything, at least
SHARE = 10  # and at least so many times what such a look takes

Place = tuple[str, str, int]  # queue, task and priority


@dataclass(slots=True)
class _Streak:
    """Claims of one kind, each of which got as many jobs as it asked for."""

    jobs: int = 0
    ends: dict[Place, tuple[int, str]] = field(default_factory=dict)
    next_look: float = 0.0


class Trail:
    """What the claims of one process have told about where to look."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._streaks: dict[object, _Streak] = {}

    def known(self, claim: Claim, now: float) -> str | None:
        """Where to look, as JSON of places and where they begin; `None` is everywhere.

        Args:
            now: Seconds, monotonic.
        """
        streak = self._streaks.get(_kind(claim))
        if streak is None or streak.jobs < MANY or now >= streak.next_look:
            return None
        return as_json(
            [
                {"queue": queue, "task": task, "priority": priority, "since": since, "after": after}
                for (queue, task, priority), (since, after) in streak.ends.items()
            ]
        )

    def note(
        self,
        claim: Claim,
        claimed: Sequence[tuple[Job, int]],
        now: float,
        *,
        everywhere: float | None = None,
    ) -> None:
        """Learn from what was claimed.

        Args:
            claimed: The jobs, in their order, and since when each was free.
            everywhere: Seconds that the look at everything took, if there was one.
        """
        kind = _kind(claim)
        if len(claimed) < claim.limit:
            self._streaks.pop(kind, None)
            return
        streak = self._streaks.setdefault(kind, _Streak())
        streak.jobs += len(claimed)
        if everywhere is not None:
            streak.ends.clear()
            streak.next_look = now + max(PAUSE, SHARE * everywhere)
        for job, free_at in claimed:
            streak.ends[job.queue, job.task, job.priority] = free_at, job.id


def _kind(claim: Claim) -> Any:
    return tuple(claim.tasks), None if claim.queues is None else tuple(claim.queues)

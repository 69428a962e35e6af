"""What a store must do about history."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from errands import Sketch, Store, Tally

from ._rows import NOW

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AT = NOW.replace(second=0, microsecond=0)


def a_tally(**fields: Any) -> Tally:
    """A tally of one job that was done, but for what `fields` say."""
    common: dict[str, Any] = {
        "at": AT, "step": MINUTE, "queue": "q", "task": "t", "counts": {"done": 1},
        "wait": Sketch({0: 1}), "run": Sketch({17: 1}),
    }  # fmt: skip  # a row
    return Tally(**common | fields)


class History:
    """Tallies are added up, by whoever adds them."""

    async def test_tallies_are_added_up(self, store: Store) -> None:
        """Each to the one of its minute or hour, queue and task."""
        await store.add_history([a_tally(), a_tally(task="u"), a_tally(at=AT - MINUTE)])
        more = a_tally(counts={"done": 2, "failed": 1}, wait=Sketch({0: 1, 3: 2}), run=Sketch())
        await store.add_history([more, a_tally(step=HOUR)])

        summed = a_tally(counts={"done": 3, "failed": 1}, wait=Sketch({0: 2, 3: 2}))
        assert [summed, a_tally(task="u")] == await store.history(MINUTE, AT)
        assert [a_tally(at=AT - MINUTE)] == (await store.history(MINUTE, AT - HOUR))[:1]
        assert [a_tally(step=HOUR)] == await store.history(HOUR, AT)

    async def test_of_many_who_add_at_once_none_is_forgotten(self, store: Store) -> None:
        """Whether there is a tally already or not."""
        await asyncio.gather(*(store.add_history([a_tally()]) for _ in range(20)))

        assert [{"done": 20}] == [each.counts for each in await store.history(MINUTE, AT)]

    async def test_old_tallies_are_forgotten(self, store: Store) -> None:
        """Of one step; the others have their own time."""
        await store.add_history([a_tally(), a_tally(at=AT - MINUTE), a_tally(step=HOUR)])

        assert 1 == await store.prune_history(MINUTE, AT)
        assert [a_tally()] == await store.history(MINUTE, AT - HOUR)
        assert [a_tally(step=HOUR)] == await store.history(HOUR, AT)

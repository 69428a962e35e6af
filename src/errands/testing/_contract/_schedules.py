"""What a store must do with schedules."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from errands import Store

from ._rows import LATER, NOW, a_schedule


class Schedules:
    """Each version of a schedule is put once."""

    async def test_a_schedule_is_kept_as_it_was_put(self, store: Store) -> None:
        """Every field comes back, also those that are empty."""
        full = a_schedule(
            'ü "q"', payload='{"text":"\\u00fc"}', declared='["x"]', is_paused=True,
            is_removed=True, last_tick=NOW, next_tick=LATER, known_by="w",
        )  # fmt: skip  # every field
        empty = a_schedule("a", next_tick=None)
        assert [] == await store.schedules()

        assert {full.name, "a"} == await store.put_schedules([full, empty])
        assert [empty, full] == await store.schedules()

    async def test_each_version_of_a_schedule_is_put_once(self, store: Store) -> None:
        """Of two who change it at once, one is told that it was refused."""
        first = a_schedule()
        assert {"s"} == await store.put_schedules([first])
        assert set() == await store.put_schedules([a_schedule(task="other")])

        paused, known = first.paused(), first.known("w", LATER)
        assert {"s"} == await store.put_schedules([paused])
        assert set() == await store.put_schedules([known])
        assert set() == await store.put_schedules([a_schedule("nobody").paused()])
        assert [paused] == await store.schedules()

    async def test_schedules_that_change_at_once_do_not_mix(self, store: Store) -> None:
        """One of them is stored, whole, and its caller is the one who is told so."""
        first = a_schedule()
        await store.put_schedules([first])
        rivals = [replace(first, version=2, known_by=f"w{n}") for n in range(10)]
        answers = await asyncio.gather(*(store.put_schedules([rival]) for rival in rivals))

        written = [r for r, answer in zip(rivals, answers, strict=True) if answer]
        assert written == await store.schedules()

    async def test_a_put_may_be_repeated(self, store: Store) -> None:
        """What is stored already counts as written: the answer may have been lost."""
        first, second = a_schedule("a"), a_schedule("b")
        await store.put_schedules([first])

        assert {"a", "b"} == await store.put_schedules([first, second])
        assert set() == await store.put_schedules([])

    async def test_a_schedule_that_is_removed_can_be_put_anew(self, store: Store) -> None:
        """And a stranger may be removed, too."""
        schedules = [a_schedule("a"), a_schedule("b"), a_schedule("c")]
        await store.put_schedules(schedules)
        await store.remove_schedules(["a", "c", "nobody"])

        assert schedules[1:2] == await store.schedules()
        assert {"a"} == await store.put_schedules([a_schedule("a")])

    async def test_many_schedules_are_put_at_once(self, store: Store) -> None:
        """In any number."""
        schedules = [a_schedule(f"{n:04}") for n in range(1000)]

        assert 1000 == len(await store.put_schedules(schedules))
        assert 1000 == len(await store.put_schedules([each.known("w", NOW) for each in schedules]))
        assert {2} == {each.version for each in await store.schedules()}

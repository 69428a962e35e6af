"""What a store must do with the heartbeats of workers."""

from __future__ import annotations

from errands import LogLine, Store

from ._rows import LATER, NOW, a_beat


class Workers:
    """A worker is as it told last."""

    async def test_a_worker_is_as_it_told_last(self, store: Store) -> None:
        """Every field comes back, and each beat takes the place of the one before."""
        log = (LogLine("a", NOW, "INFO", 'ü "q"\n\0'), LogLine("b", LATER, "ERROR", ""))
        first = a_beat(queues=("mail", 'ü "q"'), running=3, seen_at=LATER, log=log)
        second = a_beat("v", queues=(), processes=4, in_processes=2, process_tasks=("t", "ü"))
        assert [] == await store.workers()
        await store.beat(a_beat())
        await store.beat(first)
        await store.beat(second)

        assert [first, second] == await store.workers()
        await store.beat(first.gone(LATER))
        await store.beat(second.gone(LATER))
        assert [first.gone(LATER), second.gone(LATER)] == await store.workers()

    async def test_the_newest_worker_comes_first(self, store: Store) -> None:
        """Of those that started together, the last by name."""
        old, new, twin = a_beat("z"), a_beat("a", started_at=LATER), a_beat("b", started_at=LATER)
        for beat in (old, new, twin):
            await store.beat(beat)

        assert [twin, new, old] == await store.workers()

    async def test_workers_that_went_long_ago_are_forgotten(self, store: Store) -> None:
        """Also those that only fell silent; not one that was seen since."""
        went, silent = a_beat("went", seen_at=LATER).gone(NOW), a_beat("silent")
        just_went, alive = a_beat("just").gone(LATER), a_beat("alive", seen_at=LATER)
        for beat in (went, silent, just_went, alive):
            await store.beat(beat)

        assert 2 == await store.prune_workers(LATER)
        assert [just_went, alive] == await store.workers()
        assert 0 == await store.prune_workers(LATER)

    async def test_a_worker_that_lives_is_not_taken_for_gone(self, store: Store) -> None:
        """A rescue leaves it alone."""
        await store.enlist("w")
        await store.beat(a_beat())
        await store.rescue(LATER)

        assert [a_beat()] == await store.workers()

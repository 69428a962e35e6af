"""What a store must do beside keeping: tell the time, ring, open and close."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from errands import Store

from ._rows import NOW, a_claim, job


class Living:
    """A store tells the time, rings, and may be opened again."""

    async def test_now_is_utc_in_whole_milliseconds(self, store: Store) -> None:
        """And about what the rest of the world calls now."""
        now = await store.now()

        assert (timedelta(0), 0) == (now.utcoffset(), now.microsecond % 1000)
        assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)

    async def test_news_is_rung(self, store: Store) -> None:
        """For what waits for a worker: added, or queued again; until one listens no more."""
        rings: list[int] = []
        stop = store.listen(lambda: rings.append(1))
        await store.add([job()])
        after_add = len(rings)
        [running] = await store.claim(a_claim())
        await store.save([again := running.failed("no", NOW, 1)])
        after_save = len(rings)
        stop()
        await store.save([again.cancelled(NOW)])
        await store.add([job()])

        assert 0 < after_add < after_save == len(rings)

    async def test_a_store_may_be_opened_again(self, store: Store) -> None:
        """And has what it had."""
        first = job()
        await store.add([first])
        await store.__aexit__(None, None, None)
        await store.__aenter__()

        assert first == await store.get(first.id)

    async def test_a_store_has_one_secret_for_all(self, store: Store) -> None:
        """Whoever asks, and whoever asks first; it is random, and outlives the opening."""
        first, *others = await asyncio.gather(*(store.secret() for _ in range(5)))
        await store.__aexit__(None, None, None)
        await store.__aenter__()

        assert [first] * 5 == [*others, await store.secret()]
        assert (32, True) == (len(first), len(set(first)) > 8)

    async def test_a_store_keeps_the_secret_that_it_is_given(self, store: Store) -> None:
        """If it has none, or is told to have this one anyway: as it moved in from elsewhere."""
        first, second = bytes(range(100, 132)), bytes(range(255, 223, -1))
        await store.keep_secret(first, is_over=False)
        await store.keep_secret(second, is_over=False)
        assert first == await store.secret()

        await store.keep_secret(second, is_over=True)
        assert second == await store.secret()

    async def test_nobody_alive_is_rescued(self, store: Store) -> None:
        """A worker that is enlisted keeps its jobs."""
        await store.enlist("w")
        await store.add([job()])
        [running] = await store.claim(a_claim())

        assert 0 == await store.rescue(NOW)
        assert running == await store.get(running.id)

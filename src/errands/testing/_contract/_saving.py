"""What a store must do when jobs move on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from errands import Progress, Store

from ._rows import LATER, LEASE, NOW, a_claim, ids, job


class Saving:
    """A save is refused once the job has changed."""

    async def test_each_version_is_saved_once(self, store: Store) -> None:
        """Of two who save at once, one is told that it was refused."""
        await store.add([job()])
        [running] = await store.claim(a_claim())
        saved = await asyncio.gather(
            store.save([running.done("1", NOW)]), store.save([running.failed("no", NOW)])
        )

        assert [set(), {running.id}] == sorted(saved, key=len)

    async def test_a_save_may_be_repeated(self, store: Store) -> None:
        """What is stored already counts as written: the answer may have been lost."""
        await store.add([job()])
        [running] = await store.claim(a_claim())
        done = replace(running, progress=Progress(1, 2)).done('{"a":[1]}', NOW)

        assert {done.id} == await store.save([done])
        assert {done.id} == await store.save([done])
        assert done == await store.get(done.id)

    async def test_a_batch_is_saved_as_far_as_it_is_fresh(self, store: Store) -> None:
        """One that is stale does not spoil the others."""
        await store.add([job(), job(), job()])
        stale, *fresh = await store.claim(a_claim())
        await store.save([stale.cancelled(NOW)])
        saved = await store.save([running.done(None, NOW) for running in (stale, *fresh)])

        assert set(ids(fresh)) == saved

    async def test_a_save_makes_no_second_job_of_a_key(self, store: Store) -> None:
        """A finished job is not queued again where another one has its key by now."""
        first, second = job(key="k"), job(key="k")
        await store.add([first])
        await store.save([ended := first.cancelled(NOW)])
        await store.add([second])

        assert set() == await store.save([ended.retried(NOW)])
        await store.save([second.cancelled(NOW)])
        assert {first.id} == await store.save([ended.retried(NOW)])

    async def test_a_request_to_cancel_outlasts_saves_until_the_end(self, store: Store) -> None:
        """Whoever saves a job may not have heard of it; one that is retried begins anew."""
        await store.add([replace(job(), is_cancelling=True)])
        [asked] = await store.claim(a_claim())
        unaware = replace(asked, is_cancelling=False)

        assert {asked.id} == await store.save([again := unaware.failed("boom", NOW, 0)])
        assert asked.is_cancelling
        assert replace(again, is_cancelling=True) == await store.get(asked.id)
        assert {asked.id} == await store.save([ended := again.cancelled(NOW)])
        assert {asked.id} == await store.save([anew := ended.retried(NOW)])
        assert anew == await store.get(asked.id)

    async def test_a_request_to_cancel_is_taken_back_by_a_retry(self, store: Store) -> None:
        """Of a job that went back to its queue before its worker came to it."""
        await store.add([job()])
        [running] = await store.claim(a_claim())
        await store.request_cancel([running.id])
        await store.save([running.released(NOW)])
        asked = await store.get(running.id)
        assert asked is not None
        assert asked.is_cancelling

        assert {asked.id} == await store.save([anew := asked.retried(NOW)])
        assert anew == await store.get(asked.id)
        [again] = await store.claim(a_claim())
        assert not again.is_cancelling

    async def test_what_was_never_added_cannot_be_saved(self, store: Store) -> None:
        """A save makes no job."""
        assert set() == await store.save([job().cancelled(NOW)])

    async def test_progress_is_reported_for_the_version_that_runs(self, store: Store) -> None:
        """It is no transition, and a zombie's is dropped."""
        await store.add([job()])
        [running] = await store.claim(a_claim())
        told = running.progressed(Progress(1, 3, "a"))
        await store.report([told])

        assert told == await store.get(running.id)
        [second] = await store.claim(a_claim(worker="x", now=LATER))
        await store.report([running.progressed(Progress(3, 3))])
        assert second == await store.get(running.id)

    async def test_extend_names_what_is_still_held(self, store: Store) -> None:
        """And only that gets a longer lease."""
        await store.add([job(), job()])
        one, two = await store.claim(a_claim())
        await store.save([one.cancelled(NOW)])
        until = NOW + 2 * LEASE
        held = await asyncio.to_thread(store.extend, [one.id, two.id], "w", until)

        assert {two.id} == held
        assert two.extended(until) == await store.get(two.id)
        assert {two.id} == await store.save([two.done(None, NOW)])

    async def test_a_job_is_removed_at_its_version(self, store: Store) -> None:
        """One that has moved on stays, and a key is free again."""
        first, second = job(key="k"), job()
        await store.add([first, second])
        await store.save([second.cancelled(NOW)])

        assert {first.id} == await store.remove([first, second])
        assert None is await store.get(first.id)
        again = job(key="k")
        assert [again] == await store.add([again])

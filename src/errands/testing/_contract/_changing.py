"""What becomes of a wait when a job is replaced, removed, pruned or queued again."""

from __future__ import annotations

from dataclasses import replace

from errands import Query, Store

from ._family import SOON, after, claimed, ended
from ._rows import LATER, LEASE, NOW, a_claim, ids, job


class Changing:
    """See `StoreContract`."""

    async def test_a_replaced_parent_is_still_waited_for(self, store: Store) -> None:
        """It is the same job, with other arguments."""
        parent = job(key="k")
        await store.add([parent, child := after(parent)])
        [other] = await store.add([job(key="k", payload='{"n":2}')], "replace")
        assert child == await store.get(child.id)
        await ended(store, other)

        assert child.freed(SOON) == await store.get(child.id)

    async def test_a_replaced_child_waits_for_others(self, store: Store) -> None:
        """Only for those that the new one names, be it nobody."""
        old, new = job(), job()
        await store.add([old, new, first := after(old, key="k")])
        [second] = await store.add([after(new, key="k")], "replace")
        assert (first.id, (new.id,)) == (second.id, second.waits_for)
        await ended(store, old)
        assert second == await store.get(first.id)
        await ended(store, new)
        assert second.freed(SOON) == await store.get(first.id)

        again = after(job(), key="l")
        await store.add([parent := job(), replace(again, waits_for=(parent.id,))])
        [third] = await store.add([job(key="l")], "replace")
        assert (again.id, None, ()) == (third.id, third.blocked_by, third.waits_for)
        await ended(store, parent)
        assert third == await store.get(again.id)

    async def test_who_is_replaced_by_one_that_waits_for_nobody_waits_no_more(
        self, store: Store
    ) -> None:
        """So that those for whom it waited may come to wait for it."""
        parent = job()
        child = after(parent, key="k")
        await store.add([parent, child])
        [replaced] = await store.add([job(key="k")], "replace")

        assert (child.id, ()) == (replaced.id, replaced.waits_for)
        [again] = await store.add([after(replaced)])
        assert (replaced.id,) == again.waits_for
        await ended(store, parent)
        assert replaced == await store.get(child.id)

    async def test_a_running_job_is_not_replaced_but_its_key_is(self, store: Store) -> None:
        """What waits for the running one goes on waiting for it."""
        parent = job(key="k")
        await store.add([parent, child := after(parent)])
        [running] = await store.claim(a_claim())
        await store.add([job(key="k")], "replace")
        await store.save([running.done(None, SOON)])

        assert child.freed(SOON) == await store.get(child.id)

    async def test_a_removed_parent_is_waited_for_no_longer(self, store: Store) -> None:
        """And a removed child waits no longer."""
        one, two = job(), job()
        await store.add([one, two, child := after(one, two), gone := after(one)])
        assert {gone.id, one.id} == await store.remove([gone, one])
        assert child == await store.get(child.id)
        assert {two.id} == await store.remove([two])

        assert child.freed(NOW) == await store.get(child.id)
        assert [child.id] == await claimed(store)

    async def test_a_parent_is_not_pruned_before_its_children_have_ended(
        self, store: Store
    ) -> None:
        """They may want to read what it returned; and it is in nobody's way."""
        parent, other = job(), job()
        await store.add([parent, other])
        await ended(store, parent, other)
        [child] = await store.add([after(parent)])

        assert [1, 0] == [await store.prune(LATER, 1) for _ in range(2)]
        assert [child.id, parent.id] == ids(await store.find(Query()))
        await store.save([child.cancelled(SOON)])
        assert 2 == await store.prune(LATER, 10)
        assert [] == await store.find(Query())

    async def test_a_job_that_is_queued_again_waits_again(self, store: Store) -> None:
        """For those that were queued again with it, in whatever order; else not at all."""
        parent = job()
        await store.add([parent, child := after(parent), alone := after(parent)])
        await ended(store, parent)
        jobs = [free for each in (child, alone) if (free := await store.get(each.id))]
        await ended(store, *jobs)
        again = [each.cancelled(SOON).retried(LATER) for each in (jobs[0], parent)]
        assert {child.id, parent.id} == await store.save(again)
        assert again[0] == await store.get(child.id)
        await ended(store, again[1])
        assert again[0].freed(SOON) == await store.get(child.id)

        single = jobs[1].cancelled(SOON).retried(LATER)
        assert {alone.id} == await store.save([single])
        assert single.freed(NOW) == await store.get(alone.id)

    async def test_a_job_may_be_handed_back_to_wait(self, store: Store) -> None:
        """As one whose parent was asked for again, once it had been claimed."""
        parent = job()
        await store.add([parent, child := after(parent)])
        await ended(store, parent)
        await store.save([anew := parent.cancelled(SOON).retried(SOON)])
        [_, running] = sorted(await store.claim(a_claim(now=LATER)), key=lambda j: j.id)
        assert {child.id} == await store.save([back := running.returned()])
        assert (back, 0) == (await store.get(child.id), back.attempt)
        await store.save([anew.claimed("w", LATER, LEASE).done(None, LATER)])

        assert back.freed(LATER) == await store.get(child.id)

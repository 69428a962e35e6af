"""What a store must do with jobs that wait for others: free them once those have ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from errands import State, Store

from ._family import SOON, after, claimed, ended
from ._rows import LATER, LEASE, NOW, a_claim, ids, job


class Waiting:
    """See `StoreContract`."""

    async def test_a_job_waits_until_its_parents_have_ended(self, store: Store) -> None:
        """The last of them frees it, from that instant on; the first does not."""
        one, two = job(), job()
        child = after(one, two)

        assert [one, two, child] == await store.add([one, two, child])
        assert child == await store.get(child.id)
        assert {one.id, two.id} == set(await claimed(store))
        running = [await store.get(each.id) for each in (one, two)]
        for each in running:
            assert each is not None
            assert [] == await claimed(store)
            assert {each.id} == await store.save([each.done(None, LATER)])
        assert child.freed(LATER) == await store.get(child.id)
        assert [child.id] == await claimed(store)

    async def test_however_a_parent_ends_its_children_are_free(self, store: Store) -> None:
        """What that means to them is not the store's affair; one that is to run again has not."""
        bad, late = job(), job()
        await store.add([bad, late, first := after(bad), second := after(late)])
        running = {each.id: each for each in await store.claim(a_claim())}
        again = running[late.id].failed("boom", NOW, 0)
        await store.save([running[bad.id].failed("boom", SOON), again])

        assert first.freed(SOON) == await store.get(first.id)
        assert second == await store.get(second.id)

    async def test_who_waits_for_what_has_ended_does_not_wait(self, store: Store) -> None:
        """It is answered, and kept, as free when it is due."""
        parent = job()
        await store.add([parent])
        await ended(store, parent)
        child, late = after(parent), after(parent, due_at=LATER)
        expected = [
            replace(child, free_at=NOW, blocked_by=None),
            replace(late, free_at=LATER, blocked_by=None),
        ]

        assert expected == await store.add([child, late])
        assert expected == [await store.get(each.id) for each in (child, late)]

    async def test_a_delay_outlasts_the_wait(self, store: Store) -> None:
        """A child that is due later is free then."""
        parent = job()
        await store.add([parent, child := after(parent, due_at=LATER)])
        await ended(store, parent)

        assert LATER == child.freed(SOON).free_at
        assert child.freed(SOON) == await store.get(child.id)

    async def test_parents_and_children_come_in_any_order(self, store: Store) -> None:
        """Within one addition; a whole chain, from its end."""
        first = job()
        second = after(first)
        third = after(second)
        await store.add([third, second, first])

        for each in (first, second, third):
            assert [each.id] == await claimed(store)
            running = await store.get(each.id)
            assert running is not None
            await store.save([running.done(None, LATER)])

    async def test_one_end_frees_many(self, store: Store) -> None:
        """And many ends one, whoever saves them, and at once."""
        root = job()
        shards = [after(root) for _ in range(100)]
        await store.add([root, *shards, last := after(*shards)])
        await ended(store, root)
        running = await store.claim(a_claim(now=LATER, limit=200))
        assert set(ids(shards)) == set(ids(running))

        saved = await asyncio.gather(*(store.save([each.done(None, LATER)]) for each in running))
        assert set(ids(shards)) == set().union(*saved)
        assert last.freed(LATER) == await store.get(last.id)

    async def test_whoever_begins_to_wait_at_the_end_is_not_forgotten(self, store: Store) -> None:
        """Added while its parent is being saved, a child is free in the end."""
        for _ in range(20):
            parent = job()
            await store.add([parent])
            children = [after(parent) for _ in range(3)]
            await asyncio.gather(
                store.add(children[:1]), store.save([parent.cancelled(SOON)]),
                store.add(children[1:]),
            )  # fmt: skip  # a call

            assert set(ids(children)) == set(await claimed(store))

    async def test_a_save_that_frees_may_be_repeated(self, store: Store) -> None:
        """And frees no second time."""
        parent = job()
        await store.add([parent, child := after(parent)])
        done = parent.cancelled(SOON)

        assert [{parent.id}] * 2 == [await store.save([done]) for _ in range(2)]
        assert child.freed(SOON) == await store.get(child.id)

    async def test_a_stale_end_frees_nobody(self, store: Store) -> None:
        """Only what was written counts."""
        parent = job()
        await store.add([parent, child := after(parent)])
        [running] = await store.claim(a_claim())
        await store.save([running.failed("boom", NOW, 60)])

        assert set() == await store.save([running.done(None, LATER)])
        assert child == await store.get(child.id)

    async def test_the_end_of_a_wait_is_news(self, store: Store) -> None:
        """Its beginning is none."""
        parent, rings = job(), list[int]()
        await store.add([parent])
        stop = store.listen(lambda: rings.append(1))
        await store.add([after(parent)])
        after_add = len(rings)
        await ended(store, parent)
        stop()

        assert 0 == after_add < len(rings)

    async def test_a_job_that_waits_can_be_cancelled(self, store: Store) -> None:
        """As any that is queued; the end of its parent does not wake it, its own its child."""
        parent = job()
        child = after(parent)
        await store.add([parent, child, grandchild := after(child)])
        await ended(store, child)
        await ended(store, parent)

        assert child.cancelled(SOON) == await store.get(child.id)
        assert grandchild.freed(SOON) == await store.get(grandchild.id)

    async def test_two_of_a_key_that_wait_are_one_that_waits(self, store: Store) -> None:
        """Within one addition; replaced, it is the last of them that does."""
        one, two = job(), job()
        first, last = after(one, key="k"), after(one, two, key="k")
        assert [first] * 2 == (await store.add([one, two, first, first]))[2:]
        [*_, kept] = await store.add([after(two, key="k"), last], "replace")
        await ended(store, two)
        assert kept == await store.get(first.id)
        await ended(store, one)

        assert kept.freed(SOON) == await store.get(first.id)

    async def test_jobs_that_have_ended_are_kept_with_whom_they_waited_for(
        self, store: Store
    ) -> None:
        """Though those are not there any more: they came from another store."""
        old = after(job()).freed(NOW).claimed("w", NOW, LEASE).done(None, LATER)
        free = after(job()).freed(NOW)

        assert [old, free] == await store.add([old, free])
        assert [free.id] == await claimed(store)

    async def test_states_are_told_of_jobs_that_are_there(self, store: Store) -> None:
        """And nothing of others."""
        one, two = job(), job()
        await store.add([one, two])
        await ended(store, two)

        expected = {one.id: State.QUEUED, two.id: State.CANCELLED}
        assert expected == await store.states([two.id, "nobody", one.id])
        assert {} == await store.states([])

    async def test_the_children_of_a_job_are_told_page_by_page(self, store: Store) -> None:
        """Whatever has become of them, as long as they are there."""
        one, two = job(), job()
        first, both, last = after(one), after(one, two), after(one)
        await store.add([one, two, first, both, last, after(both)])
        await ended(store, one, last)
        expected = {
            first.id: State.QUEUED, both.id: State.QUEUED, last.id: State.CANCELLED,
        }  # fmt: skip  # a table

        found = await store.children(one.id, None, 10)
        assert list(expected.items()) == list(found.items())
        assert [first.id, both.id] == list(await store.children(one.id, None, 2))
        assert [last.id] == list(await store.children(one.id, both.id, 2))
        assert {both.id: State.QUEUED} == await store.children(two.id, None, 10)
        there = await store.get(first.id)
        assert there is not None
        await store.remove([there])
        assert [both.id, last.id] == list(await store.children(one.id, None, 2))
        assert {} == await store.children("nobody", None, 10)

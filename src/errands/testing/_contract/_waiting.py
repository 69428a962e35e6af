"""What a store must do with jobs that wait for others: free them once those have ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from errands import Job, Query, State, Store
from errands.errors import JobExists, UnknownJob

from ._rows import LATER, LEASE, NOW, a_claim, ids, job

KEPT_BACK = job(waits_for=("a",)).retried(NOW)
SOON = NOW + timedelta(seconds=1)


def after(*parents: Job, **fields: Any) -> Job:
    """A job that waits for others."""
    waits: dict[str, Any] = {
        "waits_for": tuple(ids(parents)), "free_at": KEPT_BACK.free_at,
        "blocked_by": KEPT_BACK.blocked_by,
    }  # fmt: skip  # a row
    return job(**waits | fields)


async def ended(store: Store, *jobs: Job) -> None:
    """Let these jobs end, by being cancelled a second after they were due."""
    assert set(ids(jobs)) == await store.save([each.cancelled(SOON) for each in jobs])


async def claimed(store: Store) -> list[str]:
    """The ids of what is free by then."""
    return ids(await store.claim(a_claim(now=LATER, limit=50)))


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

    # What cannot be waited for

    async def test_nobody_waits_for_a_stranger(self, store: Store) -> None:
        """Neither for one that is not kept as another has its key; then nothing is kept."""
        stranger, other = job(), job(key="k")
        with pytest.raises(UnknownJob, match=stranger.id) as refusal:
            await store.add([job(), after(stranger)])
        assert stranger.id == refusal.value.job_id
        assert [] == await store.find(Query())

        await store.add([other])
        rival = job(key="k")
        with pytest.raises(UnknownJob, match=rival.id):
            await store.add([job(), rival, after(rival)])
        assert [other] == await store.find(Query())

    async def test_an_addition_may_be_repeated_though_a_parent_is_gone(self, store: Store) -> None:
        """Its answer was lost: it is there, as it is by now."""
        parent = job()
        await store.add([parent, child := after(parent)])
        await store.remove([parent])

        assert [child.freed(NOW)] == await store.add([child])

    async def test_nobody_waits_in_a_circle(self, store: Store) -> None:
        """Be it a circle of one."""
        selfish = job()
        one, two = job(), job()
        for circle in (
            [after(selfish, id=selfish.id)],
            [job(), after(two, id=one.id), after(one, id=two.id)],
        ):
            with pytest.raises(ValueError, match="would wait for itself"):
                await store.add(circle)
        assert [] == await store.find(Query())

    async def test_a_replacement_closes_no_circle(self, store: Store) -> None:
        """A queued job cannot come to wait for those that wait for it."""
        first = job(key="k")
        second = after(first)
        third = after(second)
        await store.add([first, second, third])

        for parent in (first, third):
            with pytest.raises(ValueError, match="would wait for itself"):
                await store.add([after(parent, key="k")], "replace")
        assert first == await store.get(first.id)

    async def test_a_replacement_in_one_addition_closes_no_circle(self, store: Store) -> None:
        """With what comes before it there, or between."""
        first, between = job(key="k"), job()
        for jobs in (
            [first, after(first, key="k")],
            [first, after(first, id=between.id), after(between, key="k")],
        ):
            with pytest.raises(ValueError, match="would wait for itself"):
                await store.add(jobs, "replace")
        assert [] == await store.find(Query())

    async def test_a_refused_addition_leaves_no_trace(self, store: Store) -> None:
        """With `raise`, neither parent nor child is kept."""
        await store.add([job(key="k")])
        parent = job()
        with pytest.raises(JobExists):
            await store.add([parent, after(parent), job(key="k")], "raise")

        assert 1 == len(await store.find(Query()))
        assert 2 == len(await store.add([parent, after(parent)], "raise"))

    # Replaced, removed, pruned, queued again

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

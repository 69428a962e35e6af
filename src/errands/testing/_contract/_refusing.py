"""What nobody may wait for: a job that is not there, and oneself by way of others."""

from __future__ import annotations

import pytest

from errands import Query, Store
from errands.errors import JobExists, UnknownJob

from ._family import after
from ._rows import NOW, job


class Refusing:
    """See `StoreContract`."""

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

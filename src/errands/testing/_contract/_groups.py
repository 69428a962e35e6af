"""What a store must tell of groups: how far their jobs are, and which groups there are."""

from __future__ import annotations

from errands import Group, State, Store

from ._family import SOON, ended
from ._rows import LATER, NOW, a_claim, job


class Groups:
    """See `StoreContract`."""

    async def test_a_group_is_counted(self, store: Store) -> None:
        """By state, with its first start and, once all have ended, its last end."""
        jobs = [job(group="g") for _ in range(3)]
        await store.add([*jobs, job(group="h"), job()])
        assert Group(name="g", counts={State.QUEUED: 3}) == await store.group("g")

        first, second = await store.claim(a_claim(limit=2)), job()
        await store.save([first[0].done(None, SOON), first[1].failed("boom", LATER)])
        expected = {State.QUEUED: 1, State.DONE: 1, State.FAILED: 1}
        assert Group(name="g", counts=expected, started_at=NOW) == await store.group("g")
        await ended(store, jobs[2])
        expected = {State.CANCELLED: 1, State.DONE: 1, State.FAILED: 1}
        found = await store.group("g")
        assert Group(name="g", counts=expected, started_at=NOW, finished_at=LATER) == found
        assert (3, 3, 1, 1, 1, 1.0, True) == (
            found.total, found.ended, found.done, found.failed, found.cancelled,
            found.fraction, found.is_final,
        )  # fmt: skip  # a row
        await store.add([second])
        assert found == await store.group("g")

    async def test_a_group_of_one_is_told_as_it_is(self, store: Store) -> None:
        """Also when it is asked for again, and its past counts no longer."""
        await store.add([job(group="g")])
        [running] = await store.claim(a_claim())
        await store.save([done := running.done(None, SOON)])
        found = await store.group("g")
        assert (1, NOW, SOON) == (found.done, found.started_at, found.finished_at)
        await store.save([done.retried(LATER)])
        found = await store.group("g")
        assert ({State.QUEUED: 1}, None) == (found.counts, found.finished_at)
        [again] = await store.claim(a_claim(now=LATER))
        found = await store.group("g")

        assert LATER == again.started_at == found.started_at

    async def test_a_group_that_nobody_knows_is_empty(self, store: Store) -> None:
        """Also once its jobs are forgotten, or belong elsewhere."""
        gone, moved = job(group="g"), job(group="g", key="k")
        await store.add([gone, moved])
        await store.remove([gone])
        await store.add([job(group="h", key="k")], "replace")
        empty = await store.group("g")

        assert Group(name="g", counts={}) == empty
        assert (0, None, False) == (empty.total, empty.fraction, empty.is_final)
        assert {State.QUEUED: 1} == (await store.group("h")).counts

    async def test_groups_are_named_page_by_page(self, store: Store) -> None:
        """Each once, backward by its characters, as long as it has a job."""
        jobs = [job(group=name) for name in ("a", "b", "c", "b", "é", "Z", "\U0001f600")]
        await store.add([*jobs, job()])

        assert ["\U0001f600", "é", "c", "b", "a", "Z"] == await store.groups(None, 10)
        assert ["\U0001f600", "é"] == await store.groups(None, 2)
        assert ["b", "a"] == await store.groups("c", 2)
        assert ["b", "a", "Z"] == await store.groups("b\0", 9)
        await store.remove([jobs[1], jobs[3]])
        assert ["a", "Z"] == await store.groups("c", 10)
        assert [] == await store.groups("Z", 10)

"""What a store must do when workers claim jobs."""

from __future__ import annotations

import asyncio

from errands import Outcome, Store

from ._rows import LATER, LEASE, NOW, a_claim, ids, job


class Claiming:
    """A claim is atomic, and takes what is free in its order."""

    async def test_a_claim_is_what_the_transition_says(self, store: Store) -> None:
        """And what was claimed is not free."""
        fresh = job()
        await store.add([fresh])

        assert [fresh.claimed("w", NOW, LEASE)] == await store.claim(a_claim())
        assert fresh.claimed("w", NOW, LEASE) == await store.get(fresh.id)
        assert [] == await store.claim(a_claim(worker="x"))

    async def test_no_job_goes_to_two_workers(self, store: Store) -> None:
        """However many claim at once."""
        await store.add([job() for _ in range(100)])
        claims = (store.claim(a_claim(worker=f"w{i}", limit=7)) for i in range(20))
        claimed = [job.id for jobs in await asyncio.gather(*claims) for job in jobs]

        assert 100 == len(claimed) == len(set(claimed))

    async def test_priority_comes_first_then_age(self, store: Store) -> None:
        """Across queues, too."""
        old = job(due_at=NOW - LEASE)
        low, high, far = job(priority=-1), job(priority=9), job(priority=9, due_at=LATER)
        urgent, plain = job(queue="other", priority=9, due_at=NOW - LEASE), job(queue="other")
        await store.add([low, plain, far, high, old, urgent])

        first = await store.claim(a_claim(limit=3))
        assert ids([urgent, high, old]) == ids(first)
        assert ids([plain, low]) == ids(await store.claim(a_claim()))

    async def test_only_the_workers_queues_are_claimed(self, store: Store) -> None:
        """Other queues are left alone."""
        mail, other = job(queue="mail"), job()
        await store.add([mail, other])

        assert ids([mail]) == ids(await store.claim(a_claim(queues=["mail", "more"])))

    async def test_unknown_tasks_stay_for_those_who_know_them(self, store: Store) -> None:
        """They do not stand in the way of known ones, either."""
        strangers, known = [job(task="new") for _ in range(20)], job()
        await store.add([*strangers, known])

        assert ids([known]) == ids(await store.claim(a_claim()))
        assert 20 == len(await store.claim(a_claim(tasks=["new"], limit=50)))

    async def test_a_lost_lease_is_free_again(self, store: Store) -> None:
        """The worker that was silent can save no more: its version is past."""
        await store.add([job()])
        [first] = await store.claim(a_claim())
        [second] = await store.claim(a_claim(worker="x", now=LATER))

        assert (2, "x") == (second.attempt, second.worker)
        assert Outcome.LOST is second.history[-1].outcome
        assert set() == await store.save([first.done("1", LATER)])
        assert {second.id} == await store.save([second.done("2", LATER)])

    async def test_the_next_free_instant_is_known(self, store: Store) -> None:
        """For what the claim could take, and nothing else."""
        later, stranger = job(due_at=LATER, queue="q"), job(task="new", due_at=NOW)
        assert None is await store.next_free(a_claim())
        await store.add([later, stranger])

        assert later.due_at == await store.next_free(a_claim())
        assert None is await store.next_free(a_claim(queues=["default"]))

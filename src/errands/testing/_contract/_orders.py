"""What a store must do when operators ask for something."""

from __future__ import annotations

from dataclasses import replace

from errands import Order, Store

from ._rows import LATER, NOW, a_claim, ids, job


class Orders:
    """What is asked of the workers is kept, and told to them."""

    async def test_only_running_jobs_are_asked_to_end(self, store: Store) -> None:
        """Their version stays, and their own worker learns of it."""
        first, second = job(), job(due_at=LATER)
        await store.add([first, second])
        [running] = await store.claim(a_claim(worker="w"))

        assert {first.id} == await store.request_cancel([first.id, second.id, "nobody"])
        assert {first.id} == await store.request_cancel([first.id])
        assert replace(running, is_cancelling=True) == await store.get(first.id)
        assert second == await store.get(second.id)
        assert ({first.id}, set()) == (await store.cancelling("w"), await store.cancelling("v"))

    async def test_what_has_ended_is_not_to_be_cancelled_any_more(self, store: Store) -> None:
        """Whatever it ended as."""
        await store.add([job()])
        [running] = await store.claim(a_claim(worker="w"))
        await store.request_cancel([running.id])
        await store.save([running.done("1", NOW)])

        assert set() == await store.cancelling("w")
        assert set() == await store.request_cancel([running.id])

    async def test_an_order_is_kept_until_it_is_taken_back(self, store: Store) -> None:
        """One of each kind and name."""
        slots = Order(kind="slots", name="w/ü", value=3, since=NOW)
        pause = Order(kind="key", name="k", since=NOW)
        await store.put_orders([slots, pause])
        assert [pause, slots] == await store.orders()

        await store.put_orders([replace(slots, value=4, since=LATER)])
        await store.remove_orders([("key", "k"), ("key", "nobody")])
        assert [replace(slots, value=4, since=LATER)] == await store.orders()

    async def test_paused_queues_and_tasks_are_not_claimed(self, store: Store) -> None:
        """Nor do they keep a worker from sleeping; resumed, they are as they were."""
        jobs = [job(queue="a"), job(queue="b"), job(queue="b", task="u")]
        await store.add(jobs)
        pauses = [
            Order(kind="queue", name="a", since=NOW),
            Order(kind="task", name="u", since=NOW),
        ]
        await store.put_orders(pauses)
        claim = a_claim(tasks=["t", "u"])

        assert ids(jobs[1:2]) == ids(await store.claim(claim))
        await store.remove_orders([("queue", "a")])
        assert ids(jobs[:1]) == ids(await store.claim(claim))
        assert [] == await store.claim(claim)
        assert None is await store.next_free(a_claim(tasks=["u"]))
        await store.remove_orders([("task", "u")])
        assert NOW == await store.next_free(a_claim(tasks=["u"]))
        assert ids(jobs[2:]) == ids(await store.claim(claim))

    async def test_orders_are_rung(self, store: Store) -> None:
        """So that workers look at once."""
        await store.add([job()])
        [running] = await store.claim(a_claim())
        rings: list[int] = []
        stop = store.listen(lambda: rings.append(1))
        counts = []
        for order in (
            store.request_cancel([running.id]),
            store.put_orders([Order(kind="queue", name="a", since=NOW)]),
            store.remove_orders([("queue", "a")]),
        ):
            await order
            counts.append(len(rings))
        stop()

        assert 0 < counts[0] < counts[1] < counts[2]

"""What a store must answer about its jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from errands import Order, Query, State, Store

from ._rows import LATER, NOW, a_claim, id_at, ids, job

STEP = timedelta(milliseconds=1)


class Looking:
    """Jobs are found, counted and forgotten by what they are."""

    async def test_a_stranger_is_nobody(self, store: Store) -> None:
        """There is no error in asking."""
        assert None is await store.get("nobody")

    async def test_the_newest_come_first_page_by_page(self, store: Store) -> None:
        """A page begins where the one before ended."""
        jobs = [job() for _ in range(5)]
        await store.add(jobs)
        expected = sorted(ids(jobs), reverse=True)
        page = await store.find(Query(limit=2))
        following = await store.find(Query(limit=2, before=page[-1].id))

        assert expected[:4] == ids(page) + ids(following)

    async def test_some_are_left_out_at_either_end(self, store: Store) -> None:
        """Of the newest by number, of the oldest by id; of what matches, in each state."""
        jobs = [job(queue="ab"[n % 2], group="g") for n in range(6)]
        await store.add(jobs)
        await store.save([each.cancelled(NOW) for each in jobs[:2]])
        every = [jobs[n] for n in (5, 4, 3, 2)]
        bad = [State.CANCELLED, State.FAILED]

        for query, expected in (
            (Query(offset=1, limit=2), every[1:3]),
            (Query(offset=5), [await store.get(jobs[0].id)]), (Query(offset=6), []),
            (Query(oldest=jobs[2].id), every), (Query(oldest=jobs[2].id, offset=3), every[3:]),
            (Query(oldest=jobs[4].id, before=jobs[5].id), [jobs[4]]),
            (Query(oldest=jobs[4].id, since=jobs[3].added_at), every[:2]),
            (Query(queue="a", offset=1), [jobs[2], await store.get(jobs[0].id)]),
            (Query(states=[State.QUEUED], offset=1), every[1:]),
            (Query(states=[State.QUEUED], group="g", offset=1, limit=1), every[1:2]),
            (Query(states=bad, offset=1), [await store.get(jobs[0].id)]),
            (Query(states=bad[:1], offset=1), [await store.get(jobs[0].id)]),
        ):  # fmt: skip  # a table
            assert expected == await store.find(query), query

    async def test_jobs_are_found_by_what_they_are(self, store: Store) -> None:
        """By state, queue, task, key and text, and by all of it at once."""
        one = job(queue="a", task="t1", key="k", group="g", payload='{"to":"ann%"}')
        two = job(queue="b", task="t2", payload='{"to":"bob"}')
        await store.add([one, two])
        [running] = await store.claim(a_claim(tasks=["t2"]))
        await store.save([failed := running.failed("Traceback: boom's", NOW)])

        for query in (
            Query(queue="a"), Query(task="t1"), Query(key="k"), Query(text="nn%"),
            Query(group="g"),
            Query(states=[State.QUEUED]), Query(states=[State.QUEUED], queue="a", text="ann"),
        ):  # fmt: skip  # a table
            assert [one] == await store.find(query), query
        assert [failed] == await store.find(Query(text="boom's"))
        assert [] == await store.find(Query(text="nobody"))
        assert [] == await store.find(Query(queue="a", task="t2"))

    async def test_jobs_are_found_by_when_they_were_added(self, store: Store) -> None:
        """From an instant on, and until before another one, as the ids tell; of each state."""
        instants = [NOW + n * STEP for n in range(6)]
        jobs = [job(id=id_at(at), added_at=at, group="g") for at in instants]
        await store.add(jobs)
        await store.save([each.cancelled(LATER) for each in jobs[::2]])
        some: dict[str, Any] = {"since": instants[1], "until": instants[5]}

        for query, expected in (
            (Query(since=instants[4]), [5, 4]), (Query(until=instants[1]), [0]),
            (Query(**some), [4, 3, 2, 1]), (Query(**some, limit=1), [4]),
            (Query(**some, before=jobs[3].id), [2, 1]), (Query(**some, group="g"), [4, 3, 2, 1]),
            (Query(**some, states=[State.QUEUED]), [3, 1]),
            (Query(**some, states=[State.CANCELLED]), [4, 2]),
            (Query(**some, states=[State.CANCELLED, State.FAILED]), [4, 2]),
            (Query(since=instants[5], until=instants[5]), []),
        ):  # fmt: skip  # a table
            assert [jobs[n].id for n in expected] == ids(await store.find(query)), query

    async def test_jobs_are_counted_by_queue_and_state(self, store: Store) -> None:
        """Whatever is stored."""
        first = job()
        await store.add([first, job(), job(queue="q")])
        await store.save([first.cancelled(NOW)])

        expected = {
            ("default", State.CANCELLED): 1,
            ("default", State.QUEUED): 1,
            ("q", State.QUEUED): 1,
        }
        assert expected == dict(await store.count())

    async def test_old_jobs_are_forgotten_bit_by_bit(self, store: Store) -> None:
        """Only those that have ended, and long ago."""
        jobs = [job() for _ in range(5)]
        await store.add(jobs)
        await store.save([each.cancelled(NOW) for each in jobs[:3]])
        await store.save([jobs[3].cancelled(LATER)])

        assert [2, 1, 0] == [await store.prune(LATER, 2) for _ in range(3)]
        assert set(ids(jobs[3:])) == set(ids(await store.find(Query())))

    async def test_a_backlog_is_counted_as_far_as_asked(self, store: Store) -> None:
        """The unfinished jobs of one queue, running ones among them."""
        await store.add([job(queue="a") for _ in range(5)] + [job(queue="b")])
        claimed = await store.claim(a_claim(queues=["a"], limit=2))
        await store.save([claimed[0].done(None, NOW)])

        assert [4, 3, 1, 0] == [
            await store.backlog(*each) for each in (("a", 9), ("a", 3), ("b", 9), ("c", 9))
        ]

    async def test_how_long_a_queue_has_been_waiting_is_known(self, store: Store) -> None:
        """By the job that was free first, whatever its task and priority, paused or not."""
        soon = NOW + (LATER - NOW) / 2
        await store.add([job(queue="a", due_at=soon, priority=1), job(queue="a", task="u")])
        await store.add([job(queue="b", due_at=soon), job(queue="c", due_at=LATER)])
        await store.put_orders([Order(kind="queue", name="a", since=NOW)])

        assert {"a": NOW, "b": soon} == await store.waiting_since(soon)
        assert {"a": NOW} == await store.waiting_since(NOW)
        await store.remove_orders([("queue", "a")])
        claimed = await store.claim(a_claim(tasks=["t", "u"], now=soon))
        assert 3 == len(claimed)
        assert {} == await store.waiting_since(soon)

    async def test_the_places_of_due_jobs_are_known(self, store: Store) -> None:
        """Without those that are paused."""
        await store.add([job(queue="a"), job(queue="b", task="u"), job(queue="c", due_at=LATER)])

        assert {("a", "t"), ("b", "u")} == await store.places(NOW)
        assert {("a", "t"), ("b", "u"), ("c", "t")} == await store.places(LATER)
        await store.put_orders([Order(kind="queue", name="a", since=NOW)])
        assert {("b", "u")} == await store.places(NOW)

"""What a store must do when jobs are added."""

from __future__ import annotations

import asyncio

import pytest

from errands import Attempt, Outcome, Progress, Query, State, Store
from errands.errors import JobExists

from ._rows import LATER, LEASE, NOW, a_claim, ids, job


class Adding:
    """A job is kept once, as it was added."""

    async def test_a_job_is_kept_as_it_was_added(self, store: Store) -> None:
        """Every field comes back, with its type."""
        full = job(
            payload='{"text":"\\u00fc \\"quoted\\" \\n \x7f"}', queue="mail", priority=-3,
            key="k/ü", state=State.RUNNING, attempt=2, worker="w", started_at=NOW,
            free_at=LATER, progress=Progress(0.5, 3, "half ☃ 😀"), version=7,
            group="g/ü", waits_for=("a", "b"), runs_anyway=True, concurrency_key="c", rate_key="r",
            blocked_by="c", is_cancelling=True,
            history=(Attempt(1, "v", NOW, LATER, Outcome.LOST, "why\n'so'"),),
        )  # fmt: skip  # every field

        assert [full] == await store.add([full])
        assert full == await store.get(full.id)

    async def test_many_jobs_are_kept_at_once(self, store: Store) -> None:
        """A batch is added whole, in any size."""
        jobs = [job() for _ in range(500)]

        assert ids(jobs) == ids(await store.add(jobs))
        assert 500 == len(await store.find(Query(limit=1000)))

    async def test_nothing_is_added_for_nothing(self, store: Store) -> None:
        """An empty batch is no error."""
        assert [] == await store.add([])
        assert set() == await store.save([])

    async def test_a_big_payload_comes_back(self, store: Store) -> None:
        """A megabyte of arguments is kept."""
        big = job(payload='"' + "x" * 2**20 + '"')
        await store.add([big])

        assert big == await store.get(big.id)

    async def test_an_id_is_kept_once(self, store: Store) -> None:
        """An addition whose answer was lost may be repeated, also after the job moved on."""
        first = job()
        await store.add([first])
        await store.add([first])
        [claimed] = await store.claim(a_claim())

        assert [claimed] == await store.add([first])
        assert [claimed] == await store.find(Query())

    async def test_a_key_is_kept_once_while_unfinished(self, store: Store) -> None:
        """The second gets the first for an answer, until that has ended."""
        first, second = job(key="k"), job(key="k")
        await store.add([first])

        assert [first] == await store.add([second])
        assert {first.id} == await store.save([first.cancelled(NOW)])
        assert [second] == await store.add([second])

    async def test_a_key_is_kept_once_within_a_batch(self, store: Store) -> None:
        """Two of the same key in one call are the same job."""
        first, second, other = job(key="k"), job(key="k"), job()

        assert ids([first, first, other]) == ids(await store.add([first, second, other]))

    async def test_a_job_that_has_ended_is_kept_as_it_was(self, store: Store) -> None:
        """With its key, which another has by now, and whatever came of it."""
        queued = job(key="k")
        ended = [
            job(key="k").claimed("w", NOW, LEASE).done('{"n":2}', LATER),
            job(key="k").claimed("w", NOW, LEASE).failed("Traceback: boom's", LATER),
            job(key="k").cancelled(NOW),
        ]

        assert [queued] == await store.add([queued])
        assert ended == await store.add(ended)
        assert ended == [await store.get(each.id) for each in ended]
        assert [queued] == await store.add([job(key="k")])
        assert dict.fromkeys((("default", each.state) for each in (queued, *ended)), 1) == dict(
            await store.count()
        )

    async def test_of_many_who_add_a_key_at_once_one_wins(self, store: Store) -> None:
        """Everybody is answered with the same job."""
        answers = await asyncio.gather(*(store.add([job(key="k")]) for _ in range(20)))

        assert 1 == len({answer[0].id for answer in answers})
        assert 1 == len(await store.find(Query()))

    async def test_a_conflict_may_be_refused(self, store: Store) -> None:
        """With `raise`, all or nothing is kept."""
        first, second, other = job(key="k"), job(key="k"), job()
        await store.add([first])

        with pytest.raises(JobExists) as refusal:
            await store.add([other, second], "raise")
        assert first == refusal.value.job
        assert None is await store.get(other.id)

    async def test_a_conflict_within_a_batch_may_be_refused(self, store: Store) -> None:
        """Two of the same key in one call are a conflict, too."""
        first, second, other = job(key="k"), job(key="k"), job()

        with pytest.raises(JobExists):
            await store.add([other, first, second], "raise")
        assert [] == await store.find(Query())

    async def test_a_queued_job_may_be_replaced(self, store: Store) -> None:
        """It keeps its id and gets the arguments, the time and the place of the new one."""
        first = job(key="k")
        second = job(key="k", payload='{"n":2}', due_at=LATER, queue="q", priority=4)
        await store.add([first])
        [kept] = await store.add([second], "replace")

        assert first.replaced(second) == kept == await store.get(first.id)
        assert None is await store.get(second.id)
        assert set() == await store.save([first.cancelled(NOW)])
        assert [] == await store.claim(a_claim())

    async def test_beside_a_running_job_its_replacement_is_kept(self, store: Store) -> None:
        """The running one gives up its key, goes on, and can be saved."""
        first, second, third = job(key="k"), job(key="k"), job(key="k")
        await store.add([first])
        [running] = await store.claim(a_claim())

        assert [second] == await store.add([second], "replace")
        assert {first.id} == await store.save([running.done("1", NOW)])
        assert ids([second]) == ids(await store.add([third]))

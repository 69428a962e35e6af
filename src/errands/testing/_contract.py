"""What a store must do, as tests: subclass `StoreContract` and give it a `store` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from errands import (
    Attempt,
    Claim,
    Heartbeat,
    Job,
    Outcome,
    Progress,
    Query,
    Schedule,
    State,
    Store,
    every,
    new_id,
)
from errands.errors import JobExists

NOW = datetime(2026, 1, 1, 12, 34, 56, 123000, tzinfo=UTC)
LEASE = timedelta(seconds=60)
LATER = NOW + LEASE


def job(**fields: Any) -> Job:
    """A job that is due now, but for what `fields` say."""
    due_at = fields.get("due_at", NOW)
    common: dict[str, Any] = {
        "id": new_id(NOW), "task": "t", "payload": '{"n":1}', "added_at": NOW,
        "due_at": due_at, "free_at": due_at,
    }  # fmt: skip  # a row
    return Job(**common | fields)


def a_claim(**fields: Any) -> Claim:
    """A claim of up to ten jobs of any queue, but for what `fields` say."""
    common: dict[str, Any] = {
        "worker": "w", "queues": None, "tasks": ["t"], "limit": 10, "now": NOW, "lease": LEASE,
    }  # fmt: skip  # as above
    return Claim(**common | fields)


def a_beat(worker: str = "w", **fields: Any) -> Heartbeat:
    """A heartbeat of a worker that has just started, but for what `fields` say."""
    common: dict[str, Any] = {
        "worker": worker, "host": "h", "pid": 7, "queues": None, "slots": 5, "running": 0,
        "version": "1.2", "started_at": NOW, "seen_at": NOW,
    }  # fmt: skip  # as above
    return Heartbeat(**common | fields)


def a_schedule(name: str = "s", **fields: Any) -> Schedule:
    """A schedule that is new, but for what `fields` say."""
    common: dict[str, Any] = {
        "name": name, "task": "t", "spec": every(minutes=5).text, "payload": "{}",
        "next_tick": LATER, "known_at": NOW,
    }  # fmt: skip  # as above
    return Schedule(**common | fields)


def ids(jobs: Sequence[Job]) -> list[str]:
    """The ids of jobs, in their order."""
    return [job.id for job in jobs]


class StoreContract:
    """Run by every store, ours or a stranger's.

    A subclass provides one fixture, `store`: an empty, open store. Two or more handles on
    the same jobs are tested by the store's own tests.
    """

    pytestmark = pytest.mark.anyio

    # Adding

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

    # Claiming

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

    # Saving

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

    # Looking

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

    async def test_now_is_utc_in_whole_milliseconds(self, store: Store) -> None:
        """And about what the rest of the world calls now."""
        now = await store.now()

        assert (timedelta(0), 0) == (now.utcoffset(), now.microsecond % 1000)
        assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)

    # Living

    async def test_news_is_rung(self, store: Store) -> None:
        """For what waits for a worker: added, or queued again; until one listens no more."""
        rings: list[int] = []
        stop = store.listen(lambda: rings.append(1))
        await store.add([job()])
        after_add = len(rings)
        [running] = await store.claim(a_claim())
        await store.save([again := running.failed("no", NOW, 1)])
        after_save = len(rings)
        stop()
        await store.save([again.cancelled(NOW)])
        await store.add([job()])

        assert 0 < after_add < after_save == len(rings)

    async def test_a_store_may_be_opened_again(self, store: Store) -> None:
        """And has what it had."""
        first = job()
        await store.add([first])
        await store.__aexit__(None, None, None)
        await store.__aenter__()

        assert first == await store.get(first.id)

    async def test_nobody_alive_is_rescued(self, store: Store) -> None:
        """A worker that is enlisted keeps its jobs."""
        await store.enlist("w")
        await store.add([job()])
        [running] = await store.claim(a_claim())

        assert 0 == await store.rescue(NOW)
        assert running == await store.get(running.id)

    # Workers

    async def test_a_worker_is_as_it_told_last(self, store: Store) -> None:
        """Every field comes back, and each beat takes the place of the one before."""
        first = a_beat(queues=("mail", 'ü "q"'), running=3, seen_at=LATER)
        second = a_beat("v", queues=())
        assert [] == await store.workers()
        await store.beat(a_beat())
        await store.beat(first)
        await store.beat(second)

        assert [first, second] == await store.workers()
        await store.beat(first.gone(LATER))
        assert [first.gone(LATER), second] == await store.workers()

    async def test_the_newest_worker_comes_first(self, store: Store) -> None:
        """Of those that started together, the last by name."""
        old, new, twin = a_beat("z"), a_beat("a", started_at=LATER), a_beat("b", started_at=LATER)
        for beat in (old, new, twin):
            await store.beat(beat)

        assert [twin, new, old] == await store.workers()

    async def test_workers_that_went_long_ago_are_forgotten(self, store: Store) -> None:
        """Also those that only fell silent; not one that was seen since."""
        went, silent = a_beat("went", seen_at=LATER).gone(NOW), a_beat("silent")
        just_went, alive = a_beat("just").gone(LATER), a_beat("alive", seen_at=LATER)
        for beat in (went, silent, just_went, alive):
            await store.beat(beat)

        assert 2 == await store.prune_workers(LATER)
        assert [just_went, alive] == await store.workers()
        assert 0 == await store.prune_workers(LATER)

    async def test_a_worker_that_lives_is_not_taken_for_gone(self, store: Store) -> None:
        """A rescue leaves it alone."""
        await store.enlist("w")
        await store.beat(a_beat())
        await store.rescue(LATER)

        assert [a_beat()] == await store.workers()

    # Schedules

    async def test_a_schedule_is_kept_as_it_was_put(self, store: Store) -> None:
        """Every field comes back, also those that are empty."""
        full = a_schedule(
            'ü "q"', payload='{"text":"\\u00fc"}', declared='["x"]', is_paused=True,
            is_removed=True, last_tick=NOW, next_tick=LATER, known_by="w",
        )  # fmt: skip  # every field
        empty = a_schedule("a", next_tick=None)
        assert [] == await store.schedules()

        assert {full.name, "a"} == await store.put_schedules([full, empty])
        assert [empty, full] == await store.schedules()

    async def test_each_version_of_a_schedule_is_put_once(self, store: Store) -> None:
        """Of two who change it at once, one is told that it was refused."""
        first = a_schedule()
        assert {"s"} == await store.put_schedules([first])
        assert set() == await store.put_schedules([a_schedule(task="other")])

        paused, known = first.paused(), first.known("w", LATER)
        assert {"s"} == await store.put_schedules([paused])
        assert set() == await store.put_schedules([known])
        assert set() == await store.put_schedules([a_schedule("nobody").paused()])
        assert [paused] == await store.schedules()

    async def test_schedules_that_change_at_once_do_not_mix(self, store: Store) -> None:
        """One of them is stored, whole, and its caller is the one who is told so."""
        first = a_schedule()
        await store.put_schedules([first])
        rivals = [replace(first, version=2, known_by=f"w{n}") for n in range(10)]
        answers = await asyncio.gather(*(store.put_schedules([rival]) for rival in rivals))

        written = [r for r, answer in zip(rivals, answers, strict=True) if answer]
        assert written == await store.schedules()

    async def test_a_put_may_be_repeated(self, store: Store) -> None:
        """What is stored already counts as written: the answer may have been lost."""
        first, second = a_schedule("a"), a_schedule("b")
        await store.put_schedules([first])

        assert {"a", "b"} == await store.put_schedules([first, second])
        assert set() == await store.put_schedules([])

    async def test_a_schedule_that_is_removed_can_be_put_anew(self, store: Store) -> None:
        """And a stranger may be removed, too."""
        schedules = [a_schedule("a"), a_schedule("b"), a_schedule("c")]
        await store.put_schedules(schedules)
        await store.remove_schedules(["a", "c", "nobody"])

        assert schedules[1:2] == await store.schedules()
        assert {"a"} == await store.put_schedules([a_schedule("a")])

    async def test_a_store_has_one_secret_for_all(self, store: Store) -> None:
        """Whoever asks, and whoever asks first; it is random, and outlives the opening."""
        first, *others = await asyncio.gather(*(store.secret() for _ in range(5)))
        await store.__aexit__(None, None, None)
        await store.__aenter__()

        assert [first] * 5 == [*others, await store.secret()]
        assert (32, True) == (len(first), len(set(first)) > 8)

    async def test_many_schedules_are_put_at_once(self, store: Store) -> None:
        """In any number."""
        schedules = [a_schedule(f"{n:04}") for n in range(1000)]

        assert 1000 == len(await store.put_schedules(schedules))
        assert 1000 == len(await store.put_schedules([each.known("w", NOW) for each in schedules]))
        assert {2} == {each.version for each in await store.schedules()}

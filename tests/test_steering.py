"""What operators do while jobs run: cancel, retry, delete, pause, resume, change slots."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from patience import eventually

from errands import (
    Claim,
    Errands,
    Job,
    Outcome,
    Query,
    Retry,
    State,
    _run,
    current_job,
    progress,
    track,
)
from errands._options import Options
from errands.errors import JobCancelled, JobExists, JobFailed, UnknownWorker
from errands.testing import drain

LONG = 10  # seconds, an upper bound that is never reached


async def state_of(errands: Errands, job: Job) -> State:
    there = await errands.job(job.id)
    assert there is not None
    return there.state


async def states(errands: Errands, jobs: list[Job]) -> list[State]:
    return [await state_of(errands, job) for job in jobs]


async def until(holds: Callable[[], bool]) -> None:
    await eventually(True, holds)


async def cancelled(errands: Errands, job: Job) -> Job:
    """The job, once it is."""
    with pytest.raises(JobCancelled) as error:
        await errands.result(job, timeout=LONG)
    return error.value.job


# Cancel


async def test_a_queued_job_is_cancelled_at_once(errands: Errands) -> None:
    """It never runs, and those who wait for it are told."""
    ran = []

    @errands.task
    async def work() -> None:
        ran.append(1)

    async with errands:
        job = await errands.options(after=0.05).add_task(work)
        waiting = asyncio.create_task(errands.result(job, timeout=LONG))
        await asyncio.sleep(0)
        after = await errands.cancel(job)
        with pytest.raises(JobCancelled):
            await waiting
        async with errands.working():
            await drain(errands)

    assert (State.CANCELLED, job.version + 1) == (after.state, after.version)
    assert [] == ran


async def test_a_job_is_cancelled_that_has_not_come_to_its_first_step(errands: Errands) -> None:
    """It ends, and its slot is free again, although asyncio has not begun its task."""

    @errands.task
    async def work() -> None:
        await asyncio.Event().wait()

    async with errands.working():
        engine = errands._engine
        worker = engine._worker
        assert worker is not None
        job = engine.make(Options(), work, (), {})
        [stored] = await engine.store.add([worker.claimed(job)])
        worker._runs.occupy()
        worker.start(stored)
        worker._runs.cancel({stored.id})
        async with asyncio.timeout(LONG):
            await drain(errands)

        assert State.CANCELLED is await state_of(errands, job)
        await eventually(worker._runs.slots, lambda: worker._runs.free)  # a claim takes some


async def test_a_job_that_fails_before_it_hears_of_it_is_cancelled(errands: Errands) -> None:
    """It does not wait for its next attempt, to be cancelled only then."""

    @errands.task(retry=Retry(attempts=5, wait=3600))
    async def work() -> None:
        await errands._engine.store.request_cancel([current_job().id])
        raise ValueError

    async with errands.working():
        job = await errands.add_task(work)
        there = await cancelled(errands, job)

    assert Outcome.FAILED is there.history[0].outcome


async def test_a_coroutine_is_cancelled_and_may_clean_up(errands: Errands) -> None:
    """Within a second; it counts as cancelled once it has stopped, with its attempt."""
    cleaned = asyncio.Event()

    @errands.task(retry=Retry(attempts=5))
    async def work() -> None:
        progress(0)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()

    async with errands.working():
        job = await errands.add_task(work)
        await eventually(State.RUNNING, lambda: state_of(errands, job))
        asked = await errands.cancel(job.id)
        assert (State.RUNNING, True) == (asked.state, asked.is_cancelling)
        async with asyncio.timeout(1):
            after = await cancelled(errands, job)

    assert cleaned.is_set()
    assert [Outcome.CANCELLED] == [attempt.outcome for attempt in after.history]


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
async def test_a_job_is_cancelled_from_another_process(url: str) -> None:
    """Here by another handle on the store: who runs it hears of it within a second."""
    here, there = Errands(url), Errands(url)
    started = asyncio.Event()

    @here.task(name="work")
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    async with here.working(), there:
        job = await here.add_task(work)
        await started.wait()
        await there.cancel(job)
        async with asyncio.timeout(1.5):
            await cancelled(there, job)


async def test_a_thread_stops_at_its_next_sign(errands: Errands) -> None:
    """`track` ends its loop by itself."""
    steps, gate = [], threading.Event()

    @errands.task
    def work() -> None:
        for step in track(range(1000)):
            steps.append(step)
            gate.wait(0.01)

    async with errands.working():
        job = await errands.add_task(work)
        await until(lambda: len(steps) > 2)
        await errands.cancel(job)
        await cancelled(errands, job)
        number = len(steps)
        gate.set()
        await asyncio.sleep(0.05)

    assert number == len(steps) < 1000


async def test_a_thread_is_cancelled_once_it_has_stopped(errands: Errands) -> None:
    """Not before: asked for again, it would run twice at once."""
    started, asked, gate = threading.Event(), threading.Event(), threading.Event()

    @errands.task
    def work() -> None:
        started.set()
        while not current_job().is_cancelled:
            gate.wait(0.001)
        asked.set()
        gate.wait(LONG)  # it cleans up
        progress(1)

    async with errands.working():
        job = await errands.add_task(work)
        assert await asyncio.to_thread(started.wait, LONG)
        await errands.cancel(job)
        assert await asyncio.to_thread(asked.wait, LONG)
        assert State.RUNNING is await state_of(errands, job)
        gate.set()
        await cancelled(errands, job)


async def test_a_thread_that_does_not_stop_is_waited_for_no_longer(
    errands: Errands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job is cancelled, and its slot is free."""
    monkeypatch.setattr(_run, "GRACE", 0.05)
    started, gate = threading.Event(), threading.Event()

    @errands.task
    def work() -> None:
        started.set()
        gate.wait(LONG)

    async with errands.working():
        job = await errands.add_task(work)
        assert await asyncio.to_thread(started.wait, LONG)
        await errands.cancel(job)
        await cancelled(errands, job)
        gate.set()


async def test_what_has_ended_before_it_heard_has_ended_as_it_says(errands: Errands) -> None:
    """A cancellation that comes too late, or is swallowed, changes no result."""
    started = asyncio.Event()

    @errands.task
    async def stubborn() -> int:
        with suppress(asyncio.CancelledError):
            started.set()
            await asyncio.Event().wait()
        return 7

    async with errands.working():
        job = await errands.add_task(stubborn)
        await started.wait()
        await errands.cancel(job)
        assert 7 == await errands.result(job, timeout=LONG)
        assert State.DONE is (await errands.cancel(job)).state
        with pytest.raises(LookupError, match="no job 'nobody'"):
            await errands.cancel("nobody")


async def test_a_job_whose_worker_died_before_it_stopped_does_not_run_again(
    errands: Errands,
) -> None:
    """Whoever takes it over ends it."""
    ran = []

    @errands.task
    async def work() -> None:
        ran.append(1)

    async with errands:
        job = await errands.add_task(work)
        store = errands._engine.store
        dead = job.claimed("dead", errands.now(), timedelta(0))
        assert {job.id} == await store.save([dead])
        await errands.cancel(job)
        async with errands.working():
            await drain(errands)
        after = await cancelled(errands, job)

    assert [] == ran
    assert [Outcome.LOST, Outcome.CANCELLED] == [each.outcome for each in after.history]


async def test_a_service_is_cancelled_until_it_is_restarted(errands: Errands) -> None:
    """It is a job like any other."""
    starts = []

    @errands.service(name="watch")
    async def watch() -> None:
        starts.append(1)
        progress(0, text="ready")
        await asyncio.Event().wait()

    async with errands.working():
        await errands.started("watch", timeout=LONG)
        [job] = await errands.jobs(key="service:watch")
        await errands.cancel(job)
        await cancelled(errands, job)
        await errands.restart("watch")
        await until(lambda: len(starts) == 2)


def test_an_instant_of_no_zone_is_refused() -> None:
    """Nobody could say which one it is."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # that is it

    with pytest.raises(ValueError, match=r"Query\(since=.*name a zone"):
        Query(since=naive)
    with pytest.raises(ValueError, match=r"Query\(until=.*name a zone"):
        Query(until=naive)


async def test_all_that_match_are_cancelled(errands: Errands) -> None:
    """However many pages there are; the others stay."""

    @errands.task
    async def work(number: int) -> None: ...

    async with errands:
        adding, before = errands.options(group="import"), errands.now()
        jobs = await adding.add_tasks((work, n) for n in range(1200))
        other = await errands.add_task(work, 0)

        assert 0 == await errands.cancel(Query(group="import", until=before))
        assert 1200 == await errands.cancel(Query(group="import", limit=1, since=before))
        assert 0 == await errands.cancel(Query(group="import"))
        assert {State.CANCELLED} == set(await states(errands, jobs[::100]))
        assert State.QUEUED is await state_of(errands, other)


# Retry and delete


async def test_a_failed_job_is_retried(errands: Errands) -> None:
    """At once, with all its attempts and its history."""
    fails = [True]

    @errands.task(retry=Retry(attempts=2, wait=0))
    async def work() -> int:
        if fails[0]:
            raise ValueError("no")
        return 7

    async with errands.working():
        job = await errands.add_task(work)
        with pytest.raises(JobFailed):
            await errands.result(job, timeout=LONG)
        fails[0] = False
        again = await errands.retry(job)
        assert 7 == await errands.result(job, timeout=LONG)
        after = await errands.job(job.id)

    assert again.state is not State.FAILED
    assert after is not None
    assert [1, 2, 1] == [each.number for each in after.history]


async def test_a_job_that_waits_for_its_next_attempt_is_due_now(errands: Errands) -> None:
    """Without its wait."""
    starts = []

    @errands.task(retry=Retry(attempts=3, wait=3600))
    async def work() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise ValueError("no")

    async with errands.working():
        job = await errands.add_task(work)
        await until(lambda: len(starts) == 1)
        await eventually(State.QUEUED, lambda: state_of(errands, job))
        await errands.retry(job)
        await errands.result(job, timeout=LONG)


@pytest.mark.parametrize("is_blocked", [False, True])
async def test_a_retry_takes_back_what_was_asked_before(errands: Errands, is_blocked: bool) -> None:
    """Of a job that went back to its queue before it heard that it is to be cancelled."""

    @errands.task(name="work")
    async def work() -> int:
        return 7

    async with errands:
        job = await errands.add_task(work)
        store = errands._engine.store
        now = errands.now()
        claim = Claim(
            worker="gone",
            queues=None,
            tasks=["work"],
            limit=1,
            now=now,
            lease=timedelta(seconds=60),
        )
        [running] = await store.claim(claim)
        await errands.cancel(job)
        back = running.released(now)
        await store.save([back.blocked("limit:work") if is_blocked else back])
        asked = await errands.job(job.id)
        assert asked is not None
        assert asked.is_cancelling

        again = await errands.retry(job)
        assert (State.QUEUED, False) == (again.state, again.is_cancelling)
        async with errands.working():
            assert 7 == await errands.result(job, timeout=LONG)


async def test_all_that_failed_are_retried(errands: Errands) -> None:
    """And what was cancelled; what is done only if it is asked for."""

    @errands.task
    async def work(number: int) -> None:
        if number == 0:
            raise ValueError("no")

    async with errands:
        jobs = await errands.add_tasks((work, n) for n in (0, 1, 2))
        await errands.cancel(jobs[2])
        async with errands.working():
            await drain(errands)
        assert [State.FAILED, State.DONE, State.CANCELLED] == await states(errands, jobs)

        assert 2 == await errands.retry(Query())
        assert [State.QUEUED, State.DONE, State.QUEUED] == await states(errands, jobs)
        assert 1 == await errands.retry(Query(states=[State.DONE]))


async def test_a_job_whose_key_is_taken_is_not_retried(errands: Errands) -> None:
    """The error names who has it."""

    @errands.task
    async def work() -> None: ...

    async with errands:
        first = await errands.options(key="k").add_task(work)
        await errands.cancel(first)
        second = await errands.options(key="k").add_task(work)

        with pytest.raises(JobExists) as refusal:
            await errands.retry(first)
        assert second.id == refusal.value.job.id
        assert 0 == await errands.retry(Query(key="k"))
        assert [State.CANCELLED, State.QUEUED] == await states(errands, [first, second])


async def test_what_has_ended_may_be_deleted(errands: Errands) -> None:
    """One by one or all that match; what runs is refused."""
    started, gate = asyncio.Event(), asyncio.Event()

    @errands.task
    async def work(waits: bool) -> None:
        if waits:
            started.set()
            await gate.wait()

    async with errands.working():
        running = await errands.add_task(work, True)
        await started.wait()
        done = [await errands.add_task(work, False) for _ in range(3)]
        for job in done:
            await errands.result(job, timeout=LONG)
        with pytest.raises(ValueError, match="cancel it before"):
            await errands.delete(running)
        await errands.delete(done[0])
        with pytest.raises(LookupError):
            await errands.delete(done[0])

        assert None is await errands.job(done[0].id)
        assert 2 == await errands.delete(Query())
        assert [running.id] == [job.id for job in await errands.jobs()]
        gate.set()


async def test_finished_jobs_are_pruned_when_asked(errands: Errands) -> None:
    """All of them, or those that are old enough."""

    @errands.task
    async def work() -> None: ...

    async with errands:
        await errands.add_tasks([(work,)] * 3)
        async with errands.working():
            await drain(errands)
        waiting = await errands.add_task(work)

        assert 0 == await errands.prune(keep=60)
        await asyncio.sleep(0.002)
        assert 3 == await errands.prune()
        assert [waiting.id] == [job.id for job in await errands.jobs()]


# Pause, resume, slots


@pytest.mark.parametrize("what", ["queue", "task", "key"])
async def test_what_is_paused_does_not_start(errands: Errands, what: str) -> None:
    """Also where it is born; others do, and resumed it does, too."""
    ran: list[str] = []

    @errands.task(queue="slow", name="work")
    async def work() -> None:
        ran.append("work")

    @errands.task
    async def other() -> None:
        ran.append("other")

    names = {"queue": "slow", "task": "work", "key": "k"}
    async with errands.working():
        await errands.pause(**{what: names[what]})
        await eventually(1, lambda: number_of_orders(errands))
        await asyncio.sleep(0.2)  # in which a worker hears of it
        job = await errands.options(key="k").add_task(work)
        await errands.result(await errands.add_task(other), timeout=LONG)
        await asyncio.sleep(0.1)
        assert ["other"] == ran
        assert State.QUEUED is await state_of(errands, job)

        await errands.resume(**{what: names[what]})
        await errands.result(job, timeout=LONG)
    assert ["other", "work"] == ran


async def number_of_orders(errands: Errands) -> int:
    return len(await errands.orders())


async def test_a_job_that_is_added_right_after_a_pause_does_not_start(errands: Errands) -> None:
    """It would have been born claimed, by a worker that had not looked since."""

    @errands.task
    async def work() -> None: ...

    async with errands.working():
        await errands.result(await errands.add_task(work), timeout=LONG)
        for _ in range(5):
            await errands.pause("default")
            jobs = await errands.add_tasks([(work,)] * 3)
            assert [State.QUEUED] * 3 == await states(errands, jobs)
            await errands.resume("default")
            await asyncio.gather(*(errands.result(job, timeout=LONG) for job in jobs))


async def test_a_group_is_cancelled_and_asked_for_again(errands: Errands) -> None:
    """As it is, without a query."""

    @errands.task
    async def work() -> None: ...

    async with errands:
        for name in ("mine", "mine", "other"):
            await errands.options(group=name, after=3600).add_task(work)
        mine = await errands.group("mine")

        assert 2 == await errands.cancel(mine)
        assert (2, 0) == (
            (await errands.group("mine")).cancelled,
            (await errands.group("other")).ended,
        )
        assert 2 == await errands.retry(mine)
        assert 0 == (await errands.group("mine")).ended
        await errands.cancel(mine)
        assert 2 == await errands.delete(mine)
        assert 0 == (await errands.group("mine")).total


async def test_a_pause_outlasts_a_restart(url: str) -> None:
    """Jobs that are born right after the start wait, too."""
    errands = Errands(url)
    ran = []

    @errands.task
    async def work() -> None:
        ran.append(1)

    async with errands:
        await errands.pause("default")
        async with errands.working():
            await errands.add_task(work)
            await asyncio.sleep(0.1)
            assert [] == ran
            await errands.resume("default")
            await until(lambda: ran == [1])


async def test_a_worker_is_drained(errands: Errands) -> None:
    """What runs there ends; nothing more starts until it is resumed."""
    started, gate, ran = asyncio.Event(), asyncio.Event(), []

    @errands.task
    async def long() -> None:
        started.set()
        await gate.wait()

    @errands.task
    async def work() -> None:
        ran.append(1)

    async with errands.working():
        job = await errands.add_task(long)
        await started.wait()
        await eventually(1, lambda: number_of_workers(errands))
        [worker] = await errands.workers()
        await errands.pause(worker=worker.worker)
        await asyncio.sleep(0.3)
        await errands.add_task(work)
        gate.set()
        await errands.result(job, timeout=LONG)
        await asyncio.sleep(0.1)
        assert [] == ran
        await errands.resume(worker=worker.worker)
        await until(lambda: ran == [1])


async def number_of_workers(errands: Errands) -> int:
    return len(await errands.workers())


async def test_a_worker_has_as_many_slots_as_it_is_told(url: str) -> None:
    """Fewer at once, then more, then as many as it began with."""
    errands = Errands(url, slots=2)
    running, most = 0, []

    @errands.task
    async def work() -> None:
        nonlocal running
        running += 1
        most.append(running)
        await asyncio.sleep(0.002)
        running -= 1

    async with errands.working():
        await eventually(1, lambda: number_of_workers(errands))
        [worker] = await errands.workers()
        for slots, expected in ((1, 1), (7, 7), (None, 2)):
            await errands.set_slots(worker.worker, slots)
            await asyncio.sleep(0.3)
            most.clear()
            jobs = await errands.add_tasks([(work,)] * 30)
            for job in jobs:
                await errands.result(job, timeout=LONG)
            assert expected == max(most)
        with pytest.raises(ValueError, match="pause it"):
            await errands.set_slots(worker.worker, 0)


async def test_a_worker_that_nobody_is_gets_no_orders(errands: Errands) -> None:
    """A slip of the pen is told, with the names that there are; a queue may be meant ahead."""
    async with errands:
        async with errands.working():
            await eventually(1, lambda: number_of_workers(errands))
            [worker] = await errands.workers()
            for order in (
                errands.pause(worker="web-1"), errands.resume(worker="web-1"),
                errands.set_slots("web-1", 5), errands.set_slots("web-1", None),
            ):  # fmt: skip  # a list
                with pytest.raises(UnknownWorker, match=f"'web-1'.*are: '{worker.worker}'"):
                    await order
            await errands.set_slots(worker.worker, 5)
            await errands.pause("nobody's yet")
        with pytest.raises(UnknownWorker, match=r"or no longer. There are: none\."):
            await errands.pause(worker=f"{worker.worker}x")

        assert {"queue", "slots"} == {order.kind for order in await errands.orders()}
        await errands.set_slots(worker.worker, None)  # the worker has gone, and its order is there
        assert ["queue"] == [order.kind for order in await errands.orders()]


async def test_one_thing_is_paused_at_a_time(errands: Errands) -> None:
    """None and two are refused, with what to write."""
    async with errands:
        for wrong in ({}, {"queue": "a", "task": "t"}, {"queue": 7}):
            with pytest.raises(TypeError, match=r"pause\('mail'\) for a queue"):
                await errands.pause(**wrong)


@pytest.mark.parametrize("name", ["", "\0", "x" * 3000])
async def test_a_name_that_nothing_can_have_is_refused(errands: Errands, name: str) -> None:
    """And what is wrong with it is said."""
    async with errands:
        for act in (errands.pause, errands.resume):
            with pytest.raises(ValueError, match=r"queue=.*: expected 1 to 2,000 bytes of text"):
                await act(name)

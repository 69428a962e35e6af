"""The worker: claims, retries, leases, its death and its end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from patience import eventually, soon

from errands import (
    Attempt,
    Claim,
    Errands,
    Job,
    Outcome,
    Query,
    Retry,
    State,
    Store,
    current_job,
    progress,
)
from errands.errors import JobFailed, RunStopped, StoreUnavailable
from errands.stores import store_at
from errands.stores.memory import MemoryStore
from errands.testing import JumpingClock, drain

LONG = 10  # seconds, an upper bound that is never reached
LEASE = timedelta(seconds=15)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def stored(errands: Errands) -> Store:
    """The store beneath, to do what another worker would."""
    return errands._engine.store


async def there(errands: Errands, job: Job) -> Job:
    """The job as it is stored."""
    found = await errands.job(job.id)
    assert found is not None
    return found


async def idle(errands: Errands) -> None:
    """Wait until the worker has nothing to do and waits for news."""
    await drain(errands)
    await eventually(True, lambda: errands._engine._worker and errands._engine._worker._is_idle)


async def state(errands: Errands, job: Job) -> State:
    return (await there(errands, job)).state


async def taken_over(errands: Errands, job: Job, clock: JumpingClock) -> Job:
    """The running job, claimed by another worker as if ours had been silent for too long."""
    running = await there(errands, job)
    theirs = running.claimed("other", clock.now(), LEASE)
    assert {job.id} == await stored(errands).save([theirs])
    return theirs


# Retries


async def test_a_failed_job_is_tried_again_after_its_wait(url: str, clock: JumpingClock) -> None:
    """As often as its task says; each attempt is in the history."""
    errands = Errands(url, clock=clock)
    runs: list[int] = []

    @errands.task(retry=Retry(attempts=3, wait=10))
    async def work() -> None:
        runs.append(current_job().attempt)
        raise ValueError(f"try {len(runs)}")

    async with errands.working():
        job = await errands.add_task(work)
        await idle(errands)
        waiting = await there(errands, job)
        assert (State.QUEUED, 1, [1]) == (waiting.state, waiting.attempt, runs)
        assert timedelta(0) <= waiting.free_at - clock.now() <= timedelta(seconds=10)
        clock.jump(10.1)
        await eventually(2, lambda: len(runs))
        await idle(errands)
        clock.jump(20.1)
        with pytest.raises(JobFailed, match="ValueError: try 3") as failure:
            await errands.result(job, timeout=LONG)

    assert [1, 2, 3] == runs
    history = failure.value.job.history
    assert [1, 2, 3] == [attempt.number for attempt in history]
    assert {Outcome.FAILED} == {attempt.outcome for attempt in history}
    assert [f"ValueError: try {n}" for n in (1, 2, 3)] == [
        (attempt.error or "").splitlines()[-1] for attempt in history
    ]


async def test_only_the_named_errors_are_tried_again(errands: Errands) -> None:
    """Another one is the end."""
    runs: list[str] = []

    @errands.task(retry=Retry(attempts=5, wait=0, on=(ConnectionError,)))
    def work() -> None:
        runs.append("run")
        raise ConnectionResetError if len(runs) < 3 else KeyError("gone")

    async with errands.working():
        with pytest.raises(JobFailed, match="KeyError: 'gone'"):
            await errands.result(await errands.add_task(work), timeout=LONG)
    assert 3 == len(runs)


async def test_a_job_remembers_its_last_twenty_attempts(errands: Errands) -> None:
    """However many there were."""

    @errands.task(retry=Retry(attempts=25, wait=0))
    async def work() -> None:
        raise ValueError

    async with errands.working():
        with pytest.raises(JobFailed) as failure:
            await errands.result(await errands.add_task(work), timeout=LONG)
    assert list(range(6, 26)) == [attempt.number for attempt in failure.value.job.history]


async def test_a_job_that_waits_for_its_retry_takes_no_slot(url: str, clock: JumpingClock) -> None:
    """Others run meanwhile."""
    errands = Errands(url, clock=clock, slots=1)

    @errands.task(retry=Retry(attempts=2, wait=1000))
    async def fail() -> None:
        raise ValueError

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        await errands.add_task(fail)
        assert 1 == await errands.result(await errands.add_task(work), timeout=LONG)


# Which job comes first


async def test_the_higher_priority_runs_sooner(url: str) -> None:
    """And of one priority the older."""
    errands = Errands(url, slots=1)
    ran: list[str] = []

    @errands.task
    async def work(name: str) -> None:
        ran.append(name)

    async with errands:
        for name, priority in (("low", -1), ("a", 0), ("high", 5), ("b", 0), ("top", 9)):
            await errands.options(priority=priority).add_task(work, name)
            await asyncio.sleep(0.002)  # the store keeps whole milliseconds
        async with errands.working():
            await drain(errands)
    assert ["top", "high", "a", "b", "low"] == ran


async def test_a_job_that_is_added_does_not_overtake_those_that_wait(url: str) -> None:
    """Where no slot is free, all of them queue."""
    errands = Errands(url, slots=1)
    started, gate = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    @errands.task
    async def hold() -> None:
        started.set()
        await gate.wait()

    @errands.task
    async def work(name: str) -> None:
        ran.append(name)

    async with errands.working():
        await errands.add_task(hold)
        await soon(started.wait())
        await errands.add_task(work, "plain")
        await errands.options(priority=1).add_task(work, "urgent")
        gate.set()
        await drain(errands)
    assert ["urgent", "plain"] == ran


async def test_a_worker_takes_its_queues_and_no_others(url: str) -> None:
    """What it adds for another queue waits there for another worker."""
    errands = Errands(url, queues=["mail", "post"])

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        other = await errands.add_task(work)
        for queue in ("mail", "post"):
            mine = await errands.options(queue=queue).add_task(work)
            assert 1 == await errands.result(mine, timeout=LONG)
        await idle_of(errands)
        assert State.QUEUED is await state(errands, other)


async def test_no_more_jobs_run_than_there_are_slots(url: str) -> None:
    """And no fewer, if there are enough."""
    errands = Errands(url, slots=3)
    running, most, gate = [0], [0], asyncio.Event()

    @errands.task
    async def work() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await gate.wait()
        running[0] -= 1

    async with errands.working():
        await errands.add_tasks([(work,)] * 5)
        for _ in range(5):
            await errands.add_task(work)
        await eventually(3, lambda: running[0])
        gate.set()
        await drain(errands)
    assert (3, 0) == (most[0], running[0])


async def test_a_job_starts_at_once_when_a_worker_is_idle(url: str, clock: JumpingClock) -> None:
    """Born claimed: it is stored as running, and no clock needs to move."""
    errands = Errands(url, clock=clock)

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        await idle(errands)
        job = await errands.add_task(work)
        assert (State.RUNNING, 1) == (job.state, job.attempt)
        assert 1 == await errands.result(job, timeout=LONG)


class Remote(MemoryStore):
    """A store that answers after a while, and one claim after another, as one far away does."""

    claims_at_once = 2

    def __init__(self) -> None:
        super().__init__()
        self.claims = 0  # under way
        self._wire = asyncio.Lock()

    async def claim(self, claim: Claim) -> list[Job]:
        self.claims += 1
        async with self._wire:
            await turns()
            self.claims -= 1
            return await super().claim(claim)

    async def save(self, jobs: Sequence[Job]) -> set[str]:
        await turns(20)
        return await super().save(jobs)


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def claims_under_way(store: Remote) -> set[int]:
    """How many there are while jobs run, but for the first and the last of them."""
    errands = Errands(store, slots=4)
    claims = list[int]()

    @errands.task
    async def work() -> None:
        claims.append(store.claims)

    async with errands:
        await errands.add_tasks([(work,)] * 100)
        async with errands.working():
            await drain(errands)
    assert 100 == len(claims)
    return set(claims[4:-4])


async def test_the_next_jobs_are_claimed_while_others_run() -> None:
    """Neither store nor worker waits for the other, where there is much to do."""
    assert {1} == await claims_under_way(Remote())


async def test_a_store_in_this_process_is_asked_by_one_claim_at_a_time() -> None:
    """As a second one would only take turns with the jobs that run."""
    store = Remote()
    store.claims_at_once = 1
    assert {0} == await claims_under_way(store)


async def test_suspects_of_two_claims_do_not_run_together() -> None:
    """The second claim sees what the first has started."""
    errands = Errands(Remote(), slots=4)
    runs, gate = list[int](), asyncio.Event()

    @errands.task
    async def work(kills: bool) -> None:
        if kills:
            runs.append(1)
            await gate.wait()

    async with errands:
        await errands.options(priority=1).add_tasks([(work, False)] * 4)
        jobs = await errands.add_tasks([(work, True)] * 4)
        lost = tuple(Attempt(n, "a", LONG_AGO, LONG_AGO, Outcome.LOST, "") for n in range(3))
        suspects = [replace(job, history=lost, version=job.version + 1) for job in jobs]
        assert 4 == len(await stored(errands).save(suspects))
        async with errands.working():
            await eventually(1, lambda: len(runs))
            await idle_of(errands)
            assert [1] == runs
            gate.set()


# Leases


async def test_the_outcome_of_who_lost_a_job_is_refused(
    url: str, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The second worker's outcome is the one that counts; the log tells."""
    errands = Errands(url, clock=clock)
    started, gate = asyncio.Event(), asyncio.Event()

    @errands.task(name="zombie")
    async def work() -> str:
        started.set()
        await gate.wait()
        return "first"

    async with errands.working():
        job = await errands.add_task(work)
        await soon(started.wait())
        theirs = await taken_over(errands, job, clock)
        assert {job.id} == await stored(errands).save([theirs.done('"second"', clock.now())])
        gate.set()
        await eventually(True, lambda: "zombie" in caplog.text)
        assert "second" == await errands.result(job, timeout=LONG)

    [told] = [r for r in caplog.records if "zombie" in r.getMessage()]
    assert logging.WARNING == told.levelno
    assert job.id in told.getMessage()


async def test_a_job_that_was_taken_over_is_stopped_here(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The renewal notices; a coroutine is cancelled, and its new owner goes on."""
    errands = Errands(url, lease=0.3)
    started, cancelled = asyncio.Event(), asyncio.Event()

    @errands.task(name="zombie")
    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with errands.working():
        job = await errands.add_task(work)
        await soon(started.wait())
        running = await there(errands, job)
        theirs = running.claimed("other", errands.now(), 100 * LEASE)
        assert {job.id} == await stored(errands).save([theirs])
        await soon(cancelled.wait(), "the end of a run that was taken over")
        await eventually(True, lambda: "taken over" in caplog.text)
        assert theirs == await there(errands, job)


async def test_a_thread_whose_job_was_taken_over_stops_at_its_next_progress(url: str) -> None:
    """RunStopped ends it."""
    errands = Errands(url, lease=0.3)
    started, gate, stopped = (threading.Event() for _ in range(3))

    @errands.task
    def work() -> None:
        started.set()
        try:
            while not gate.wait(0.005):
                progress(1)
        except RunStopped:
            stopped.set()
            raise

    async with errands.working():
        job = await errands.add_task(work)
        await eventually(True, started.is_set)
        running = await there(errands, job)
        await stored(errands).save([running.claimed("other", errands.now(), 100 * LEASE)])
        try:
            await eventually(True, stopped.is_set)
        finally:
            gate.set()


async def test_a_long_job_keeps_its_lease(url: str) -> None:
    """Renewed three times in each; nobody else can take it."""
    errands = Errands(url, lease=0.3)
    started, gate = asyncio.Event(), asyncio.Event()

    @errands.task
    async def work() -> int:
        started.set()
        await gate.wait()
        return current_job().attempt

    async with errands.working():
        job = await errands.add_task(work)
        await soon(started.wait())
        first = (await there(errands, job)).free_at

        async def is_longer() -> bool:
            return (await there(errands, job)).free_at > first + timedelta(seconds=0.3)

        await eventually(True, is_longer)
        gate.set()
        assert 1 == await errands.result(job, timeout=LONG)


@pytest.mark.slow
async def test_a_blocked_event_loop_keeps_its_jobs(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Leases are renewed from a thread; the log names the task that blocks."""
    url = f"sqlite:///{tmp_path}/errands.db"
    errands, runs = Errands(url, lease=0.3), list[str]()
    over, idle_runs = threading.Event(), list[int]()

    @errands.task(name="blocker")
    async def work() -> str:
        runs.append("ours")
        await asyncio.sleep(0)
        time.sleep(1.2)  # four leases long
        return "ours"

    async def other() -> None:
        """A second worker on the same file, in a loop of its own."""
        second = Errands(url, lease=0.3)

        @second.task(name="blocker")
        async def work() -> str:
            runs.append("theirs")
            return "theirs"

        async with second.working():
            while not over.is_set():
                idle_runs.append(1)
                await asyncio.sleep(0.01)

    neighbour = threading.Thread(target=lambda: asyncio.run(other()))
    async with errands.working():
        job = await errands.add_task(work)
        await eventually(["ours"], lambda: runs)
        neighbour.start()
        try:
            assert "ours" == await errands.result(job, timeout=LONG)
        finally:
            over.set()
            await asyncio.to_thread(neighbour.join, LONG)
        assert 1 == (await there(errands, job)).attempt
        await eventually(True, lambda: "has been blocked" in caplog.text)

    assert ["ours"] == runs
    told = [r.getMessage() for r in caplog.records if "has been blocked" in r.getMessage()]
    assert any("blocker" in message and job.id in message for message in told)


async def test_jobs_that_lost_many_workers_run_one_at_a_time(url: str, clock: JumpingClock) -> None:
    """One may be what killed them: the others are handed back before it starts, at no cost."""
    errands = Errands(url, clock=clock, lease=15)
    seen: list[tuple[str, Counter[tuple[State, int]]]] = []

    @errands.task(name="work")
    async def work(number: int) -> None:
        jobs = await errands.jobs(task="work")
        seen.append((current_job().id, Counter((job.state, job.attempt) for job in jobs)))

    @errands.task(name="other")
    async def other() -> None:
        pass

    async with errands:
        jobs = await errands.add_tasks([(work, number) for number in range(3)])
        for worker in "abc":
            jobs = [job.claimed(worker, clock.now(), LEASE) for job in jobs]
            await stored(errands).save(jobs)
            clock.jump(15.1)
        fresh = await errands.add_task(other)
        async with errands.working():
            for number in (1, 2, 3):
                await eventually(number, lambda: finished(errands))
                await eventually(State.DONE, lambda: state(errands, fresh))
                clock.jump(60)

    assert {job.id for job in jobs} == {job_id for job_id, _ in seen}
    running, waiting, done = (State.RUNNING, 4), (State.QUEUED, 3), (State.DONE, 4)
    assert [
        {running: 1, waiting: 2},
        {running: 1, waiting: 1, done: 1},
        {running: 1, done: 2},
    ] == [states for _, states in seen]


async def test_who_lives_for_a_minute_is_suspected_no_more(url: str, clock: JumpingClock) -> None:
    """Two that never end, as services do, run side by side although both lost their workers."""
    errands = Errands(url, clock=clock, lease=600, grace=0)
    runs: list[str] = []

    @errands.task(name="endless", retry=Retry(attempts=None))
    async def endless(number: int) -> None:
        runs.append(current_job().id)
        await asyncio.Event().wait()

    async with errands:
        jobs = await errands.add_tasks([(endless, number) for number in range(2)])
        for worker in "abc":
            jobs = [job.claimed(worker, clock.now(), LEASE) for job in jobs]
            await stored(errands).save(jobs)
            clock.jump(15.1)
        async with errands.working():
            await eventually(1, lambda: len(runs))
            clock.jump(31)  # longer than any pause: the second is postponed again
            await eventually(True, lambda: is_postponed(errands, clock))
            assert 1 == len(runs)
            clock.jump(31)
            await eventually(2, lambda: len(runs))

    assert {job.id for job in jobs} == set(runs)


async def is_postponed(errands: Errands, clock: JumpingClock) -> bool:
    """Whether the one that waits is to wait still."""
    waiting = await errands.jobs(states=[State.QUEUED])  # none while it is just claimed
    return [] != [job for job in waiting if job.free_at > clock.now()]


async def finished(errands: Errands) -> int:
    return len(await errands.jobs(task="work", states=[State.DONE]))


@pytest.mark.parametrize(
    ("retry", "starts"), [(Retry(), 5), (Retry(attempts=7, lost=2), 7), (Retry(lost=0), 1)]
)
async def test_a_job_that_kills_its_worker_ends_as_failed(
    url: str, clock: JumpingClock, retry: Retry, starts: int
) -> None:
    """After so many starts; the job says why, and is not run once more."""
    errands = Errands(url, clock=clock, lease=15)
    runs: list[int] = []

    @errands.task(name="killer", retry=retry)
    async def work() -> None:
        runs.append(1)

    async with errands:
        job = await errands.add_task(work)
        for number in range(starts):
            claimed = (await there(errands, job)).claimed(f"w{number}", clock.now(), LEASE)
            assert {job.id} == await stored(errands).save([claimed])
            clock.jump(15.1)
        async with errands.working():
            with pytest.raises(JobFailed, match="worker was lost") as failure:
                await errands.result(job, timeout=LONG)

    assert [] == runs
    outcomes = [attempt.outcome for attempt in failure.value.job.history]
    assert [Outcome.LOST] * starts == outcomes[:starts]
    assert [] == [o for o in outcomes[starts:] if o is not Outcome.FAILED]


async def test_a_job_whose_worker_died_once_is_run_again(url: str, clock: JumpingClock) -> None:
    """At the end of the lease, also if it may be tried only once."""
    errands = Errands(url, clock=clock, lease=15)

    @errands.task
    async def work() -> int:
        return current_job().attempt

    async with errands:
        job = await errands.add_task(work)
        await stored(errands).save([job.claimed("dead", clock.now(), LEASE)])
        async with errands.working():
            await idle_of(errands)
            assert State.RUNNING is await state(errands, job)
            clock.jump(14)
            await idle_of(errands)
            assert "dead" == (await there(errands, job)).worker
            clock.jump(1.1)
            assert 2 == await errands.result(job, timeout=LONG)


async def idle_of(errands: Errands) -> None:
    """Wait until the worker waits for news; others may have jobs running."""
    await asyncio.sleep(0)
    await eventually(True, lambda: errands._engine._worker and errands._engine._worker._is_idle)


# The end


async def test_what_ends_within_the_grace_is_saved(url: str) -> None:
    """The worker waits for it."""
    errands = Errands(url, grace=LONG)
    started, gate = asyncio.Event(), asyncio.Event()

    @errands.task
    async def work() -> int:
        started.set()
        await gate.wait()
        return 1

    async with errands:
        async with errands.working():
            job = await errands.add_task(work)
            await soon(started.wait())
            asyncio.get_running_loop().call_later(0.02, gate.set)
        assert 1 == await errands.result(job, timeout=LONG)


@pytest.mark.parametrize("grace", [0, 0.02])
async def test_what_does_not_is_handed_back_without_costing_an_attempt(
    url: str, grace: float, caplog: pytest.LogCaptureFixture
) -> None:
    """It may clean up, and starts at once where a worker is next."""
    errands = Errands(url, grace=grace)
    started, cleaned = asyncio.Event(), asyncio.Event()
    attempts: list[int] = []

    @errands.task(name="long")
    async def work() -> int:
        attempts.append(current_job().attempt)
        if len(attempts) > 1:
            return len(attempts)
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()
        return 0

    async with errands:
        async with errands.working():
            job = await errands.add_task(work)
            await soon(started.wait())
        back = await there(errands, job)
        assert (State.QUEUED, 0, None) == (back.state, back.attempt, back.worker)
        assert [Outcome.RELEASED] == [attempt.outcome for attempt in back.history]
        assert cleaned.is_set()
        assert "go back: long" in caplog.text
        async with errands.working():
            assert 2 == await errands.result(job, timeout=LONG)
    assert [1, 1] == attempts


async def test_a_thread_that_does_not_end_in_time_is_left_behind(url: str) -> None:
    """Its job goes back, and it is stopped at its next progress."""
    errands = Errands(url, grace=0.02)
    started, gate, stopped = (threading.Event() for _ in range(3))

    @errands.task
    def work() -> None:
        started.set()
        assert gate.wait(LONG)
        try:
            progress(1)
        except RunStopped:
            stopped.set()
            raise

    async with errands:
        async with errands.working():
            job = await errands.add_task(work)
            await eventually(True, started.is_set)
        assert (State.QUEUED, 0) == (
            (await there(errands, job)).state,
            (await there(errands, job)).attempt,
        )
        gate.set()
        await eventually(True, stopped.is_set)


@pytest.mark.errands_falls
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the second
@pytest.mark.parametrize("swallowed", [asyncio.CancelledError, BaseException])
async def test_a_task_that_ignores_its_cancellation_is_left_behind(
    url: str, caplog: pytest.LogCaptureFixture, swallowed: type[BaseException]
) -> None:
    """The end has an end: the job goes back, the log names the task, and no loop waits for it."""
    errands = Errands(url, grace=0)
    started, turns, is_closed = asyncio.Event(), list[int](), list[bool]()

    @errands.task(name="stubborn")
    async def work() -> None:
        try:
            started.set()
            while len(turns) < 5:
                try:
                    await asyncio.Event().wait()
                except swallowed:
                    turns.append(1)
        finally:
            is_closed.append(True)

    async with errands:
        async with errands.working():
            job = await errands.add_task(work)
            await soon(started.wait())
        back = await there(errands, job)
        await asyncio.sleep(0)
        left = [task for task in asyncio.all_tasks() if "stubborn" in task.get_name()]

    assert (State.QUEUED, 0) == (back.state, back.attempt)
    assert "stubborn ignores its cancellation" in caplog.text
    assert [] == left
    if swallowed is asyncio.CancelledError:  # the other does not even let itself be closed
        assert ([1], [True]) == (turns, is_closed)


async def test_a_worker_that_stops_claims_no_more(url: str) -> None:
    """What waits is left to others."""
    errands = Errands(url, slots=1, grace=LONG)
    started, gate = asyncio.Event(), asyncio.Event()

    @errands.task
    async def hold() -> None:
        started.set()
        await gate.wait()

    async with errands:
        async with errands.working():
            await errands.add_task(hold)
            await soon(started.wait())
            waiting = await errands.add_task(hold)
            asyncio.get_running_loop().call_later(0.02, gate.set)
        assert waiting == await there(errands, waiting)


# A store that is away


class Moody(MemoryStore):
    """A store in memory that can be taken away."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.refused: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        duties = ("add", "claim", "save", "next_free", "report", "extend", "rescue")
        if name in duties and object.__getattribute__(self, "is_away"):
            self.refused.append(name)
            raise StoreUnavailable("the dog ate it")
        return object.__getattribute__(self, name)


async def test_an_outcome_waits_for_a_store_that_is_away(
    clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is saved when the store is back; one line in the log, and no second run."""
    store = Moody()
    errands = Errands(store, clock=clock)
    gate, started, runs = asyncio.Event(), asyncio.Event(), list[int]()

    @errands.task
    async def work() -> int:
        runs.append(1)
        started.set()
        await gate.wait()
        return 1

    async with errands.working():
        job = await errands.add_task(work)
        await soon(started.wait())
        store.is_away = True
        with pytest.raises(StoreUnavailable):
            await errands.add_task(work)
        gate.set()
        await eventually(True, lambda: store.refused.count("save") > 0)
        for _ in range(5):
            clock.jump(1)
            await asyncio.sleep(0)
        store.is_away = False
        for _ in range(20):
            clock.jump(5)
            await asyncio.sleep(0)
        assert 1 == await errands.result(job, timeout=LONG)

    assert [1] == runs
    assert 4 >= caplog.text.count("the store is unavailable")


async def test_a_store_that_refuses_an_addition_costs_no_slot(clock: JumpingClock) -> None:
    """Who adds is told, and the next job runs."""
    store = Moody()
    errands = Errands(store, clock=clock, slots=1)

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        await idle(errands)
        for _ in range(3):
            store.is_away = True
            with pytest.raises(StoreUnavailable, match="the dog ate it"):
                await errands.add_task(work)
            store.is_away = False
        assert 1 == await errands.result(await errands.add_task(work), timeout=LONG)


# Two workers on one store


@pytest.fixture
async def two(url: str) -> AsyncIterator[tuple[Errands, Errands]]:
    """Two applications on the same jobs."""
    store = store_at(url)
    if isinstance(store, MemoryStore):
        yield Errands(store), Errands(store)
    else:
        yield Errands(url), Errands(url)


async def test_no_job_runs_twice_between_two_workers(two: tuple[Errands, Errands]) -> None:
    """Whoever adds it."""
    runs: list[int] = []

    async def work(n: int) -> None:
        runs.append(n)
        await asyncio.sleep(0)

    for errands in two:
        errands.task(work)
    async with two[0].working(), two[1].working():
        adding = (two[n % 2].add_tasks([(work, 10 * n + m) for m in range(10)]) for n in range(20))
        single = (two[n % 2].add_task(work, 200 + n) for n in range(50))
        await asyncio.gather(*adding, *single)
        await drain(two[0])
        jobs = await two[1].jobs(limit=1000)

    assert list(range(250)) == sorted(runs)
    assert {(State.DONE, 1)} == {(job.state, job.attempt) for job in jobs}


async def test_whoever_asks_gets_the_result_of_who_ran_it(two: tuple[Errands, Errands]) -> None:
    """One adds, the other works."""
    adds, works = two

    async def double(n: int) -> int:
        return 2 * n

    for errands in two:
        errands.task(double)
    async with adds, works.working():
        job = await adds.add_task(double, 4)
        assert 8 == await adds.result(job, timeout=LONG)
        assert [job.id] == [found.id for found in await stored(works).find(Query())]


async def test_a_job_is_claimed_at_the_very_instant_at_which_it_is_due(
    url: str, clock: JumpingClock
) -> None:
    """A clock that jumps there, and no further, keeps nobody waiting."""
    errands = Errands(url, clock=clock)

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        job = await errands.options(after=60).add_task(work)
        clock.jump(59)
        await drain(errands)
        clock.jump(1)
        assert 1 == await errands.result(job, timeout=5)

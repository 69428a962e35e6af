"""Why a job is not running: each thing that keeps it is named, with the cure."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from patience import eventually

from errands import Attempt, Errands, Heartbeat, Job, Obstacle, Order, Outcome, State
from errands._job import NEVER, WAITING
from errands._why import Why, why

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)
QUEUED = Job(
    id="j", task="t", payload="{}", due_at=NOW, free_at=NOW, added_at=NOW, queue="q", key="k"
)
RUNNING = QUEUED.claimed("w", NOW, timedelta(seconds=15))
IDLE = Heartbeat(
    worker="w", host="h", pid=1, queues=("q",), slots=2, running=0, version="1",
    started_at=NOW, seen_at=NOW, tasks=("t",),
)  # fmt: skip  # a row


def asked(job: Job, *orders: Order, workers: tuple[Heartbeat, ...] = (IDLE,)) -> Why:
    return why(job, NOW, orders, workers, {})


@pytest.mark.parametrize(
    ("job", "obstacle", "says"),
    [
        (QUEUED, Obstacle.SOON, "A worker is about to take it."),
        (RUNNING, Obstacle.RUNNING, "at w since 2026-01-01 12:00:00 UTC, leased until"),
        (replace(RUNNING, is_cancelling=True), Obstacle.STOPPING, "was asked to stop"),
        (replace(RUNNING, worker="v"), Obstacle.LOST, "another takes it over by"),
        (replace(RUNNING, free_at=NOW), Obstacle.LOST, "may take it over: start one."),
        (RUNNING.done("1", NOW), Obstacle.ENDED, "done after 1 attempt at 2026"),
        (RUNNING.failed("no", NOW), Obstacle.ENDED, "errands.retry(job) has it run again"),
        (QUEUED.cancelled(NOW), Obstacle.ENDED, "It has ended: cancelled at"),
        (replace(QUEUED, free_at=LATER), Obstacle.LATER, "due at 2026-01-01 12:01:00 UTC"),
        (RUNNING.failed("no", NOW, 60), Obstacle.RETRYING, "Attempt 1 failed; the next one"),
        (
            replace(QUEUED, free_at=NEVER, blocked_by="t:customer=7"),
            Obstacle.LIMITED,
            "The limit 't:customer=7' is used up",
        ),
        (
            replace(QUEUED, free_at=LATER, blocked_by="rate:t", rate_key="rate:t"),
            Obstacle.LIMITED,
            "It waits for the rate 'rate:t': the next one may start at 2026-01-01 12:01:00 UTC",
        ),
        (
            replace(QUEUED, free_at=NEVER, blocked_by="rate:t", rate_key="rate:t"),
            Obstacle.LIMITED,
            "It waits for the rate 'rate:t': others that wait for it start before.",
        ),
    ],
)
def test_a_job_says_by_itself_what_keeps_it(job: Job, obstacle: Obstacle, says: str) -> None:
    [reason] = asked(job).reasons
    assert obstacle is reason.obstacle
    assert says in str(asked(job))


@pytest.mark.parametrize(
    ("order", "cure"),
    [
        (Order(kind="queue", name="q", since=NOW), "errands.resume('q')"),
        (Order(kind="task", name="t", since=NOW), "errands.resume(task='t')"),
        (Order(kind="key", name="k", since=NOW), "errands.resume(key='k')"),
        (Order(kind="worker", name="w", since=NOW), "All workers that would take it are paused: w"),
    ],
)
def test_what_is_paused_is_named(order: Order, cure: str) -> None:
    answer = asked(QUEUED, order, Order(kind="queue", name="other", since=NOW))
    assert [Obstacle.PAUSED] == [reason.obstacle for reason in answer.reasons]
    assert cure in str(answer)


@pytest.mark.parametrize(
    ("worker", "obstacle", "says"),
    [
        (replace(IDLE, queues=("other",)), Obstacle.NOBODY, "None of 1 live worker works for"),
        (IDLE.gone(NOW), Obstacle.NOBODY, "None of 0 live workers works for the queue 'q'"),
        (replace(IDLE, tasks=("u",)), Obstacle.UNKNOWN, "knows the task 't'. Deploy the code"),
        (replace(IDLE, running=2), Obstacle.FULL, "2 jobs in 2 slots"),
        (
            replace(IDLE, running=1, processes=1, in_processes=1, process_tasks=("t",)),
            Obstacle.FULL,
            "All processes that would run it are busy: 1 job in 1 process.",
        ),
    ],
)
def test_workers_that_do_not_take_it_are_why(
    worker: Heartbeat, obstacle: Obstacle, says: str
) -> None:
    answer = asked(QUEUED, workers=(worker,))
    assert [obstacle] == [reason.obstacle for reason in answer.reasons]
    assert says in str(answer)


def test_the_jobs_that_it_waits_for_are_named() -> None:
    """Those that have not ended, and not more than a line can tell."""
    waiting = replace(
        QUEUED, free_at=NEVER, blocked_by=WAITING, waits_for=("a", "b", "c", "d", "e")
    )
    parents = {name: replace(QUEUED, id=name) for name in "abcd"}
    parents["e"] = replace(QUEUED, id="e", state=State.DONE)
    answer = why(waiting, NOW, [], [IDLE], parents)

    assert "It waits for 4 jobs: a (t, queued), b (t, queued), c (t, queued) and 1 more." == str(
        answer
    )


def test_all_that_keeps_it_is_told() -> None:
    """So that nobody mends one thing to find the next."""
    later = replace(QUEUED, free_at=LATER, history=(Attempt(1, "w", NOW, NOW, Outcome.LOST),))
    answer = asked(later, Order(kind="queue", name="q", since=NOW), workers=())

    assert [Obstacle.LATER, Obstacle.PAUSED, Obstacle.NOBODY] == [
        reason.obstacle for reason in answer.reasons
    ]
    assert [LATER, None, None] == [reason.until for reason in answer.reasons]


async def test_a_rate_says_when_the_next_job_may_start(errands: Errands) -> None:
    """Of the first that waits for it; the others come after that one."""

    @errands.task(name="work", rate="1/h")
    async def work() -> None: ...

    async def reason(job: Job) -> tuple[Obstacle, bool, bool]:
        [found] = (await errands.why(job)).reasons
        return found.obstacle, "ends" in found.text, found.until is not None

    async with errands.working():
        jobs = await errands.add_tasks([(work,)] * 3)
        await errands.result(jobs[0], timeout=10)
        await eventually((Obstacle.LIMITED, False, True), lambda: reason(jobs[1]))
        await eventually((Obstacle.LIMITED, False, False), lambda: reason(jobs[2]))
        [first] = (await errands.why(jobs[1])).reasons

        assert first.until is not None
        assert first.until > errands.now() + timedelta(minutes=59)


async def test_an_application_asks_its_store(errands: Errands) -> None:
    """For the job, the orders and the workers."""
    gate = asyncio.Event()

    @errands.task
    async def work() -> None:
        await gate.wait()

    async def obstacles(job: Job) -> list[Obstacle]:
        return [reason.obstacle for reason in (await errands.why(job)).reasons]

    async with errands.working():
        running = await errands.add_task(work)
        await eventually([Obstacle.RUNNING], lambda: obstacles(running))
        await errands.pause("default")
        paused = await errands.options(after=60).add_task(work)
        assert [Obstacle.LATER, Obstacle.PAUSED] == await obstacles(paused)
        gate.set()
        await errands.result(running, timeout=10)
        assert [Obstacle.ENDED] == await obstacles(running)
        with pytest.raises(LookupError):
            await errands.why("nobody")

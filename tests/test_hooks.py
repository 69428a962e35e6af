"""Hooks: what the application is told of its jobs."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from patience import eventually

from errands import Errands, Job, Query, Retry, progress
from errands.errors import JobFailed, SetupError

LONG = 10  # seconds, an upper bound that is never reached


async def test_hooks_are_told_what_becomes_of_a_job(errands: Errands) -> None:
    """In order, with the job as it was then; coroutines and plain functions."""
    told: list[tuple[str, str, int]] = []

    def note(event: str) -> None:
        @errands.on(event)  # type: ignore[arg-type]  # one of those below
        def hook(job: Job) -> None:
            told.append((event, job.state, job.attempt))

    for event in ("queued", "started", "progress", "retrying", "failed"):
        note(event)

    @errands.on("done", "failed")
    async def ended(job: Job) -> None:
        told.append(("ended", job.state, job.attempt))

    @errands.task(retry=Retry(attempts=2, wait=0))
    async def work() -> None:
        progress(1, 2)
        await asyncio.sleep(0.3)  # in which the progress is stored
        raise ValueError("no")

    async with errands.working():
        job = await errands.add_task(work)
        with pytest.raises(JobFailed):
            await errands.result(job, timeout=LONG)

    assert ("queued", 0) == (told[0][0], told[0][2] if told[0][1] == "queued" else 0)
    assert [
        ("started", "running", 1),
        ("progress", "running", 1),
        ("retrying", "queued", 1),
        ("started", "running", 2),
        ("progress", "running", 2),
        ("failed", "failed", 2),
        ("ended", "failed", 2),
    ] == told[1:]


async def test_a_failing_hook_is_in_nobodys_way(
    errands: Errands, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with the event and the job; the next hook is told all the same."""
    told = []

    @errands.on("done")
    def broken(job: Job) -> None:
        raise RuntimeError("no hook")

    @errands.on("done")
    async def whole(job: Job) -> None:
        told.append(job.id)

    @errands.task
    async def work() -> None: ...

    with caplog.at_level(logging.ERROR, "errands.hooks"):
        async with errands.working():
            job = await errands.add_task(work)
            await errands.result(job, timeout=LONG)
            await eventually([job.id], lambda: told)

    assert f"at 'done' of job {job.id}" in caplog.text
    assert "RuntimeError: no hook" in caplog.text


async def test_a_slow_hook_keeps_no_job_waiting(errands: Errands) -> None:
    """Nor the end: what it has not been told by then is dropped."""
    gate, ran = threading.Event(), []

    @errands.on("started")
    def slow(job: Job) -> None:
        gate.wait(LONG)

    @errands.task
    async def work(number: int) -> None:
        ran.append(number)

    async with errands.working():
        jobs = await errands.add_tasks((work, n) for n in range(20))
        for job in jobs:
            await errands.result(job, timeout=LONG)
        assert list(range(20)) == sorted(ran)
        gate.set()


async def test_what_operators_do_is_told_too(errands: Errands) -> None:
    """A job that is cancelled while queued, and one that is retried."""
    told: list[str] = []

    @errands.on("cancelled")
    async def cancelled(job: Job) -> None:
        told.append("cancelled")

    @errands.on("queued")
    async def queued(job: Job) -> None:
        told.append("queued")

    @errands.task
    async def work() -> None: ...

    async with errands.working():
        job = await errands.options(after=60).add_task(work)
        await errands.cancel(job)
        assert 1 == await errands.retry(Query())
        await errands.result(job, timeout=LONG)
    assert ["queued", "cancelled", "queued"] == told


async def test_a_hook_of_nothing_is_refused(errands: Errands) -> None:
    """And one that comes too late."""
    with pytest.raises(ValueError, match="expected one of queued, started"):
        errands.on("finished")  # type: ignore[arg-type]  # that is the point
    async with errands.working():
        with pytest.raises(SetupError, match="before the application starts"):
            errands.on("done")


def test_hooks_are_told_in_one_event_loop_after_the_other(url: str) -> None:
    """As where each test, or each request without a lifespan, has a loop of its own."""
    errands, told = Errands(url), []

    @errands.on("done")
    async def hook(job: Job) -> None:
        told.append(job.id)

    @errands.task
    async def work() -> None: ...

    async def once() -> str:
        async with errands.working():
            job = await errands.add_task(work)
            await errands.result(job, timeout=LONG)
        return job.id

    assert [asyncio.run(once()) for _ in range(2)] == told


async def test_hooks_are_told_where_jobs_are_only_added(errands: Errands) -> None:
    """As in a web process whose jobs others run; one that wants to end the process does not."""
    told: list[str] = []

    class Panic(BaseException): ...

    @errands.on("queued")
    def rude(job: Job) -> None:
        raise SystemExit

    @errands.on("queued")
    async def ruder(job: Job) -> None:
        raise Panic

    @errands.on("queued")
    async def rudest(job: Job) -> None:
        raise asyncio.CancelledError

    @errands.on("queued")
    async def hook(job: Job) -> None:
        told.append(job.id)

    @errands.task
    async def work() -> None: ...

    async with errands:
        jobs = [await errands.add_task(work) for _ in range(3)]
        await eventually([job.id for job in jobs], lambda: told)

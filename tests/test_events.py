"""`errands.events(job)`: a job as it is, and again whenever that has changed."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from errands import Errands, Job, Retry, State, progress
from errands.errors import JobFailed, NoRequest, SetupError

LONG = 10  # seconds, an upper bound that is never reached


def told(job: Job) -> tuple[State, float | None]:
    """What a test says of an event."""
    return job.state, None if job.progress is None else job.progress.done


async def follow(errands: Errands, job: Job | str, into: list[Job]) -> None:
    """Keep every event until the last one."""
    async with asyncio.timeout(LONG):
        into.extend([event async for event in errands.events(job)])


async def test_a_job_is_told_from_where_it_is_to_its_end(errands: Errands) -> None:
    """Each change in its order; what came fast may be one."""
    steps = [Event(), Event()]

    @errands.task
    def work() -> int:
        for number, step in enumerate(steps):
            progress(number + 1, 2)
            step.wait(LONG)
        return 7

    seen: list[Job] = []
    async with errands.working():
        job = await errands.add_task(work)
        async with asyncio.timeout(LONG):
            async for event in errands.events(job):
                seen.append(event)
                if event.progress is not None and not event.is_final:
                    steps[int(event.progress.done) - 1].set()
        assert 7 == errands.value(seen[-1])

    assert [1.0, 2.0] == sorted({event.progress.done for event in seen if event.progress})
    assert [State.DONE] == [event.state for event in seen if event.is_final]
    assert seen[-1].is_final
    assert len(set(map(told, seen))) == len(seen)


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
async def test_what_another_process_does_is_told(url: str) -> None:
    """Nobody tells us of it: we look."""
    there, here = Errands(url), Errands(url)
    may_end = Event()

    @there.task(name="work")
    def work() -> None:
        progress(1, 2)
        may_end.wait(LONG)

    seen: list[Job] = []
    async with there.working(), here:
        job = await there.add_task(work)
        async with asyncio.timeout(LONG):
            async for event in here.events(job.id):
                seen.append(event)
                if event.progress is not None:
                    may_end.set()

    assert (State.RUNNING, 1) in map(told, seen)
    assert State.DONE == seen[-1].state


async def test_a_retry_is_told(errands: Errands) -> None:
    """The job is queued again, and then runs again."""

    @errands.task(retry=Retry(attempts=2, wait=0))
    def work() -> None:
        raise OSError("disk is full")

    seen: list[Job] = []
    async with errands.working():
        job = await errands.add_task(work)
        await follow(errands, job, seen)
        with pytest.raises(JobFailed):
            errands.value(seen[-1])

    assert (State.FAILED, 2) == (seen[-1].state, seen[-1].attempt)


async def test_a_job_that_has_ended_is_told_once(errands: Errands) -> None:
    """As it is."""

    @errands.task
    def work() -> None: ...

    seen: list[Job] = []
    async with errands.working():
        job = await errands.add_task(work)
        await errands.result(job, LONG)
        await follow(errands, job.id, seen)

    assert [State.DONE] == [event.state for event in seen]


async def test_a_job_that_nobody_knows_is_an_error(errands: Errands) -> None:
    """So is one that is forgotten meanwhile."""
    async with errands:
        with pytest.raises(LookupError, match="nobody"):
            await follow(errands, "nobody", [])


async def test_whoever_stops_listening_leaves_nothing_behind(errands: Errands) -> None:
    """No watch is kept for a browser that went."""

    @errands.task
    def work() -> None: ...

    async with errands:
        job = await errands.add_task(work)
        events = errands.events(job)
        await anext(events)
        assert errands._engine._watchers
        await events.aclose()

        assert not errands._engine._watchers


async def test_the_value_of_a_job_is_there_at_its_end(errands: Errands) -> None:
    """And not before."""

    @errands.task
    def work() -> None: ...

    async with errands:
        job = await errands.add_task(work)
        with pytest.raises(ValueError, match="is queued"):
            errands.value(job)


async def test_to_answer_in_time_or_later_takes_a_request(errands: Errands) -> None:
    """And a framework, to make the answer."""
    async with errands:
        with pytest.raises(NoRequest):
            await errands.wait_or_202("any")
        bag = errands.background()
        token = bag.enter()
        with pytest.raises(SetupError, match=r"errands\.fastapi"):
            await errands.wait_or_202("any")
        bag.leave(token)

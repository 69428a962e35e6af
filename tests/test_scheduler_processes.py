"""Schedules of several real processes, some of which are killed: one job for each tick."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from deaths import Anywhere
from server_driver import wait_until

from errands import Errands, Job, Schedule, State

MANY, OFTEN, PROCESSES, KILLS = 1000, 5, 4, 8
SECOND, HALF = timedelta(seconds=1), timedelta(seconds=0.5)
TARGET = "apps_scheduler:errands"

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Anywhere:
    """On a store that processes can share."""
    if request.param == "postgres":
        return Anywhere(tmp_path, str(request.getfixturevalue("postgres_url")))
    return Anywhere(tmp_path, f"sqlite:///{tmp_path}/errands.db")


def jobs_at(place: Anywhere) -> list[Job]:
    """All that were added, in the order of their ticks."""

    async def look() -> list[Job]:
        async with Errands(place.url) as errands:
            return sorted(await errands.jobs(limit=10**6), key=lambda job: job.due_at)

    return asyncio.run(look())


def schedules_at(place: Anywhere) -> list[Schedule]:
    """All that are stored."""

    async def look() -> list[Schedule]:
        async with Errands(place.url) as errands:
            return await errands.schedules.list()

    return asyncio.run(look())


def are_done(place: Anywhere, number: int) -> bool:
    return number == sum(job.state is State.DONE for job in jobs_at(place))


@pytest.mark.alone
def test_a_thousand_schedules_that_are_due_together_make_a_thousand_jobs(place: Anywhere) -> None:
    """In four processes, and within a second."""
    once = datetime.fromtimestamp(int(time.time()) + 6, UTC)
    with place.started(
        "--processes", str(PROCESSES), target=TARGET, ONCE=str(once.timestamp()), MANY=str(MANY)
    ) as worker:
        worker.wait_until_started(PROCESSES)
        assert datetime.now(UTC) < once - 2 * SECOND, "this machine is too slow for the test"
        wait_until(lambda: are_done(place, MANY), "all are done", 40)
        worker.stop()
    jobs = jobs_at(place)

    assert {str(number): 1 for number in range(MANY)} == Counter(
        job.payload.split('"')[3] for job in jobs
    )
    assert {once} == {job.due_at for job in jobs}
    assert {1} == {job.attempt for job in jobs}
    assert once + SECOND > max(job.added_at for job in jobs)


def test_processes_that_are_killed_cost_no_tick_and_make_none_twice(place: Anywhere) -> None:
    """Each at the moment at which ticks are dealt with; another takes its place."""
    dice = random.Random(3)
    once = datetime.fromtimestamp(int(time.time()) + 1, UTC)
    start = partial(place.started, target=TARGET, ONCE=str(once.timestamp()), OFTEN=str(OFTEN))
    with ExitStack() as stack:
        workers = [stack.enter_context(start()) for _ in range(2)]
        for worker in workers:
            worker.wait_until_started()
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.2, 0.7))  # to another place in the round of its scheduler
            victim = workers.pop(0)
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            workers.append(stack.enter_context(start()))
            workers[-1].wait_until_started()
        for worker in workers:
            worker.stop()
    require_each_tick_once(place, KILLS)


@pytest.mark.alone
def test_a_schedule_is_taken_over_within_a_second(place: Anywhere) -> None:
    """Of the process that dealt with its last tick, at a power cut: no tick starts later."""
    once = str(int(time.time()))
    start = partial(place.started, target=TARGET, ONCE=once, OFTEN="1")
    with start() as one, start() as other:
        one.wait_until_started()
        other.wait_until_started()
        so_far = len(jobs_at(place))
        wait_until(lambda: len(jobs_at(place)) > so_far + 2, "ticks have come")
        [schedule] = schedules_at(place)
        [holder] = [beat.pid for beat in place.workers() if beat.worker == schedule.known_by]
        killed_at = datetime.now(UTC)
        os.kill(holder, signal.SIGKILL)

        def later() -> list[Job]:
            since = killed_at - SECOND  # also what was about to start there
            return [j for j in jobs_at(place) if j.due_at > since and j.state is State.DONE]

        wait_until(lambda: len([j for j in later() if j.due_at > killed_at]) > 4, "it goes on")
    late = [(job.started_at or job.due_at) - job.due_at for job in later()]
    require_each_tick_once(place, 4, schedules=1)

    assert max(late) < SECOND


def test_a_web_server_of_several_processes_needs_nothing_beside_it(place: Anywhere) -> None:
    """As `uvicorn --workers 2`, also when one of them dies: its parent starts another."""
    once = str(int(time.time()))
    with place.serving("--workers", "2", app="apps_scheduler:app", ONCE=once, OFTEN="5") as server:
        wait_until(lambda: len(jobs_at(place)) > 10, "ticks have come")
        [victim, *_] = {beat.pid for beat in place.workers() if beat.gone_at is None}
        os.kill(victim, signal.SIGKILL)
        so_far = len(jobs_at(place))
        wait_until(lambda: len(jobs_at(place)) > so_far + 20, "more have come")
        server.stop()

    require_each_tick_once(place, 4)


def require_each_tick_once(place: Anywhere, least: int, schedules: int = OFTEN) -> None:
    """Of each schedule, and none is missing between the first and the last."""
    ticks = defaultdict(list)
    for job in jobs_at(place):
        ticks[job.payload.split('"')[3]].append(job.due_at)
    assert schedules == len(ticks)
    for found in ticks.values():
        assert len(found) > least
        expected = [found[0] + n * HALF for n in range(len(found))]
        assert expected == found

"""Limits of four real processes, some of which are killed: kept by all of them together."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest
from deaths import Anywhere
from server_driver import wait_until
from worker_driver import Command

from errands import Errands, Limit, State

APP = "apps_limits:errands"
PROCESSES, KILLS = 4, 5
AT_ONCE, WINDOW, STARTS = 5, 2.0, 20  # as in the application
MS = 0.001  # seconds, to which instants are kept
TRIES = 4  # of a measurement, on a machine that may have other work

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Anywhere:
    if request.param == "postgres":
        return Anywhere(tmp_path, str(request.getfixturevalue("postgres_url")))
    return Anywhere(tmp_path, f"sqlite:///{tmp_path}/errands.db")


def add(place: Anywhere, name: str, number: int) -> None:
    """Keep so many jobs of a task, as a process does that runs none."""

    async def keep() -> None:
        errands = Errands(place.url)

        @errands.task(name="bound", concurrency=5)
        async def bound(text: str) -> None: ...

        @errands.task(name="each", concurrency=Limit(2, per="customer"))
        async def each(text: str, customer: int) -> None: ...

        @errands.task(name="paced", rate="20/2s")
        async def paced(text: str) -> None: ...

        functions = {"bound": (bound, ()), "each": (each, (1, 2, 3)), "paced": (paced, ())}
        function, customers = functions[name]
        async with errands:
            await errands.add_tasks(
                (function, f"{name}-{n}", *random.sample(customers, k=min(1, len(customers))))
                for n in range(number)
            )

    asyncio.run(keep())


def are_done(place: Anywhere) -> bool:
    async def count() -> bool:
        async with Errands(place.url) as errands:
            return {State.DONE} == {state for (_, state), n in (await errands.count()).items() if n}

    return asyncio.run(count())


def busy(place: Anywhere, worker: Command) -> int:
    """The process that has started a job last, of those that live."""

    def found() -> list[int]:
        lives = {pid for pid in worker.pids if Path(f"/proc/{pid}").exists()} - {worker.pid}
        return [effect.pid for effect in place.effects() if effect.pid in lives]

    wait_until(lambda: bool(found()), "one of them has started a job")
    return found()[-1]


def starts(place: Anywhere, name: str) -> list[float]:
    """When the jobs of a task were claimed, which is what counts: their start may be late."""
    history = [each for job in place.stored().values() if job.task == name for each in job.history]
    return sorted(attempt.started_at.timestamp() for attempt in history)


def densest(times: list[float], window: float) -> int:
    """The most that there are in any span of so many seconds."""
    return max(sum(1 for at in times[n:] if at < first + window) for n, first in enumerate(times))


def test_processes_that_are_killed_never_exceed_a_limit(place: Anywhere) -> None:
    """Each job is done, and nowhere was one too many; the tasks themselves have looked."""
    dice = random.Random(5)
    for name, number in (("bound", 300), ("each", 400), ("paced", 60)):
        add(place, name, number)
    with place.started("--processes", str(PROCESSES), target=APP, TAKES="0.15") as worker:
        worker.wait_until_started(PROCESSES)
        for kill in range(KILLS):
            time.sleep(dice.uniform(0.2, 0.5))  # to another moment of their work
            os.kill(busy(place, worker), signal.SIGKILL)
            worker.wait_until_started(PROCESSES + kill + 1)
        wait_until(lambda: are_done(place), lambda: str(place.stored()), 60)
        worker.stop()

    assert [] == place.effects("exceeded")
    assert len({effect.text for effect in place.effects("done")}) == 700
    assert densest(starts(place, "paced"), WINDOW - MS) <= STARTS
    lost = [job for job in place.stored().values() if job.attempt > 1]
    assert lost, "the kills have hit somebody"


def test_a_limit_is_used_by_those_who_have_the_jobs(place: Anywhere) -> None:
    """To 95 %, while there are more jobs than places, by jobs that take half a second."""
    used = []
    for number in range(TRIES):
        (place.folder / "effects").unlink(missing_ok=True)
        with place.started("--processes", str(PROCESSES), target=APP, TAKES="0.5") as worker:
            worker.wait_until_started(PROCESSES)
            add(place, "bound", 10 * AT_ONCE)
            wait_until(lambda: len(place.effects("done")) == 10 * AT_ONCE, "all are done", 60)
            worker.stop()
        starts = {effect.text: effect.at for effect in place.effects("start")}
        ends = {effect.text: effect.at for effect in place.effects("done")}
        ran = sum(ends[text] - starts[text] for text in ends)
        used.append(ran / AT_ONCE / (max(ends.values()) - min(starts.values())))
        assert [] == place.effects("exceeded"), number
        if used[-1] >= 0.95:
            break

    assert max(used) >= 0.95, used


def test_a_rate_is_used_by_those_who_have_the_jobs(place: Anywhere) -> None:
    """To 95 %, from one full bucket to the third after it."""
    used = []
    for _ in range(TRIES):
        (place.folder / "effects").unlink(missing_ok=True)
        time.sleep(WINDOW + 0.5)  # until the bucket is full again
        with place.working(processes=PROCESSES, target=APP) as worker:
            add(place, "paced", 3 * STARTS + 1)
            wait_until(lambda: len(place.effects("start")) == 3 * STARTS + 1, "all started", 60)
            worker.stop()
        times = starts(place, "paced")[-3 * STARTS - 1 :]
        used.append(3 * WINDOW / (times[-1] - times[0]))
        if used[-1] >= 0.95:
            break

    assert max(used) >= 0.95, used
    assert max(used) <= 1.0, used

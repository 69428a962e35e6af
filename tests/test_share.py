"""Processes share the services of the cluster, about evenly, and nobody leads."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from deaths import Anywhere
from patience import eventually
from server_driver import wait_until

from errands import Clock, Errands, ServiceState, ready
from errands.testing import JumpingClock

MANY = 5
NAMES = [f"s{number}" for number in range(MANY)]


class Cluster:
    """Applications with the same services, all in this process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.running: Counter[str] = Counter()

    def app(self, *names: str, clock: Clock | None = None) -> Errands:
        errands = Errands(self.url, grace=2, clock=clock)
        for name in names or NAMES:
            errands.service(name=name)(partial(self.stay, name))
        return errands

    async def stay(self, name: str) -> None:
        self.running[name] += 1
        assert 1 == self.running[name]
        try:
            ready()
            await asyncio.Event().wait()
        finally:
            self.running[name] -= 1

    async def numbers(self, errands: Errands) -> list[int]:
        """How many services each process has that has any, the most first."""
        found = Counter(each.worker for each in await errands.services())
        return sorted(found.values(), reverse=True) if None not in found else []


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(f"sqlite:///{tmp_path}/errands.db")


async def test_one_process_has_them_all_at_once(cluster: Cluster) -> None:
    """It waits for nobody: no time passes by its clock."""
    async with cluster.app(clock=JumpingClock()).working():
        await eventually(MANY, cluster.running.total)


async def test_processes_that_start_together_share_them(cluster: Cluster) -> None:
    """And when one stops, the others share what it had."""
    one, other, third = cluster.app(), cluster.app(), cluster.app()
    async with other.working(), third.working():
        async with one.working():
            await eventually([2, 2, 1], lambda: cluster.numbers(one))
        await eventually([3, 2], lambda: cluster.numbers(other))


@pytest.mark.slow
async def test_a_process_that_comes_soon_gets_its_share(cluster: Cluster) -> None:
    """As in a deploy, where one process after another is replaced."""
    old, one, other = cluster.app(), cluster.app(), cluster.app()
    async with old.working():
        await eventually([MANY], lambda: cluster.numbers(old))
    async with one.working():
        await eventually([MANY], lambda: cluster.numbers(one))
        async with other.working():
            await eventually([3, 2], lambda: cluster.numbers(one))


@pytest.mark.slow
async def test_who_does_not_want_a_service_is_not_offered_it_again(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is stopped once at the most for a process that has other services."""
    caplog.set_level("INFO")
    one, other = cluster.app("a", "b"), cluster.app("c")
    async with one.working():
        await eventually(2, cluster.running.total)
        async with other.working():
            await eventually(1, lambda: caplog.text.count("goes to another process"))
            await eventually(3, cluster.running.total)
            await asyncio.sleep(2.5)  # two more looks, which change nothing
            assert 3 == cluster.running.total()

    assert 1 == caplog.text.count("goes to another process")


async def test_what_has_run_for_long_stays_where_it_is(url: str, clock: JumpingClock) -> None:
    """A connection that has stood for an hour is not cut for the sake of evenness."""
    one, other = (Errands(url, clock=clock, lease=3600, grace=2) for _ in range(2))
    for errands in (one, other):
        for name in ("a", "b"):
            errands.service(name=name)(asyncio.Event().wait)
    if url == "memory:":
        pytest.skip("a store in memory has one process")

    async with one.working():
        await eventually(2, lambda: up(one))
        clock.jump(61)
        async with other.working():
            for _ in range(5):
                clock.jump(1)
                await asyncio.sleep(0.05)  # in which it would be given back
            first, second = await one.services()
            assert (ServiceState.RUNNING, first.worker) == (first.state, second.worker)
            assert [0, 0] == [first.restarts, second.restarts]


async def up(errands: Errands) -> int:
    return sum(each.worker is not None for each in await errands.services())


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Anywhere:
    if request.param == "postgres":
        return Anywhere(tmp_path, str(request.getfixturevalue("postgres_url")))
    return Anywhere(tmp_path, f"sqlite:///{tmp_path}/errands.db")


@pytest.mark.slow
@pytest.mark.alone
def test_the_services_of_a_killed_process_are_spread_within_a_second(place: Anywhere) -> None:
    """Real processes share six of them; one is killed, and the others share what it had."""

    def running() -> Counter[int]:
        """How many each living process has."""
        last = {e.text: e for e in place.effects() if e.text.startswith("many")}
        return Counter(e.pid for e in last.values() if e.what == "begin" and e.pid in pids)

    start = partial(place.started, target="apps_services:errands", KIND="many")
    with ExitStack() as stack:
        workers = [stack.enter_context(start()) for _ in range(3)]
        for worker in workers:
            worker.wait_until_started()
        pids = {worker.pid for worker in workers}
        wait_until(lambda: [2, 2, 2] == sorted(running().values()), "they have shared")
        victim = workers[0].pid
        pids.remove(victim)
        killed_at = time.time()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: 6 == running().total(), "all are taken over")
        taken = [e.at for e in place.effects("begin") if e.at > killed_at]

        wait_until(lambda: [3, 3] == sorted(running().values()), "they share what it had")
        assert max(taken) - killed_at < 1

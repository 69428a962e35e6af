"""Finished jobs are forgotten in their time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from patience import asleep, eventually

from errands import Errands, Job, Query, Store, new_id
from errands._pruner import BATCH, PAUSE, Pruner
from errands._supervisor import Patience
from errands.errors import StoreUnavailable
from errands.stores.memory import MemoryStore
from errands.testing import JumpingClock

WEEK = timedelta(days=7)


def waiting(clock: JumpingClock) -> Job:
    """A job that was added now."""
    now = clock.now()
    return Job(id=new_id(now), task="t", payload="{}", due_at=now, free_at=now, added_at=now)


async def count(store: Store) -> int:
    return sum((await store.count()).values())


async def test_finished_jobs_are_forgotten_when_they_are_old(
    store: Store, clock: JumpingClock
) -> None:
    """Those that wait stay, however long it takes."""
    jobs = [waiting(clock) for _ in range(3)]
    await store.add(jobs)
    await store.save([job.cancelled(clock.now()) for job in jobs[:2]])
    pruner = asyncio.create_task(Pruner(store, clock, WEEK, Patience(clock)).run())
    try:
        await eventually(True, lambda: bool(clock._timers))  # it has looked once
        before = await count(store)
        clock.jump(WEEK + timedelta(minutes=2))
        await eventually(1, lambda: count(store))
    finally:
        pruner.cancel()

    assert 3 == before
    assert [jobs[2]] == await store.find(Query())


async def test_it_goes_on_while_there_is_more(store: Store, clock: JumpingClock) -> None:
    """Many are forgotten in one round, in batches that keep nobody waiting."""
    jobs = [waiting(clock).cancelled(clock.now()) for _ in range(BATCH + 5)]
    await store.add(jobs)
    clock.jump(WEEK + timedelta(seconds=1))
    pruner = asyncio.create_task(Pruner(store, clock, WEEK, Patience(clock)).run())
    try:
        await eventually(0, lambda: count(store))
    finally:
        pruner.cancel()


async def test_a_store_that_is_away_does_not_end_it(clock: JumpingClock) -> None:
    """It asks again."""

    class Moody(MemoryStore):
        moods = 2

        async def prune(self, before: object, limit: int) -> int:
            self.moods -= 1
            if self.moods >= 0:
                raise StoreUnavailable("away")
            asked.set()
            return 0

    asked, store = asyncio.Event(), Moody()
    pruner = asyncio.create_task(Pruner(store, clock, WEEK, Patience(clock)).run())
    try:
        for _ in range(3):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            clock.jump(1)
        await asyncio.wait_for(asked.wait(), 5)
    finally:
        pruner.cancel()


async def test_an_application_at_work_forgets_by_itself(url: str, clock: JumpingClock) -> None:
    """`keep` says when."""
    errands = Errands(url, keep=60, clock=clock)

    @errands.task
    async def nothing() -> None: ...

    async with errands.working():
        job = await errands.add_task(nothing)
        await errands.result(job, timeout=5)
        await eventually(1, lambda: asleep(clock, PAUSE))
        clock.jump(59)
        await asyncio.sleep(0.01)
        assert None is not await errands.job(job.id)
        clock.jump(62)
        await eventually(None, lambda: errands.job(job.id))
        with pytest.raises(LookupError, match=job.id):
            await errands.result(job)

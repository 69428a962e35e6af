"""Workers tell that they live, and that they went."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import timedelta
from importlib import metadata
from pathlib import Path

import pytest
from patience import asleep, eventually
from unreliable_store import Fault, UnreliableStore

from errands import Errands, Heartbeat
from errands._pulse import BEAT
from errands.stores import store_at
from errands.stores.memory import MemoryStore
from errands.testing import JumpingClock


async def only(errands: Errands) -> Heartbeat | None:
    """The one worker of the store, once it has told of itself."""
    found = await errands.workers()
    assert len(found) <= 1
    return found[0] if found else None


async def running(errands: Errands) -> int | None:
    beat = await only(errands)
    return None if beat is None else beat.running


async def test_a_worker_tells_what_it_is(url: str) -> None:
    """As soon as it starts."""
    errands = Errands(url, queues={"mail", "default"}, slots=7)

    async with errands.working():
        await eventually(0, lambda: running(errands))
        beat = await only(errands)

    assert beat is not None
    assert (os.getpid(), socket.gethostname()) == (beat.pid, beat.host)
    assert (("default", "mail"), 7, None) == (beat.queues, beat.slots, beat.gone_at)
    assert metadata.version("errands") == beat.version
    assert beat.worker.split("-")[-2] == str(os.getpid())


async def test_it_tells_every_few_seconds_what_runs(url: str, clock: JumpingClock) -> None:
    """By the clock of the store."""
    errands = Errands(url, clock=clock)
    gate = asyncio.Event()

    @errands.task
    async def wait() -> None:
        await gate.wait()

    async with errands.working():
        await eventually(0, lambda: running(errands))
        await eventually(2, lambda: asleep(clock, BEAT))  # the pulse, and the historian
        begin = clock.now()
        job = await errands.add_task(wait)
        clock.jump(5)
        await eventually(1, lambda: running(errands))
        beat = await only(errands)
        gate.set()
        await errands.result(job, timeout=5)

    assert beat is not None
    assert (begin, timedelta(seconds=5)) == (beat.started_at, beat.seen_at - begin)


async def test_a_worker_that_stops_says_so(url: str, clock: JumpingClock) -> None:
    """Its last word stays its last, and for a day."""
    errands = Errands(url, clock=clock)

    async with errands:
        async with errands.working():
            await eventually(0, lambda: running(errands))
            clock.jump(1)
        gone = await only(errands)
        assert gone is not None
        assert clock.now() == gone.gone_at
        clock.jump(timedelta(hours=23))
        assert [gone] == await errands.workers()


async def test_workers_that_went_are_forgotten_after_a_day(url: str, clock: JumpingClock) -> None:
    """By whoever is at work then."""
    errands = Errands(url, clock=clock)

    async with errands:
        async with errands.working():
            await eventually(0, lambda: running(errands))
        first = await names(errands)
        clock.jump(timedelta(days=1, seconds=1))
        async with errands.working():
            await eventually(set(), lambda: kept(first, errands))

    assert 1 == len(first)


async def names(errands: Errands) -> set[str]:
    return {beat.worker for beat in await errands.workers()}


async def kept(before: set[str], errands: Errands) -> set[str]:
    return before & await names(errands)


async def test_a_request_alone_is_no_worker(url: str) -> None:
    """Where no lifespan was seen, each request would leave a line."""
    errands = Errands(url)
    async with errands:
        async with errands.aside():
            pass
        assert [] == await errands.workers()


async def test_a_beat_that_fails_is_told_again(clock: JumpingClock) -> None:
    """The worker works on."""
    store = UnreliableStore(MemoryStore())
    store.plan["beat", 1] = Fault.BEFORE
    errands = Errands(store, clock=clock)

    async with errands.working():
        await eventually(1, lambda: store.calls["beat"])
        assert [] == await errands.workers()
        clock.jump(0.2)
        await eventually(0, lambda: running(errands))


async def test_a_store_that_is_away_does_not_keep_a_worker_from_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others will see it silent."""
    store = UnreliableStore(MemoryStore())
    errands = Errands(store)

    async with errands.working():
        await eventually(1, lambda: store.calls["beat"])
        store.is_away = True

    [beat] = await store.inner.workers()
    assert None is beat.gone_at
    assert "the store is unavailable" in caplog.text


async def test_the_dead_are_marked_by_who_sees_their_death(tmp_path: Path) -> None:
    """With the jobs that they held."""
    url = f"sqlite:///{tmp_path}/errands.db"
    dead, alive = Errands(url), store_at(url)
    async with dead:
        store = dead._engine.store
        await store.enlist("dead")
        beat = a_beat("dead", dead)
        await store.beat(beat)
    (folder := store._siblings._folder).mkdir(exist_ok=True)  # type: ignore[attr-defined]  # SQLite's
    (folder / "dead.lock").touch()  # as a kill leaves it: there, and free
    async with alive:
        later = beat.seen_at + timedelta(seconds=9)
        assert 0 == await alive.rescue(later)
        assert [beat.gone(later)] == await alive.workers()


def a_beat(worker: str, errands: Errands) -> Heartbeat:
    return Heartbeat(
        worker=worker, host="h", pid=1, queues=None, slots=5, running=2, version="1",
        started_at=errands.now(), seen_at=errands.now(),
    )  # fmt: skip  # a row

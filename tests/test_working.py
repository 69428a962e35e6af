"""Being at work: with other settings than usual, and what can be told of it meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from patience import eventually
from unreliable_store import UnreliableStore

from errands import Errands, State
from errands.errors import LoopGaveUp, StoreUnavailable
from errands.stores import without_password
from errands.stores.memory import MemoryStore


async def test_a_block_may_have_settings_of_its_own(url: str) -> None:
    """And afterwards the usual ones stand again."""
    errands = Errands(url, queues=["web"], slots=3, grace=1)

    @errands.task(queue="mail")
    async def mail() -> None: ...

    async with errands.working(queues=["mail"], slots=8, grace=timedelta(seconds=4)):
        worker = errands.worker
        await errands.result(await errands.add_task(mail), timeout=5)
        grace = errands.grace
    async with errands.working():
        usual = errands.worker

    assert worker is not None
    assert usual is not None
    assert (("mail",), 8, 4) == (worker.queues, worker.slots, grace)
    assert (("web",), 3, 1) == (usual.queues, usual.slots, errands.grace)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"slots": 0}, r"working\(slots=0\): expected 1 to"),
        ({"grace": -1}, r"working\(grace=-1\): expected 0 to"),
        ({"queues": []}, r"working\(queues=\[\]\): expected names"),
        ({"queues": "mail"}, r"working\(queues='mail'\): expected names"),
    ],
)
async def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any], says: str) -> None:
    """Before anything is opened."""
    errands = Errands("memory:")

    with pytest.raises(ValueError, match=says):
        async with errands.working(**wrong):
            pass
    assert not errands.is_open


async def test_only_who_is_at_work_has_a_worker(url: str) -> None:
    """Which tells how many jobs run now."""
    errands = Errands(url)
    gate = asyncio.Event()

    @errands.task
    async def wait() -> None:
        await gate.wait()

    async with errands:
        assert (None, False, False) == (errands.worker, errands.is_up, errands.is_claiming)
        async with errands.working():
            job = await errands.add_task(wait)
            await eventually(1, lambda: errands.worker and errands.worker.running)
            assert errands.is_up
            gate.set()
            await errands.result(job, timeout=5)
            await eventually(0, lambda: errands.worker and errands.worker.running)
        assert (None, False, 0) == (errands.worker, errands.is_up, errands.released)


async def test_who_stops_claims_no_more(url: str) -> None:
    """And says afterwards how many jobs went back."""
    errands = Errands(url, grace=0.05)
    stops, is_claiming = asyncio.Event(), list[bool]()

    @errands.task
    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            is_claiming.append(errands.is_claiming)
            stops.set()

    async with errands:
        async with errands.working():
            job = await errands.add_task(wait)
            await eventually(1, lambda: errands.worker and errands.worker.running)
            is_claiming.append(errands.is_claiming)
        back = await errands.job(job.id)

    assert ([True, False], 1) == (is_claiming, errands.released)
    assert back is not None
    assert (State.QUEUED, 0) == (back.state, back.attempt)


async def test_while_the_store_is_away_nothing_is_claimed() -> None:
    """But the worker is up, and claims again when the store is back."""
    store = UnreliableStore(MemoryStore())
    errands = Errands(store)

    async with errands.working():
        assert errands.is_claiming
        store.is_away = True
        await eventually(False, lambda: errands.is_claiming)
        assert errands.is_up
        store.is_away = False
        await eventually(True, lambda: errands.is_claiming)


@pytest.mark.errands_falls
async def test_a_worker_with_a_loop_that_was_given_up_is_not_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that has nothing else to do ends then."""

    class Broken(MemoryStore):
        async def rescue(self, now: object) -> int:
            raise RuntimeError("broken")

    async def at_once(*_: object) -> None:
        await asyncio.sleep(0)

    errands = Errands(Broken())
    monkeypatch.setattr(errands._engine.clock, "sleep", at_once)

    async def work() -> None:
        async with errands.working():
            await eventually(False, lambda: errands.is_up)
            assert not errands.is_claiming

    with pytest.raises(ExceptionGroup) as group:
        await work()
    assert group.group_contains(LoopGaveUp)


async def test_settings_are_the_usual_ones_again_after_a_failure() -> None:
    """Of a store that cannot be opened."""
    store = UnreliableStore(MemoryStore())
    store.is_away = True
    errands = Errands(store, grace=3)

    with pytest.raises(StoreUnavailable):
        async with errands.working(grace=9):
            pass
    assert 3 == errands.grace


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///errands.db?synchronous=normal", "sqlite:///errands.db?synchronous=normal"),
        ("postgresql://ann:s3cr:t@db:5/x", "postgresql://ann:***@db:5/x"),
        ("postgresql://ann@db/x", "postgresql://ann@db/x"),
        ("postgresql://ann:s3cret@[db/x", "postgresql:…"),
        ("postgresql://db/x?user=ann&password=s3cr%40t", "postgresql://db/x?user=ann&password=***"),
        ("postgresql://:s3cret@/x?sslpassword=s3cret", "postgresql://:***@/x?sslpassword=***"),
    ],
)
def test_an_address_shows_no_password(url: str, shown: str) -> None:
    """Wherever it stands in the URL."""
    assert shown == without_password(url)


def test_a_store_that_was_given_is_shown_by_its_kind() -> None:
    """It has no URL that we know."""
    assert "MemoryStore" == Errands(MemoryStore()).address
    assert "memory:" == Errands("memory:").address

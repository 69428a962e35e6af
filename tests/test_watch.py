"""Warnings: what an operator should know, each with its cure, and not too often."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import copy_context

import pytest
from patience import eventually

from errands import Errands
from errands._local import LocalCall, Locals
from errands._watch import Watch
from errands.testing import JumpingClock


def watch_of(errands: Errands, local: Locals | None = None) -> Watch:
    engine = errands._engine
    return Watch(engine.store, engine.clock, engine._patience, local or engine.locals)


async def test_jobs_that_nobody_would_take_are_told_of(
    url: str, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After a minute, then every ten; not those that a worker knows, or that are paused."""
    old, new = Errands(url, clock=clock), Errands(url, clock=clock, queues=["mail"])

    @old.task(name="stranger", queue="mail")
    async def stranger() -> None: ...

    @old.task(name="elsewhere")
    async def elsewhere() -> None: ...

    @old.task(name="known", queue="mail")
    @new.task(name="known", queue="mail")
    async def known() -> None: ...

    if url == "memory:":  # which nobody else can see
        new._engine._store = old._engine._store
    async with old, new:
        for each in (stranger, elsewhere, known):
            await old.options(after=3600 if each is known else 0).add_task(each)
        async with new.working():
            await asyncio.sleep(0.1)  # in which the watch falls asleep
            assert [] == warnings(caplog)
            clock.jump(61)
            await eventually(2, lambda: len(warnings(caplog)))
            assert "jobs of 'elsewhere' wait in the queue 'default'" in warnings(caplog)[0]
            assert "errands.cancel(Query(task='stranger'))" in warnings(caplog)[1]

            clock.jump(30)
            await asyncio.sleep(0.1)  # in which it could be told again
            assert 2 == len(warnings(caplog))
            await new.pause(task="stranger")
            clock.jump(601)
            await eventually(3, lambda: len(warnings(caplog)))
            await asyncio.sleep(0.1)  # in which the paused one could be
            assert 3 == len(warnings(caplog))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "errands.watch"]


async def test_a_wrong_clock_is_told_of(errands: Errands, caplog: pytest.LogCaptureFixture) -> None:
    """With its direction, if it is wrong by more than a second."""
    async with errands:
        watch, clock = watch_of(errands), errands._engine.clock
        assert abs(clock.skew) < 1
        clock.skew = -0.9
        await watch.look()
        assert "" == caplog.text
        clock.skew = -90.0
        await watch.look()
    assert "this machine's clock is 90.0 s behind the store's" in caplog.text


async def test_starved_threads_are_told_of(
    errands: Errands, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to change."""
    gate = threading.Event()
    local = Locals(threads=1, max_pending=10)
    for _ in range(3):
        local.admit()
        local.start([LocalCall(gate.wait, (10,), {}, copy_context())])
    await eventually(2, lambda: local.starving()[0])
    monkeypatch.setattr("errands._watch.STARVED", 0.0)
    async with errands:
        with caplog.at_level(logging.WARNING):
            await watch_of(errands, local).look()
    gate.set()
    await local.ended()

    assert "2 local tasks wait for a thread" in caplog.text
    assert "Errands(threads=…)" in caplog.text

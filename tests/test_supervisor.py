"""Loops are kept running, and a store that is away is asked again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from errands import Clock
from errands._supervisor import Patience, supervise
from errands.errors import LoopGaveUp, StoreFull, StoreUnavailable
from errands.testing import JumpingClock


class HurriedClock(Clock):
    """Waits for nothing, and remembers what it was to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


def falling(times: int, then: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A loop that falls so many times and then goes on with `then`."""
    falls = 0

    async def loop() -> None:
        nonlocal falls
        if falls < times:
            falls += 1
            raise RuntimeError(f"fall {falls}")
        await then()

    return loop


@pytest.mark.errands_falls
async def test_a_loop_that_falls_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """After a wait that grows, with the error in the log."""
    clock, up = HurriedClock(), asyncio.Event()

    async def stay() -> None:
        up.set()

    await asyncio.wait_for(supervise({"claims": falling(3, stay)}, clock), 5)
    assert up.is_set()
    assert [0.2, 0.4, 0.8] == clock.waits
    errors = [record for record in caplog.records if record.name == "errands.supervisor"]
    assert 3 == len(errors)
    assert all("claims failed" in record.getMessage() and record.exc_info for record in errors)


@pytest.mark.errands_falls
async def test_a_loop_that_will_not_stay_up_is_given_up() -> None:
    """After so many falls in so short a time; the error names it and has the last fall."""
    clock = HurriedClock()

    async def stay() -> None: ...

    with pytest.raises(ExceptionGroup) as group:
        await supervise({"claims": falling(9, stay)}, clock, restarts=3)
    [error] = group.value.exceptions
    assert isinstance(error, LoopGaveUp)
    assert "claims failed 4 times" in str(error)
    assert "fall 4" in str(error.__cause__)


@pytest.mark.errands_falls
async def test_falls_that_are_far_apart_are_forgiven() -> None:
    """Only many in a short time are too many."""
    up = asyncio.Event()

    async def stay() -> None:
        up.set()

    await supervise({"claims": falling(30, stay)}, HurriedClock(), restarts=3, within=0)
    assert up.is_set()


@pytest.mark.errands_falls
async def test_a_loop_that_is_given_up_ends_the_others() -> None:
    """They are cancelled: half a worker is none."""
    ended = asyncio.Event()

    async def stay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(
            supervise({"a": stay, "b": falling(9, stay)}, HurriedClock(), restarts=1), 5
        )
    assert ended.is_set()


@pytest.mark.errands_falls
async def test_one_that_falls_leaves_its_neighbours_alone() -> None:
    """Each loop falls by itself."""
    starts: list[str] = []
    up = asyncio.Event()

    async def steady() -> None:
        starts.append("steady")
        await up.wait()

    async def stay() -> None:
        up.set()

    await asyncio.wait_for(supervise({"a": steady, "b": falling(3, stay)}, HurriedClock()), 5)
    assert ["steady"] == starts


async def test_cancelling_the_supervisor_ends_its_loops() -> None:
    """Quietly, and to the end of their cleanup."""
    started, cleaned = asyncio.Event(), asyncio.Event()

    async def loop() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    supervisor = asyncio.create_task(supervise({"a": loop}, JumpingClock()))
    await asyncio.wait_for(started.wait(), 5)
    supervisor.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervisor
    assert cleaned.is_set()


def away(times: int, error: StoreUnavailable) -> Callable[[], Awaitable[str]]:
    """A question that a store does not answer so many times."""
    left = times

    async def ask() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return "here"

    return ask


async def test_an_unavailable_store_is_asked_until_it_answers() -> None:
    """With waits that double, drawn between half and all of their length, to the longest."""
    clock = HurriedClock()
    patience = Patience(clock, longest=1.0)

    assert "here" == await patience.until_done(away(8, StoreUnavailable("away")))
    full = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    assert 8 == len(clock.waits)
    assert all(whole / 2 <= wait <= whole for wait, whole in zip(clock.waits, full, strict=True))


async def test_a_store_that_is_away_is_logged_once_in_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line for many tries, as a warning: it is not our loop that fell."""
    patience = Patience(HurriedClock())
    await patience.until_done(away(50, StoreFull("no room")))
    await patience.until_done(away(50, StoreFull("no room")))

    told = [record for record in caplog.records if "no room" in record.getMessage()]
    assert [logging.WARNING] == [record.levelno for record in told]


async def test_another_error_is_not_waited_out() -> None:
    """Patience is for stores only."""
    clock = HurriedClock()

    async def ask() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await Patience(clock).until_done(ask)
    assert [] == clock.waits

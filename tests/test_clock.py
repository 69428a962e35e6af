"""The clocks: the store's time, and the one that jumps."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from errands import Clock
from errands._clock import whole
from errands.testing import JumpingClock

THEN = datetime(2020, 5, 5, tzinfo=UTC)


async def test_a_clock_follows_the_one_it_asks() -> None:
    """Even if this machine's is years ahead."""
    clock = Clock()

    async def ask() -> datetime:
        return THEN

    await clock.follow(ask)
    assert THEN <= clock.now() < THEN + timedelta(seconds=10)


async def test_an_answer_is_taken_for_the_middle_of_the_question() -> None:
    """A slow store does not make the clock late."""
    clock, asked = Clock(), asyncio.Event()

    async def ask() -> datetime:
        asked.set()
        await asyncio.sleep(0.05)
        return THEN

    await clock.follow(ask)
    ahead = clock.now() - THEN
    assert asked.is_set()
    assert timedelta(seconds=0.02) <= ahead < timedelta(seconds=10)


async def test_of_several_answers_the_quickest_counts() -> None:
    """The first one often has to wait for others, and a connection to be made."""
    clock, begin, pauses = Clock(), time.monotonic(), [0.1, 0.0]

    async def ask() -> datetime:
        instant = THEN + timedelta(seconds=time.monotonic() - begin)
        await asyncio.sleep(pauses.pop(0) if pauses else 0.1)
        return instant

    await clock.follow(ask)
    now = THEN + timedelta(seconds=time.monotonic() - begin)
    assert timedelta(seconds=0.02) > abs(clock.now() - now)


async def test_a_clock_whose_question_fails_goes_on_as_before() -> None:
    """The error is told to who asked."""
    clock = Clock()

    async def answer() -> datetime:
        return THEN

    async def refuse() -> datetime:
        raise ConnectionError("away")

    await clock.follow(answer)
    with pytest.raises(ConnectionError):
        await clock.follow(refuse)
    assert THEN <= clock.now() < THEN + timedelta(seconds=10)


def test_time_is_in_whole_milliseconds() -> None:
    """The precision that every store keeps."""
    assert 0 == Clock().now().microsecond % 1000
    assert timedelta(0) == Clock().now().utcoffset()
    assert THEN.replace(microsecond=1000) == whole(THEN.replace(microsecond=1999))


async def test_a_sleep_ends() -> None:
    """And one that is cancelled leaves nothing behind."""
    clock = Clock()
    await asyncio.wait_for(clock.sleep(0), 5)
    sleeper = asyncio.create_task(clock.sleep(1000))
    await asyncio.sleep(0)
    sleeper.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sleeper


def test_a_jumping_clock_stands_still() -> None:
    """Until it is told to jump, and then exactly as far."""
    clock = JumpingClock(THEN)
    before = clock.now()
    clock.jump(1.5)
    clock.jump(timedelta(minutes=1))

    assert (THEN, THEN + timedelta(seconds=61.5)) == (before, clock.now())


def test_a_jump_calls_what_it_passes_each_at_its_instant() -> None:
    """In order of time, and of asking where that is the same."""
    clock, heard = JumpingClock(THEN), list[tuple[str, float]]()

    def at(name: str, seconds: float) -> None:
        clock.call_later(
            seconds, lambda: heard.append((name, (clock.now() - THEN).total_seconds()))
        )

    for name, seconds in (("late", 3), ("b", 2), ("c", 2), ("a", 1)):
        at(name, seconds)
    clock.jump(2.5)
    assert [("a", 1.0), ("b", 2.0), ("c", 2.0)] == heard
    clock.jump(0.5)
    assert ("late", 3.0) == heard[-1]


def test_what_is_asked_for_in_a_jump_happens_in_it() -> None:
    """A timer that asks for the next one rings as often as it would have."""
    clock, heard = JumpingClock(THEN), list[float]()

    def again() -> None:
        heard.append((clock.now() - THEN).total_seconds())
        clock.call_later(1, again)

    clock.call_later(1, again)
    clock.jump(3.5)
    assert [1.0, 2.0, 3.0] == heard


def test_what_was_called_off_is_not_called() -> None:
    """Also when it is called off twice."""
    clock, heard = JumpingClock(THEN), list[int]()
    timer = clock.call_later(1, lambda: heard.append(1))
    timer.cancel()
    timer.cancel()
    clock.jump(2)

    assert [] == heard


async def test_a_jumping_clock_follows_nobody() -> None:
    """It would not stand still otherwise."""
    clock = JumpingClock(THEN)

    async def ask() -> datetime:
        return THEN + timedelta(days=1)

    await clock.follow(ask)
    assert THEN == clock.now()


async def test_sleepers_wake_in_a_jump() -> None:
    """Those whose time has come, and no others."""
    clock = JumpingClock(THEN)
    early = asyncio.create_task(clock.sleep(1))
    late = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.jump(5)
    await asyncio.wait_for(early, 5)

    assert not late.done()
    clock.jump(5)
    await asyncio.wait_for(late, 5)

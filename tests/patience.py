"""Wait for what another thread or process does, with an end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from errands.testing import JumpingClock

T = TypeVar("T")

LOOK = 0.002  # seconds between two looks


async def eventually(expected: object, look: Callable[[], object], timeout: float = 10.0) -> None:
    """Look until what is seen equals `expected`; fail with what was seen last."""
    seen: object = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                found = look()
                seen = await found if inspect.isawaitable(found) else found
                if seen == expected:
                    return
                await asyncio.sleep(LOOK)  # what is seen gives no signal
    except TimeoutError:
        raise AssertionError(f"after {timeout:g} s: {seen!r} instead of {expected!r}") from None


def asleep(clock: JumpingClock, seconds: float) -> int:
    """How many sleep for exactly so long from now: those that a jump is meant for."""
    due = clock.now() + timedelta(seconds=seconds)
    return sum(when == due and timer.callback is not None for when, _, timer in clock._timers)


async def soon(awaitable: Awaitable[T], what: str = "it", timeout: float = 10.0) -> T:
    """What `awaitable` answers, as long as that does not take forever."""
    try:
        async with asyncio.timeout(timeout):
            return await awaitable
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {timeout:g} s") from None

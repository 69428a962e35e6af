"""The clock: the store's time, kept on this machine's monotonic clock.

A host clock that is wrong or stepped changes nothing: what is due, and whose lease is over,
is reckoned by the one clock that all who share the store can ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

QUESTIONS = 4  # after the time, at the most
SURE = 0.0005  # seconds that an answer may take, and no other question is needed


class Timer(Protocol):
    """What was asked of a clock, and may be called off."""

    def cancel(self) -> None:
        """Forget it."""
        ...


class Clock:
    """Tells the store's time, and waits by it.

    Attributes:
        skew: Seconds by which this machine's clock was ahead of the store's when it was asked.
    """

    skew = 0.0

    def __init__(self) -> None:
        """Start from this machine's time, until `follow` has asked the store."""
        self._set(datetime.now(UTC), time.monotonic())

    def now(self) -> datetime:
        """The time, in UTC and whole milliseconds. May be asked from any thread."""
        ms, at = self._base
        return datetime.fromtimestamp(int(ms + (time.monotonic() - at) * 1000) / 1000, UTC)

    async def follow(self, ask: Callable[[], Awaitable[datetime]]) -> None:
        """Ask the store for its time, taken to be that of the middle of the question.

        Of several questions the quickest counts: it says best when it was answered.
        """
        answers: list[tuple[float, datetime, float, datetime]] = []
        while len(answers) < QUESTIONS and not (answers and answers[-1][0] <= SURE):
            before = time.monotonic()
            instant = await ask()
            after = time.monotonic()
            middle = datetime.now(UTC) - timedelta(seconds=(after - before) / 2)
            answers.append((after - before, instant, (before + after) / 2, middle))
        _, instant, at, middle = min(answers)
        self.skew = (middle - instant).total_seconds()
        self._set(instant, at)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` in the running loop once so many seconds have passed."""
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        over = asyncio.Event()
        timer = self.call_later(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    def _set(self, instant: datetime, at: float) -> None:
        # in one assignment: other threads see both or neither
        self._base = instant.timestamp() * 1000, at


def whole(instant: datetime) -> datetime:
    """The instant in whole milliseconds: the precision that every store keeps."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def local_time() -> datetime:
    """The clock of this machine, in UTC and whole milliseconds."""
    return whole(datetime.now(UTC))

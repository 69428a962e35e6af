"""A clock that stands still until it is told to jump."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from errands import Clock


class _Timer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class JumpingClock(Clock):
    """Pass it as `Errands(clock=…)`: retries, delays and leases then wait for `jump` alone.

    Args:
        start: What it shows at first; aware, whole milliseconds.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """Stand still."""
        self._now = start
        self._order = count()
        self._timers: list[tuple[datetime, int, _Timer]] = []

    def now(self) -> datetime:
        """What the clock shows."""
        return self._now

    async def follow(self, ask: Callable[[], Awaitable[datetime]]) -> None:
        """Follow nobody."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Timer:
        """Call `callback` in the jump that passes this instant."""
        timer = _Timer(callback)
        when = self._now + timedelta(seconds=seconds)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def jump(self, by: float | timedelta) -> None:
        """Show a later time, and call what was to be called until then, each at its instant."""
        until = self._now + (by if isinstance(by, timedelta) else timedelta(seconds=by))
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, _up_to_milliseconds(when))
            if timer.callback is not None:
                timer.callback()
        self._now = max(self._now, until)


def _up_to_milliseconds(instant: datetime) -> datetime:
    return instant + timedelta(microseconds=-instant.microsecond % 1000)

"""The pulse: tells the store every few seconds that a worker lives, and at its end that it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from ._clock import Clock
from ._heartbeat import Heartbeat
from ._store import Store
from ._supervisor import Patience
from .errors import StoreUnavailable

BEAT = 5.0  # seconds between two beats


class Pulse:
    """Beats for one worker.

    Args:
        first: What the worker is.
        state: What `Heartbeat.seen` is to be told of now.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        patience: Patience,
        first: Heartbeat,
        state: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Tell nobody yet."""
        self._store, self._clock, self._patience = store, clock, patience
        self._last, self._state = first, state
        self._turn, self._is_over = asyncio.Lock(), False

    @property
    def now(self) -> Heartbeat:
        """What there is to tell; `seen_at` is when the store was told last."""
        return self._last.seen(self._last.seen_at, **self._state())

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self._patience.until_done(self._beat)
            await self._clock.sleep(BEAT)

    async def stop(self, seconds: float) -> None:
        """Tell that the worker is gone, unless that takes longer than so many seconds."""
        try:
            async with asyncio.timeout(seconds), self._turn:  # no beat comes after the last one
                self._is_over = True
                self._last = self.now.gone(self._clock.now())
                await self._store.beat(self._last)
        except TimeoutError:
            self._patience.tell(StoreUnavailable(f"it did not answer in {seconds:g} s"))
        except StoreUnavailable as error:
            self._patience.tell(error)

    async def _beat(self) -> None:
        async with self._turn:
            if not self._is_over:
                beat = self._last.seen(self._clock.now(), **self._state())
                await self._store.beat(beat)
                self._last = beat


def own_version() -> str:
    """The version of Errands that is installed; empty if it runs without being installed."""
    try:
        return metadata.version("errands")
    except metadata.PackageNotFoundError:
        return ""

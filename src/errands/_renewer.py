"""The renewer: keeps a worker's leases from a thread of its own.

A task that blocks the event loop blocks everything that lives there, but not this: its job
stays its own, nobody starts it a second time, and the log says which task it is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta

from ._clock import Clock
from ._store import Store
from .errors import StoreUnavailable

logger = logging.getLogger("errands.worker")


class Renewer:
    """Lengthens the leases of what `held` names, three times in each lease.

    Args:
        held: The ids of the jobs; called in the renewer's thread.
        lost: Told, in the event loop, which of them are somebody else's now.
        away: Told, in the renewer's thread, that the store did not answer.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker: str,
        lease: timedelta,
        held: Callable[[], Collection[str]],
        lost: Callable[[Collection[str]], object],
        away: Callable[[StoreUnavailable], object],
    ) -> None:
        """Remember whom to ask; `start` begins."""
        self._store, self._clock, self._worker, self._lease = store, clock, worker, lease
        self._held, self._lost, self._away = held, lost, away
        self._over = threading.Event()

    def start(self) -> None:
        """Begin, for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="errands renewer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End, and wait for the thread."""
        self._over.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        pause = self._lease.total_seconds() / 3
        while not self._over.wait(pause):
            self._watch(pause)
            held = self._held()
            if held:
                self._renew(held)

    def _renew(self, held: Collection[str]) -> None:
        try:
            ours = self._store.extend(held, self._worker, self._clock.now() + self._lease)
        except StoreUnavailable as error:
            self._away(error)
            return
        if missing := set(held) - ours:
            self._call(self._lost, missing)

    def _watch(self, pause: float) -> None:
        """See whether the loop has turned since we looked last."""
        silent = time.monotonic() - self._seen
        if silent > 1.5 * pause:
            task = asyncio.current_task(self._loop)
            name = task.get_name() if task is not None else "something outside any task"
            logger.warning("the event loop has been blocked for %.1f s by %s", silent, name)
        self._call(self._turned)

    def _turned(self) -> None:
        self._seen = time.monotonic()

    def _call(self, function: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop was closed under us
            self._over.set()

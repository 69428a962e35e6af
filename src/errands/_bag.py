"""The bag of one request: what it added is stored, then started; or dropped, where it failed."""

from __future__ import annotations

from typing import Any

from ._door import Door
from ._engine import Engine
from ._entry import Entry, batches, calls_of, stored_of, waiting_for_stored
from ._finish import finish
from ._handling import Handling
from ._job import Job


class Bag:
    """The part of `BackgroundTasks` that has what was added; mostly for the middleware."""

    __slots__ = (
        "_engine", "_entries", "_handling", "_has_jobs", "_is_closed", "door", "root", "scope"
    )  # fmt: skip  # a row

    def __init__(self, engine: Engine, scope: Any = None, door: Door | None = None) -> None:
        """Begin with nothing. Errors that are being handled now are none of the request's."""
        self._engine = engine
        self.enter_door(scope or {}, door)
        self._entries: list[Entry] = []
        self._has_jobs = self._is_closed = False  # jobs: to be stored, or stored
        self._handling = Handling()

    def enter_door(self, scope: Any, door: Door | None) -> None:
        """The request is now with this application, whose `root` may be below another's.

        Args:
            scope: Of the request, as ASGI has it.
            door: How the application answers.
        """
        self.scope, self.door = scope, door
        self.root = scope.get("root_path", "")  # kept, since a router changes it on its way down

    async def flush(self) -> list[Job]:
        """Store the jobs now, and answer with all that this request has stored.

        They still wait for its end to start, and are removed again if it fails.

        Raises:
            StoreUnavailable: if the store cannot be written; then nothing was promised.
            JobExists: with `on_conflict="raise"`, if an unfinished job has the key.
        """
        if self.is_unstored:
            await finish(self._store(self._entries))
        return [entry.stored for entry in self._entries if entry.stored is not None]

    def failure(self) -> BaseException | None:
        """The error that is being handled right now, if the request raised it."""
        return self._handling.error()

    async def drop(self) -> None:
        """The handler raised: forget what it added, but for what was added for that case."""
        dropped = [entry for entry in self._entries if not entry.survives]
        self._entries = [entry for entry in self._entries if entry.survives]
        for entry in self._entries:
            entry.only_then = False
        self._engine.locals.dismiss(calls_of(dropped))
        if stored := stored_of(dropped):
            await finish(self._engine.drop(stored))

    async def release(self) -> None:
        """Store what is not stored yet, and start everything that is there now."""
        if self.is_unstored:
            await finish(self._release())
        else:
            self._start(self._taken())

    async def close(self, *, wait: bool) -> None:
        """The request is over: start everything; what is added from now on starts at once.

        Args:
            wait: Return when all of it has ended, as for a request without a lifespan.
        """
        self._is_closed = True
        try:
            await self.release()
        finally:
            self.forget_compensation()
        if wait:
            await self._engine.settled()

    def end(self) -> None:
        """As `close`, for a request whose jobs are stored or that has none."""
        self._is_closed = True
        if self._entries:
            self._start(self._taken())
            self.forget_compensation()

    def forget_compensation(self) -> None:
        """The handler has not raised: forget what was added for that case."""
        if self._entries:
            unneeded = [entry for entry in self._entries if entry.only_then]
            self._engine.locals.dismiss(calls_of(unneeded))
            self._entries = [entry for entry in self._entries if not entry.only_then]

    @property
    def is_unstored(self) -> bool:
        """Whether there is a job that the store does not have yet."""
        return self._has_jobs and any(entry.is_unstored for entry in self._entries)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store or to start."""
        return not self._entries

    async def _release(self) -> None:
        ready = self._taken()
        try:
            await self._store(ready)
        finally:  # what the store refuses is no reason to lose the rest
            self._start(ready)

    def _taken(self) -> list[Entry]:
        ready = [entry for entry in self._entries if not entry.only_then]
        self._entries = [entry for entry in self._entries if entry.only_then]
        return ready

    def _start(self, ready: list[Entry]) -> None:
        if self._has_jobs:
            self._engine.start(stored_of(ready))
        if calls := calls_of(ready):
            self._engine.locals.start(calls)

    async def _store(self, entries: list[Entry]) -> None:
        for batch in batches([entry for entry in entries if entry.is_unstored]):
            jobs = [entry.what for entry in batch if isinstance(entry.what, Job)]
            if any(job.waits_for for job in jobs):
                jobs = [waiting_for_stored(job, [*self._entries, *entries]) for job in jobs]
            on_conflict = batch[0].options.on_conflict
            for entry, job in zip(batch, await self._engine.hold(jobs, on_conflict), strict=True):
                entry.stored = job

"""The engine: what lives between opening and closing: store, worker, scheduler, services."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from ._aside import Aside
from ._clock import Clock
from ._declared import Declaration, Declarations
from ._heartbeat import Heartbeat
from ._historian import Historian
from ._job import Job
from ._pruner import Pruner
from ._reserving import Reserving
from ._resident import Resident
from ._room import Room
from ._runner import Middleware, Next
from ._schedule import Schedule
from ._scheduler import Scheduler
from ._services import Services
from ._settings import Settings
from ._store import Store
from ._supervisor import Loop, supervise
from ._watch import Watch
from ._worker import Worker
from .errors import SetupError
from .executors._part import require_application, require_open

logger = logging.getLogger("errands")

HOOKS_GRACE = 2.0  # seconds that hooks have to be told the last outcomes
ASK_TIME = 15.0  # seconds between two looks at the store's clock


class Engine(Reserving):
    """Keeps jobs in a store and, while it works, has them run."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        """Open nothing yet."""
        super().__init__(store, clock, settings)
        self.declared = Declarations()
        self.is_working = False
        self.released = 0  # jobs that went back unfinished when we stopped last
        self._scheduler: Scheduler | None = None
        self._kept_services: Services | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._aside = Aside(partial(self.working, aside=True))

    @property
    def is_open(self) -> bool:
        """Whether jobs can be added and read."""
        return self._opened > 0

    @property
    def is_open_for_long(self) -> bool:
        """Whether somebody opened the store for longer than a request."""
        return self._opened > 0 and not self._aside.is_used

    @property
    def grace(self) -> float:
        """Seconds that jobs and local tasks get to end."""
        return self._settings.grace

    @property
    def heartbeat(self) -> Heartbeat | None:
        """What our worker is now, if we are at work."""
        return None if self._worker is None else self._worker.heartbeat

    @property
    def left_behind(self) -> list[str]:
        """The tasks whose threads go on although their runs are over."""
        return [] if self._worker is None else self._worker.left

    @property
    def is_up(self) -> bool:
        """Whether we are at work, and no loop was given up."""
        return self._supervisor is not None and not self._supervisor.done()

    @property
    def is_claiming(self) -> bool:
        """Whether we take jobs from the store, and it answers."""
        is_willing = self._worker is not None and not self._worker.is_stopping
        return self.is_up and is_willing and not self._patience.is_waiting

    @property
    def is_behind(self) -> bool:
        """Whether we are at work, and the job of a tick whose time has come is not stored yet."""
        return self._scheduler is not None and self._scheduler.is_behind

    @property
    def closed_store(self) -> Store:
        """The store, which may not be open: for what is asked before that."""
        return self._store

    async def open(self) -> None:
        """Open the store; where it is open already, count who wants it to be.

        Raises:
            SetupError: if it is open in another event loop; or while a process imports the
                modules of its tasks.
            StoreUnavailable: if it cannot be opened.
        """
        require_open()
        loop = asyncio.get_running_loop()
        if self._opened and self._place[0] is not loop:
            raise SetupError("this Errands is open in another event loop; give each loop its own")
        if not self._opened:
            self._place, self._room = (loop, os.getpid()), Room(self._settings.max_queued)
            await self._store.__aenter__()
            try:
                await self.clock.follow(self._store.now)
            except BaseException:
                await self._store.__aexit__(None, None, None)
                raise
            self.hooks.begin()
        self._opened += 1

    async def close(self) -> None:
        """Close the store, if nobody else wants it open; first the local tasks get to end."""
        if self._opened == 1:
            await self._see_off()
            await self.locals.drain(self.grace)
            await self.hooks.end(HOOKS_GRACE)
            self._opened = 0
            await self._store.__aexit__(None, None, None)
        else:
            self._opened -= 1

    @asynccontextmanager
    async def working(self, *, aside: bool = False, **changes: Any) -> AsyncIterator[None]:
        """Open the store and run jobs while in the block.

        Args:
            aside: Claim nothing; run only what is born here.
            changes: Settings that are others while in the block.

        Raises:
            SetupError: if it is at work already, or in a process that runs its tasks.
            NotSerializable: if an argument of a declared schedule cannot be kept.
            LoopGaveUp: in a group, at the end, if a loop would not stay up.
        """
        require_application()
        if self.is_working:
            raise SetupError("this Errands is at work already")
        async with AsyncExitStack() as stack:
            stack.callback(setattr, self, "_settings", self._settings)
            self._settings = replace(self._settings, **changes)
            await self.open()
            stack.push_async_callback(self.close)
            declared = [] if aside else self._declared
            worker = await self._hire(aside)
            self.is_working = True
            own = {} if aside else await self._begin(worker, declared)
            loops = {**worker.loops, **own}
            supervisor = self._supervisor = asyncio.create_task(
                supervise(loops, self.clock), name="errands supervisor"
            )
            stack.push_async_callback(self._dismiss, worker, supervisor)
            yield

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[bool]:
        """Be at work for the length of one request, and say whether for that alone.

        Where somebody opened us for longer there is nothing to do.
        """
        if self.is_open_for_long:
            yield False
            return
        async with self._aside():
            yield True

    def declare(self, name: str | None, declaration: Declaration) -> None:
        """Take a schedule of the code down; see `Declarations.declare`."""
        self.declared.declare(name, self.task_of(declaration.function), declaration)
        if self._scheduler is not None:  # as in a notebook
            self._scheduler.adopt(self._declared)

    async def heed(self) -> None:
        """Have our worker, if there is one, know of the orders in the store from now on."""
        if self._worker is not None:
            await self._worker.heed()

    def wake_scheduler(self) -> None:
        """Have our scheduler, if we are at work, see at once what has changed."""
        if self._scheduler is not None:
            self._scheduler.wake()

    def resident(self, name: str) -> Resident | None:
        """The service of that name that this process has for itself, while at work."""
        return None if self._kept_services is None else self._kept_services.resident(name)

    async def _see_off(self) -> None:
        """Give late additions their time; those that the store does not answer end with it."""
        if self._strays:
            await asyncio.wait(self._strays, timeout=self.grace)
        for stray in (strays := list(self._strays)):
            stray.cancel()
        if strays:
            await asyncio.wait(strays)

    async def _hire(self, aside: bool) -> Worker:
        worker = Worker(
            self._store,
            self.tasks,
            self.clock,
            self._patience,
            queues=() if aside else self._settings.queues,
            slots=self._settings.slots,
            lease=self._settings.lease,
            middleware=self._layers,
            ended=self.ended,
            processes=self._settings.processes,
            advanced=self._advanced,
        )
        await worker.open()
        self._worker = worker
        return worker

    async def _dismiss(self, worker: Worker, supervisor: asyncio.Task[None]) -> None:
        services, self._kept_services = self._kept_services, None
        await asyncio.gather(
            worker.stop(self.grace),
            self.locals.drain(self.grace),
            *([] if services is None else [services.stop()]),
        )
        historian, self._historian = self._historian, None
        if historian is not None:
            await historian.stop()
        self._worker, self._scheduler, self.is_working = None, None, False
        self._supervisor, self.released = None, worker.released
        supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await supervisor

    @property
    def _layers(self) -> Sequence[Middleware]:
        """What wraps each run: those who are told that it starts, then the application's own."""

        async def announce(job: Job, call_next: Next) -> Any:
            self.hooks.tell("started", [job])
            return await call_next(job)

        own = [announce] if self.hooks.hears("started") else []
        return [*own, *self._settings.middleware]

    @property
    def _declared(self) -> list[Schedule]:
        return self.declared.rows(self.tasks, self.clock.now(), self.max_payload)

    async def _begin(self, worker: Worker, declared: Sequence[Schedule]) -> dict[str, Loop]:
        pruner = Pruner(self._store, self.clock, self._settings.keep, self._patience)
        scheduler = self._scheduler = Scheduler(
            self._store, self.tasks, self.clock, self._patience, declared, worker.name
        )
        await scheduler.begin()
        services = self._kept_services = Services(
            self._store,
            self.services,
            self.clock,
            self._patience,
            worker.name,
            queues=self._settings.queues,
            lease=self._settings.lease,
            grace=self.grace,
            middleware=self._settings.middleware,
        )
        services.open()
        worker.steer(services.runs, services.log)
        self._historian = Historian(self._store, self.clock, self._patience)
        watch = Watch(self._store, self.clock, self._patience, self.locals)
        own = {
            "pruner": pruner.run,
            "clock": self._follow_time,
            "scheduler": scheduler.run,
            "watch": watch.run,
            "history": self._historian.run,
        }
        return {**own, **services.loops}

    async def _follow_time(self) -> None:
        while True:
            await self.clock.sleep(ASK_TIME)
            await self._patience.until_done(lambda: self.clock.follow(self._store.now))

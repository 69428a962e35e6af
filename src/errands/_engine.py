"""The engine: what lives between opening and closing: store, worker, pruner, local tasks."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from ._aside import Aside
from ._clock import Clock
from ._declared import Declaration, Declarations
from ._heartbeat import Heartbeat
from ._historian import Historian
from ._hooks import Hooks, event_of
from ._job import Job, State
from ._local import Locals
from ._options import Options
from ._pruner import Pruner
from ._resident import Resident
from ._room import Room
from ._runner import Middleware, Next
from ._schedule import Schedule
from ._scheduler import Scheduler
from ._service import Service
from ._services import Services
from ._settings import Settings
from ._store import OnConflict, Store
from ._supervisor import Loop, Patience, supervise
from ._task import Named, Task, Tasks, called
from ._watch import Watch
from ._worker import Worker
from .errors import NotOpen, SetupError, StoreUnavailable, UnknownTask
from .executors._part import require_application, require_open

logger = logging.getLogger("errands")

HOOKS_GRACE = 2.0  # seconds that hooks have to be told the last outcomes
HELD = timedelta(seconds=60)  # a request whose jobs have limits is over by then, or it has died
ASK_TIME = 15.0  # seconds between two looks at the store's clock


class Engine:
    """Keeps jobs in a store and, while it works, has them run."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        """Open nothing yet."""
        self._store, self.clock, self._settings = store, clock, settings
        self.tasks = Tasks()
        self.declared = Declarations()
        self.services = Named[Service](beside=self.tasks)
        self.tasks.beside = self.services
        self.locals = Locals(settings.threads, settings.max_pending)
        self.is_working = False
        self.released = 0  # jobs that went back unfinished when we stopped last
        self._patience = Patience(clock)
        self.hooks = Hooks()
        self._room = Room(settings.max_queued)
        self._worker: Worker | None = None
        self._scheduler: Scheduler | None = None
        self._historian: Historian | None = None
        self._kept_services: Services | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._opened = 0
        self._aside = Aside(partial(self.working, aside=True))
        self._strays: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    # Living

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
    def max_payload(self) -> int:
        """Bytes that the arguments of one job may take; 0 for any number."""
        return self._settings.max_payload

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            NotOpen: if it is closed.
        """
        if not self._opened:
            raise NotOpen(
                "the store is closed: call setup_errands(app, errands), or work inside "
                "`async with errands:`; in a test, `with TestClient(app)` opens it"
            )
        return self._store

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
        if self._opened and self._loop is not loop:
            raise SetupError("this Errands is open in another event loop; give each loop its own")
        if not self._opened:
            self._loop = loop
            await self._store.__aenter__()
            try:
                await self.clock.follow(self._store.now)
            except BaseException:
                await self._store.__aexit__(None, None, None)
                raise
        self._opened += 1

    async def close(self) -> None:
        """Close the store, if nobody else wants it open; first the local tasks get to end."""
        if self._opened == 1:
            await self._see_off()
            await self.locals.drain(self.grace)
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
            loops = {**worker.loops, **own, "hooks": self.hooks.begin()}
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

    # Jobs

    def make(
        self, options: Options, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Job:
        """A job for one call of a declared function; see `Options.job`.

        Raises:
            TypeError: if `function` is a coroutine, or nothing that can be called.
            UnknownTask: if it was not declared.
            SetupError: if it is to run in a process, which could not find it.
        """
        task = self.task_of(function)
        if task.place == "process":
            _ = task.reference  # or nobody could run it
        return options.job(task, args, kwargs, self.clock.now(), self._settings.max_payload)

    def task_of(self, function: Any) -> Task:
        """The task that was declared from a function.

        Raises:
            TypeError: if `function` is a coroutine, or nothing that can be called.
            UnknownTask: if it was not declared.
        """
        task = self.tasks.of(called(function))
        if task is None:
            name = getattr(function, "__qualname__", repr(function))
            if self.services.of(function) is not None:
                raise UnknownTask(
                    f"{name} is a service, which starts with the application and is not added; "
                    f"await errands.restart({name}) starts one again that has ended."
                )
            raise UnknownTask(
                f"{name} is not a task. Write @errands.task above it; or, if it may be lost, "
                "hand it to the request's BackgroundTasks."
            )
        return task

    def declare(self, name: str | None, declaration: Declaration) -> None:
        """Take a schedule of the code down; see `Declarations.declare`."""
        self.declared.declare(name, self.task_of(declaration.function), declaration)
        if self._scheduler is not None:  # as in a notebook
            self._scheduler.adopt(self._declared)

    def wake_scheduler(self) -> None:
        """Have our scheduler, if we are at work, see at once what has changed."""
        if self._scheduler is not None:
            self._scheduler.wake()

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """Store jobs, and start at once those for which a slot is free here."""
        store, worker = self.store, self._worker
        await self._room.take(store, jobs)
        if worker is None:
            return self._added(jobs, await store.add(jobs, on_conflict))
        born: set[str] = set()
        if on_conflict != "replace":  # which may meet a queued job
            claimed = [worker.bear(job) for job in jobs]
            born = {job.id for job in claimed if job is not None}
            jobs = [new or job for new, job in zip(claimed, jobs, strict=True)]
        kept: list[Job] = []
        try:
            kept = await store.add(jobs, on_conflict)
        except asyncio.CancelledError:  # they may be stored all the same
            if born:
                self.keep_up(self._add_again(worker, jobs, set(born)))
                born.clear()
            raise
        finally:
            self._added(jobs, kept)
            self._start_born(worker, kept, born)
        return kept

    async def add_within(
        self, connection: Any, jobs: Sequence[Job], on_conflict: OnConflict
    ) -> list[Job]:
        """Store jobs in the transaction that is open on a connection of the caller's.

        They are queued, since nothing may start before the commit, of which nobody tells us.
        """
        await self._room.take(self.store, jobs)
        return await self.store.add_within(connection, jobs, on_conflict)

    async def hold(self, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
        """Store jobs that are not to start before `start` is called.

        Those that this process may run are leased to it meanwhile, so that nobody else starts
        one before the request, and its transaction, are over. One that has a limit takes none of
        its places so early: it is due later, and at once when it is started.
        """
        worker = self._worker
        await self._room.take(self.store, jobs)
        if worker is None or on_conflict == "replace":
            return self._added(jobs, await self.store.add(jobs, on_conflict))
        jobs = [self._held(job, worker) if worker.takes(job) else job for job in jobs]
        kept = self._added(jobs, await self.store.add(jobs, on_conflict))
        for job, there in zip(jobs, kept, strict=True):
            if job.state is State.RUNNING and there.id == job.id:
                worker.hold(there)
        return kept

    def start(self, jobs: Sequence[Job]) -> None:
        """Start jobs that were held."""
        for job in jobs:
            if self._worker is not None and job.worker == self._worker.name:
                self._worker.start_held(job)
        if later := [job.due_again() for job in jobs if job.is_bound and job.free_at > job.due_at]:
            self.keep_up(self._free(later))

    async def drop(self, jobs: Sequence[Job]) -> None:
        """Remove jobs that were held: their request failed.

        If the store does not answer, they stay held until it does, and so are not run.
        """
        try:
            removed = await self.store.remove(jobs)
        except StoreUnavailable:
            self.keep_up(self._drop_later(jobs))
        else:
            self._dropped(jobs, removed)

    @property
    def pending(self) -> int:
        """How many local tasks have not ended, and late additions are under way."""
        return self.locals.pending + len(self._strays)

    def keep_up(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let a coroutine go on by itself; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(coroutine, name="errands late task")
        self._strays.add(task)
        task.add_done_callback(self._kept_up)

    async def settled(self) -> None:
        """Wait until nothing runs here: no job, no local task, nothing that was added late."""
        while self._strays or self.locals.is_busy or self._is_busy:
            if self._strays:
                await asyncio.wait(self._strays)
            await self.locals.ended()
            if self._worker is not None:
                await self._worker.drained()

    @property
    def _is_busy(self) -> bool:
        return self._worker is not None and self._worker.is_busy

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever this process stores an outcome or a progress of the job."""
        event = asyncio.Event()
        self._watchers[job_id].add(event)
        try:
            yield event
        finally:
            self._watchers[job_id].discard(event)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

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
        await self.hooks.ended(HOOKS_GRACE)
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
        worker.steer(services.runs)
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

    def _held(self, job: Job, worker: Worker) -> Job:
        return job.extended(self.clock.now() + HELD) if job.is_bound else worker.claimed(job)

    async def _free(self, jobs: Sequence[Job]) -> None:
        await self._patience.until_done(lambda: self._store.save(jobs))

    async def _drop_later(self, jobs: Sequence[Job]) -> None:
        self._dropped(jobs, await self._patience.until_done(lambda: self._store.remove(jobs)))

    def _dropped(self, jobs: Sequence[Job], removed: Collection[str]) -> None:
        for job in jobs:
            if self._worker is not None:
                self._worker.forget(job)
            if job.id not in removed:
                logger.warning("job %s (%s) has moved on and cannot be dropped", job.id, job.task)

    async def _add_again(self, worker: Worker, jobs: Sequence[Job], born: set[str]) -> None:
        """Whoever added them was cancelled: a job that is there already is not added twice."""
        kept: list[Job] = []
        try:
            kept = await self._patience.until_done(lambda: self._store.add(jobs, "keep"))
        finally:
            self._start_born(worker, kept, born)

    def _added(self, jobs: Sequence[Job], kept: list[Job]) -> list[Job]:
        """What is kept; the hooks are told of those that were added, and not there already."""
        if self.hooks.hears("queued"):
            pairs = zip(jobs, kept, strict=False)
            self.hooks.tell("queued", [there for job, there in pairs if there.id == job.id])
        return kept

    def _start_born(self, worker: Worker, kept: Sequence[Job], born: set[str]) -> None:
        for job in kept:
            if job.id in born:
                born.discard(job.id)
                worker.start(job)
        for job_id in born:  # not stored, or another job had the key
            worker.miscarry(job_id)

    def _kept_up(self, task: asyncio.Task[None]) -> None:
        self._strays.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task that was added after its request is lost", exc_info=error)

    def ended(self, job: Job) -> None:
        """Tell those who wait for it, and the hooks, that the outcome of a job is stored."""
        if self._historian is not None:
            self._historian.note(job)
        if (event := event_of(job)) is not None:
            self.hooks.tell(event, [job])
        self._wake(job)

    def _advanced(self, jobs: Sequence[Job]) -> None:
        self.hooks.tell("progress", jobs)
        for job in jobs:
            self._wake(job)

    def _wake(self, job: Job) -> None:
        for waiting in self._watchers.get(job.id, ()):
            waiting.set()

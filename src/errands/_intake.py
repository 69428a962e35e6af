"""The intake: calls become jobs here, are stored, started and waited for."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ._clock import Clock
from ._function import called
from ._historian import Historian
from ._hooks import Hooks, event_of
from ._job import Job
from ._local import Locals
from ._options import Options
from ._room import Room
from ._service import Service
from ._settings import Settings
from ._store import OnConflict, Store
from ._supervisor import Patience
from ._task import Named, Task, Tasks
from ._worker import Worker
from .errors import NotOpen, SetupError, UnknownTask

logger = logging.getLogger("errands")


class Intake:
    """What comes in, while a store is open."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        """Open nothing yet."""
        self._store, self.clock, self._settings = store, clock, settings
        self.tasks = Tasks()
        self.services = Named[Service](beside=self.tasks)
        self.tasks.beside = self.services
        self.locals = Locals(settings.threads, settings.max_pending)
        self.hooks = Hooks()
        self._patience = Patience(clock)
        self._room = Room(settings.max_queued)
        self._worker: Worker | None = None
        self._historian: Historian | None = None
        self._opened = 0
        self._place: tuple[asyncio.AbstractEventLoop | None, int] = None, 0  # where it was opened
        self._strays: set[asyncio.Task[None]] = set()
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            NotOpen: if it is closed.
            SetupError: in another event loop than the one it was opened in.
        """
        store = self._store_anywhere
        if self._loop_elsewhere is not None:
            raise SetupError(
                "this Errands is open in another event loop, as of the application around this "
                "thread: here `await errands.add_task(…)` works, and nothing else"
            )
        return store

    @property
    def _loop_elsewhere(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it was opened in, if that is another one of this process.

        That of a process which was forked from ours is nobody's: there the store refuses by itself.
        """
        loop, process = self._place
        is_here = asyncio.get_running_loop() is loop or os.getpid() != process
        return loop if self._opened and not is_here else None

    @property
    def _store_anywhere(self) -> Store:
        if not self._opened:
            raise NotOpen(
                "the store is closed: call setup_errands(app, errands), or work inside "
                "`async with errands:`; in a test, `with TestClient(app)` opens it"
            )
        return self._store

    @property
    def max_payload(self) -> int:
        """Bytes that the arguments of one job may take; 0 for any number."""
        return self._settings.max_payload

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

    async def add(self, jobs: Sequence[Job], on_conflict: OnConflict = "keep") -> list[Job]:
        """Store jobs, and start at once those for which a slot is free here.

        In another event loop, as a plain function in a thread may have one, it is done in ours.
        """
        if (ours := self._loop_elsewhere) is not None:
            there = asyncio.run_coroutine_threadsafe(self.add(jobs, on_conflict), ours)
            return await asyncio.wrap_future(there)
        if not self._room.is_bounded:
            return await self._add(jobs, on_conflict)
        async with self._room.kept_for(jobs, self.store):
            return await self._add(jobs, on_conflict)

    async def _add(self, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
        store, worker = self.store, self._worker
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
        store = self._store_anywhere  # the connection belongs to whoever calls
        async with self._room.kept_for(jobs, store):
            return await store.add_within(connection, jobs, on_conflict)

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

    def ended(self, job: Job) -> None:
        """Tell those who wait for it, and the hooks, that the outcome of a job is stored."""
        if self._historian is not None:
            self._historian.note(job)
        if self.hooks.are_any and (event := event_of(job)) is not None:
            self.hooks.tell(event, [job])
        if self._watchers:
            self._wake(job)

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

    def _advanced(self, jobs: Sequence[Job]) -> None:
        self.hooks.tell("progress", jobs)
        for job in jobs:
            self._wake(job)

    def _wake(self, job: Job) -> None:
        for waiting in self._watchers.get(job.id, ()):
            waiting.set()

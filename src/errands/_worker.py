"""The worker: claims due jobs and has them run, in this process."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from ._claimer import Claimer
from ._clock import Clock
from ._heartbeat import Heartbeat, LogLine
from ._helm import Helm
from ._job import Job
from ._parents import Parents
from ._pulse import Pulse, own_version
from ._renewer import Renewer
from ._runner import Middleware
from ._runs import Runs
from ._store import Claim, Store
from ._supervisor import Loop, Patience
from ._suspicion import Suspicion
from ._task import Tasks
from .executors.process import Processes

RESCUE = 0.3  # seconds between two looks for workers that died
UNBLOCK = 1.0  # and for jobs that a limit keeps back without need, at the most
KILL = 1.0  # seconds more, in which processes are killed that ignore their cancellation
CLEANUP = 2.0  # seconds that cancelled jobs have to clean up, and outcomes to be saved


class Worker:
    """Runs up to `slots` jobs at a time from the queues it is given.

    Args:
        queues: Which it works for; `None` for all of them, empty for none: then it runs
            only what is born here.
        slots: How many jobs run side by side.
        lease: How long a claimed job is held; it is renewed three times meanwhile.
        ended: Told about each outcome once it is stored.
        processes: How many jobs run side by side in processes of their own.
        advanced: Told which jobs have come further.
    """

    def __init__(
        self,
        store: Store,
        tasks: Tasks,
        clock: Clock,
        patience: Patience,
        *,
        queues: Collection[str] | None,
        slots: int,
        lease: timedelta,
        middleware: Sequence[Middleware],
        ended: Callable[[Job], object],
        processes: int = 1,
        advanced: Callable[[Sequence[Job]], object] = len,
    ) -> None:
        """Belong to the running event loop; claim nothing yet."""
        host = socket.gethostname()
        self.name = f"{host.partition('.')[0]}-{os.getpid()}-{os.urandom(4).hex()}"
        self._store, self._tasks, self._clock = store, tasks, clock
        self._queues, self._lease = queues, lease
        self._patience = patience
        self._freed, self._is_full = asyncio.Event(), False
        self._most, self._processes = processes, Processes(processes)
        self._unborn: set[str] = set()  # jobs for processes that are being stored
        self._runs = Runs(
            store, tasks, clock, patience, slots, middleware, self._free, ended,
            processes=self._processes, advanced=advanced,
        )  # fmt: skip  # a call
        self._suspicion = Suspicion(store, clock, patience, self._runs)
        self._parents = Parents(store, clock, patience, ended)
        self._helm = Helm(store, clock, patience, self.name, self._runs, slots)
        self._claimer = Claimer(
            store, clock, patience, self._runs, self._wanted, self._freed, self._sift
        )
        self._renewer = Renewer(
            store, clock, self.name, lease, self._runs.held, self._runs.lose, patience.tell
        )
        first = Heartbeat(
            worker=self.name, host=host, pid=os.getpid(), version=own_version(),
            queues=None if queues is None else tuple(sorted(queues)), slots=slots, running=0,
            started_at=clock.now(), seen_at=clock.now(),
            tasks=tuple(sorted({*tasks, *tasks.beside})),
            processes=processes, process_tasks=tuple(sorted(self._of_processes)),
        )  # fmt: skip  # a call
        self._log: Callable[[], tuple[LogLine, ...]] = tuple
        self._pulse = Pulse(store, clock, patience, first, self._state)
        self._is_stopping = self._is_stopped = False

    @property
    def loops(self) -> dict[str, Loop]:
        """What is to be supervised for as long as the worker lives."""
        loops = {**self._runs.loops, "orders": self._helm.run}
        if self._is_aside:
            return loops
        own = {"claims": self._claimer.run, "rescue": self._rescue, "pulse": self._pulse.run,
               "limits": self._unblock}  # fmt: skip  # a row
        return {**own, **loops}

    async def open(self) -> None:
        """Let the other workers know that we live.

        Raises:
            SetupError: if a process could not find the function of a task.
        """
        of_processes = [task for task in self._tasks.values() if task.place == "process"]
        references = [task.reference for task in of_processes]
        await self._store.enlist(self.name)
        if references and not self._is_aside:
            self._processes.warm(references)
        await self._helm.look()
        self._stop_listening = self._store.listen(self._ring)
        self._renewer.start()

    async def stop(self, grace: float) -> None:
        """Claim no more, let what runs end within `grace` seconds, hand back the rest."""
        self._is_stopping = True
        await self._claimer.stop(CLEANUP)
        await self._runs.stop(grace, CLEANUP + (KILL if self._of_processes else 0))
        await self._processes.close()
        self._is_stopped = True
        self._stop_listening()
        await self._renewer.stop()
        if not self._is_aside:
            await self._pulse.stop(CLEANUP)

    @property
    def heartbeat(self) -> Heartbeat:
        """What the worker is now; `seen_at` is when the store was told last."""
        return self._pulse.now

    @property
    def is_stopping(self) -> bool:
        """Whether no more jobs are claimed."""
        return self._is_stopping

    @property
    def released(self) -> int:
        """How many jobs went back unfinished when it stopped."""
        return self._runs.released

    @property
    def left(self) -> list[str]:
        """The names of the tasks whose threads go on although their runs are over."""
        return self._runs.left

    @property
    def is_busy(self) -> bool:
        """Whether a job runs here, or its outcome is not stored yet."""
        return self._runs.is_busy

    async def drained(self) -> None:
        """Wait until nothing runs here and every outcome is stored."""
        await self._runs.ended()

    # Jobs that are born here: stored as claimed, and started without a claim

    def takes(self, job: Job) -> bool:
        """Whether this worker may run the job, as far as queue, task and time go."""
        mine = self._is_aside or self._queues is None or job.queue in self._queues
        due = job.free_at <= self._clock.now()
        known = mine and due and job.task in self._tasks
        return known and not self._is_stopping and not self._helm.is_paused(job)

    def bear(self, job: Job) -> Job | None:
        """The job, claimed, if a slot is free and nobody waits for it; the slot is kept."""
        if job.is_bound:
            return None
        has_room = self._is_aside or (self._is_idle and self._runs.free > 0)
        if not has_room or not self.takes(job):
            return None
        if self._tasks[job.task].place == "process":
            if self._room <= 0 and not self._is_aside:
                return None
            self._unborn.add(job.id)
        self._runs.occupy()
        return self.claimed(job)

    def start(self, job: Job) -> None:
        """Run a job that was born here and is stored, unless the store took too long for that."""
        self._unborn.discard(job.id)
        if self._is_stopped:
            self._runs.vacate()  # its lease ends, or our process, and then another runs it
        else:
            self._runs.start(job)

    def miscarry(self, job_id: str) -> None:
        """Free the slot that was kept for a job which did not come to be stored."""
        self._unborn.discard(job_id)
        self._runs.vacate()

    def claimed(self, job: Job) -> Job:
        """The job, leased to this worker from now on."""
        return job.claimed(self.name, self._clock.now(), self._lease)

    def hold(self, job: Job) -> None:
        """Keep the lease of a stored job whose time to start has not come."""
        self._runs.hold(job)

    def start_held(self, job: Job) -> None:
        """Start a job that was held; where no slot is free, leave it to who has one first."""
        if not self._runs.holds(job):  # the request outlived its lease
            return
        if self._runs.free > 0 or self._is_aside:
            self._runs.occupy()
            self._runs.start(job)
        else:
            self._runs.unclaim(job)

    def forget(self, job: Job) -> None:
        """Hold a job no longer; it was removed from the store."""
        self._runs.forget(job)

    def steer(self, runs: Runs, log: Callable[[], tuple[LogLine, ...]]) -> None:
        """Have orders to cancel reach other runs of this process, too, and tell their log."""
        self._helm.steer(runs)
        self._log = log

    async def heed(self) -> None:
        """Know of the orders that are in the store, before the next job starts."""
        if not self._is_stopping:
            await self._helm.look()

    def _ring(self) -> None:
        self._claimer.ring()
        self._helm.ring()

    async def _sift(self, claimed: list[Job]) -> list[Job]:
        """Those that are to start; the others have gone back."""
        ready = await self._parents.sift(await self._helm.sift(claimed))
        return await self._suspicion.sift(ready)

    def _state(self) -> dict[str, object]:
        return {
            "running": self._runs.running, "slots": self._helm.slots, "log": self._log(),
            "in_processes": self._runs.count(self._of_processes),
        }  # fmt: skip  # a row

    async def _rescue(self) -> None:
        while True:
            await self._patience.until_done(lambda: self._store.rescue(self._clock.now()))
            await self._clock.sleep(RESCUE)

    async def _unblock(self) -> None:
        while True:
            await self._clock.sleep(UNBLOCK * random.uniform(0.5, 1.0))
            wanted = self._claim(self._tasks.keys(), 1)
            await self._patience.until_done(lambda: self._store.unblock(wanted))  # noqa: B023  # awaited in this turn

    @property
    def _of_processes(self) -> set[str]:
        """The names of the tasks that run in processes."""
        return {task.name for task in self._tasks.values() if task.place == "process"}

    @property
    def _room(self) -> int:
        """How many more jobs may start in processes."""
        of_processes = self._of_processes
        here = self._runs.count(of_processes) + len(self._unborn)
        return self._most - here - self._claimer.coming(of_processes)

    def _free(self) -> None:
        """A slot is free again, and maybe a process with it."""
        self._freed.set()
        if self._is_full and self._room > 0:
            self._claimer.ring()

    def _wanted(self, limit: int) -> list[Claim]:
        """Of the tasks that run in processes only what can start: another worker has the rest."""
        of_processes, tasks = self._of_processes, self._tasks.keys()
        room = self._room if of_processes else limit
        self._is_full = room <= 0
        if room >= limit:
            return [self._claim(tasks, limit)]
        claims = [self._claim(of_processes, room)] if room > 0 else []
        return [*claims, self._claim(tasks - of_processes, limit)]

    def _claim(self, tasks: Collection[str], limit: int) -> Claim:
        return Claim(
            worker=self.name,
            queues=self._queues,
            tasks=tasks,
            limit=limit,
            now=self._clock.now(),
            lease=self._lease,
            limits={name: each for name, each in self._tasks.limits.items() if name in tasks},
            watch=self._clock.now,
        )

    @property
    def _is_idle(self) -> bool:
        return self._claimer.is_idle

    @property
    def _is_aside(self) -> bool:
        """Whether this worker claims nothing and runs what is born here, however much."""
        return self._queues is not None and not self._queues

"""A resident: a service of which each process has one, kept up in this process alone.

Its job is one that no store has, so that both kinds of service live by the same rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from datetime import timedelta

from ._calling import Executors
from ._clock import Clock
from ._job import Job, State
from ._run import Run
from ._runner import Middleware
from ._service import Service
from ._stint import serve
from ._tails import Tails
from .executors.process import Processes
from .executors.thread import Threads


class Resident:
    """Keeps one service up.

    Args:
        worker: The name of the worker of this process.
        grace: Seconds that the service gets to stop.
    """

    def __init__(
        self,
        service: Service,
        worker: str,
        middleware: Sequence[Middleware],
        clock: Clock,
        grace: float,
        tails: Tails,
    ) -> None:
        """Belong to the running event loop; start nothing yet."""
        self._service, self._worker, self._middleware = service, worker, middleware
        self._clock, self._grace, self._tails = clock, grace, tails
        self._executors = Executors(Threads(1), Processes(1))
        self._context = copy_context()
        self._job, self._run = service.job(clock.now()), None
        self._news, self._is_stopping = asyncio.Event(), False
        self._work: asyncio.Task[Job] | None = None

    _run: Run | None

    @property
    def job(self) -> Job:
        """Its job as of now."""
        return self._job if self._run is None else self._run.job

    async def run(self) -> None:
        """Keep it up until stopped."""
        while not self._is_stopping:
            if self._job.is_final or self._job.free_at > self._clock.now():
                await self._wait()
            else:
                await self._serve()

    def restart(self) -> None:
        """Start it at once, unless it runs."""
        if self._run is None:
            self._job = self._job.retried(self._clock.now())
            self._news.set()

    async def stop(self) -> None:
        """Cancel it, and wait until it has stopped or was abandoned."""
        self._is_stopping = True
        self._news.set()
        if self._work is not None:
            self._work.cancel("the process stops")
            await asyncio.wait({self._work})

    async def _wait(self) -> None:
        """Sleep until it is due, or somebody starts it again."""
        self._news.clear()
        timer = None
        if not self._job.is_final:
            pause = (self._job.free_at - self._clock.now()).total_seconds() + 0.001
            timer = self._clock.call_later(pause, self._news.set)
        try:
            await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _serve(self) -> None:
        self._job = self._job.claimed(self._worker, self._clock.now(), timedelta(0))
        run = self._run = Run(self._job, lambda run: None)
        self._work = asyncio.get_running_loop().create_task(
            serve(
                run,
                self._service,
                self._middleware,
                self._executors,
                self._clock,
                grace=self._grace,
                tails=self._tails,
            ),
            name=f"errands {self._service.key}",
            context=self._context.copy(),
        )
        try:
            self._job = await self._work
        except asyncio.CancelledError:
            self._job = run.job.released(self._clock.now())
            if not self._is_stopping:
                raise
        finally:
            self._run = self._work = None
            if self._job.state is State.RUNNING:  # our own fault, which the supervisor tells of
                self._job = self._job.released(self._clock.now())

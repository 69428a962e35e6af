"""The process: runs the jobs of one `Errands` object until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import click

from errands import Errands
from errands.errors import ErrandsError, LoopGaveUp

from ._health import Health, Place, answering
from ._line import Line
from ._order import Order, loop_factory
from ._report import report_of, summary
from ._stop import Stop, leave_to_parent
from ._target import find_errands

logger = logging.getLogger("errands.worker")

TELL = 1.0  # seconds between two reports, and two looks whether all loops are up
LINGER = 3.0  # seconds that threads of tasks get to end when all else has ended


def run_here(order: Order, health: Place | None, line: Line | None) -> int:
    """Run jobs in this process, and answer with its exit status.

    Args:
        line: To the parent, if this is a child.

    Raises:
        click.ClickException: if the worker cannot start.
    """
    if line is not None:
        leave_to_parent()
    factory = loop_factory(order.loop)
    errands = find_errands(order.target, order.app_dir, is_factory=order.is_factory)
    with asyncio.Runner(loop_factory=factory) as runner:
        status = runner.run(_Process(errands, order, health, line).run())
        _end_soon(status)
    return status


class _Process:
    def __init__(
        self, errands: Errands, order: Order, health: Place | None, line: Line | None
    ) -> None:
        self._errands, self._order = errands, order
        self._health, self._line = health, line
        self._name, self._has_started = "", False

    async def run(self) -> int:
        stop = Stop()
        if self._line is None:
            stop.hear()
        else:
            stop.hear_as_child()
        status, reason = 1, ""
        try:
            async with answering(self._health, self._look), self._telling():
                status = await self._work(stop)
        except* LoopGaveUp as group:  # what is raised in here comes out in a group, too
            reason = f"the worker gave up, see above: {group.exceptions[0]}"
        if reason:
            raise click.ClickException(reason)
        return status

    async def _work(self, stop: Stop) -> int:
        begin = time.monotonic()
        try:
            async with self._errands.working(**self._order.settings):
                self._started(stop)
                while self._errands.is_up and not await stop.within(TELL):
                    pass
                begin = time.monotonic()
                if stop.is_asked():
                    logger.info("worker %s stops", self._name)
        except (ErrandsError, OSError, ValueError) as error:
            if self._has_started:
                raise
            raise click.ClickException(f"the worker cannot start: {error}") from error
        released = self._errands.released
        logger.info(
            "worker %s stopped in %.1f s: %s",
            self._name, time.monotonic() - begin,
            f"released {released} job{'s' * (released > 1)}" if released else "drained",
        )  # fmt: skip  # as in a sentence
        return 0

    def _started(self, stop: Stop) -> None:
        self._has_started = True
        worker = self._errands.worker
        if worker is None:  # pragma: no cover  # working() has one
            return
        self._name = worker.worker
        logger.info(
            "worker %s: %s, queues %s, slots %d, tasks %d, pid %d in %s, errands %s",
            worker.worker, self._errands.address, ",".join(worker.queues or ["all"]),
            worker.slots, len(self._errands.tasks), worker.pid, Path.cwd(), worker.version,
        )  # fmt: skip  # as above
        if self._errands.address.startswith(("memory:", "MemoryStore")):
            logger.warning("jobs in memory are seen by one process: nobody can add one for this")
        if not (self._errands.tasks or self._errands.service_names):
            logger.warning("no task is declared: let %s import their modules", self._order.target)
        if self._line is not None:
            self._line.grace, self._line.ask = self._errands.grace, stop.ask
            self._tell()

    def _look(self) -> Health:
        report = report_of(self._errands)
        is_ready = report is not None and report.ready
        return Health(is_ready, summary([report] if report else [], is_ready=is_ready))

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """Tell the parent how we do, while in the block."""
        if self._line is None:
            yield
            return
        task = asyncio.create_task(self._tell_on(), name="errands line")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _tell_on(self) -> None:
        while True:
            await asyncio.sleep(TELL)
            self._tell()

    def _tell(self) -> None:
        report = report_of(self._errands)
        if self._line is not None and report is not None:
            self._line.tell(report)


def _end_soon(status: int) -> None:
    """See that the process ends, although a thread of a task does not."""
    timer = threading.Timer(LINGER, os._exit, [status])
    timer.daemon = True
    timer.start()

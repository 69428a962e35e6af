"""A stint: one run of a service, from its start until it ends or is stopped.

Inside, `ready` says that the service works, `alive` that it still does, and `stopping` tells a
plain function that it is to return.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from ._calling import Executors
from ._clock import Clock
from ._job import Job
from ._leash import Leash
from ._progress import Progress
from ._run import Run, begin
from ._runner import Middleware, told, wrapped
from ._service import Service
from ._tails import Tails
from .errors import RunStopped

logger = logging.getLogger("errands.service")

CLEANUP = 1.0  # seconds in which what was abandoned is taken apart


class Stint:
    """What a service and its supervisor say to each other.

    Attributes:
        is_stopping: Whether the service is to end.
    """

    def __init__(self, run: Run, clock: Clock) -> None:
        """Take it for alive."""
        self._run, self._clock = run, clock
        self._seen = clock.now()
        self.is_stopping = self._is_abandoned = False

    def ready(self) -> None:
        """The service works."""
        self.alive()
        if not self.is_stopping:
            self._run.tell(Progress(0, text="ready"))

    def alive(self) -> None:
        """The service still works.

        Raises:
            RunStopped: in a thread that was abandoned, so that it ends.
        """
        if self._is_abandoned:
            raise RunStopped(f"this run of {self._run.job.task} was abandoned")
        self._seen = self._clock.now()

    def abandon(self) -> None:
        """Wait for its end no longer; its thread, if it is in one, ends at its next sign."""
        self._is_abandoned = self._run.is_stopped = True

    async def overdue(self, watchdog: float | None) -> None:
        """Wait until the service has been silent for so many seconds."""
        if watchdog is None:
            await asyncio.Event().wait()
            return
        while (left := watchdog - (self._clock.now() - self._seen).total_seconds()) > 0:
            await self._clock.sleep(left + 0.001)


_stint: ContextVar[Stint] = ContextVar("errands_stint")


def ready() -> None:
    """Say that the service works now, which `errands.started` waits for.

    Outside a service this does nothing.
    """
    stint = _stint.get(None)
    if stint is not None:
        stint.ready()


def alive() -> None:
    """Say that the service still works, as its `watchdog` asks for.

    Outside a service this does nothing.

    Raises:
        RunStopped: in a thread that was abandoned after its `grace`.
    """
    stint = _stint.get(None)
    if stint is not None:
        stint.alive()


def stopping() -> bool:
    """Whether the service is to end: a plain function asks again and again, and then returns.

    Outside a service it is `False`.
    """
    stint = _stint.get(None)
    return stint is not None and stint.is_stopping


async def serve(
    run: Run,
    service: Service,
    middleware: Sequence[Middleware],
    executors: Executors,
    clock: Clock,
    *,
    grace: float,
    tails: Tails,
) -> Job:
    """Run a service until it ends, and answer with its job as it is to be saved.

    No error of the service leaves this function. A cancellation does, once the service has
    stopped or, at the latest, after `grace` seconds.
    """
    stint = Stint(run, clock)
    tails.begin(service.name)
    begin(run)
    _stint.set(stint)
    leash = Leash(wrapped(lambda job: _called(service, executors), middleware)(run.job))
    work = asyncio.create_task(_error_of(leash), name=f"service {service.name}")
    watch = asyncio.create_task(stint.overdue(service.watchdog), name="errands watchdog")
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return _ended(run, service, work.result(), clock)
        await _stop(stint, service, work, leash, grace)
        silent = TimeoutError(f"{service.name} did not call alive() for {service.watchdog:g} s")
        return _ended(run, service, silent, clock)
    except asyncio.CancelledError:
        await _stop(stint, service, work, leash, grace)
        raise
    finally:
        watch.cancel()


async def _called(service: Service, executors: Executors) -> Any:
    if service.is_async:
        return await service.function()
    return await executors.threads.run(service.function)


async def _error_of(leash: Leash) -> BaseException | None:
    try:
        await leash
    except (KeyboardInterrupt, GeneratorExit):  # meant for the process, or for us
        raise
    except BaseException as error:  # noqa: BLE001  # it is the answer
        return error
    return None


async def _stop(
    stint: Stint, service: Service, work: asyncio.Task[Any], leash: Leash, grace: float
) -> None:
    stint.is_stopping = True
    if service.is_async:
        work.cancel("the service stops")
    try:
        await asyncio.wait({work}, timeout=grace)
    finally:
        if not work.done():
            logger.error(
                "service %s did not stop within %g s and is abandoned", service.name, grace
            )
            stint.abandon()
            if service.is_async:
                leash.drop()
            work.cancel("the service is abandoned")  # of a thread it is the first one
    if not (await asyncio.wait({work}, timeout=CLEANUP))[0]:  # middleware holds it
        leash.drop()
        work.cancel()
    elif not isinstance(error := work.result(), asyncio.CancelledError | None):
        logger.warning("service %s failed while it stopped", service.name, exc_info=error)


def _ended(run: Run, service: Service, error: BaseException | None, clock: Clock) -> Job:
    now = clock.now()
    if error is None and service.restart != "always":
        logger.info("service %s has returned, and is done", service.name)
        return run.job.done(None, now)
    text = "It returned." if error is None else told(error)
    wait = service.wait_after(run.job, now)
    how = "returned" if error is None else "failed"
    if wait is not None:
        level = logging.WARNING if error is None else logging.ERROR
        message = "service %s %s; starting it again in %.1f s"
        logger.log(level, message, service.name, how, wait, exc_info=error)
    else:
        logger.critical(
            "service %s %s and is given up after %d starts; errands.restart(%r) or a new "
            "version of it starts it again", service.name, how, run.job.attempt, service.name,
            exc_info=error,
        )  # fmt: skip  # a message and its parts
    return run.job.failed(text, now, wait)

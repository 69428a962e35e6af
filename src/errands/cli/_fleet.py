"""The fleet: a parent that keeps worker processes up, and ends them with itself."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path

from ._changes import changes
from ._child import Child
from ._health import Health, Place, answering
from ._order import Order
from ._report import summary
from ._stop import Stop

logger = logging.getLogger("errands.worker")

HAS_LINES = os.name == "posix" and hasattr(socket, "AF_UNIX")
SHORTEST, LONGEST = 0.1, 10.0  # seconds until a dead child is followed by another; they double
STEADY = 10.0  # seconds after which a child counts as one that stays up
TRIES = 5  # in a row, to start a child where another one has started before


def run_fleet(order: Order, processes: int, health: Place | None, *, is_reloading: bool) -> int:
    """Run jobs in so many processes, and answer with the exit status.

    Args:
        is_reloading: Whether they start anew when a Python file of the application changes.
    """

    async def run() -> int:
        fleet = _Fleet(order, processes, is_reloading)
        async with answering(health, fleet.look):
            return await fleet.run()

    return asyncio.run(run())


class _Fleet:
    def __init__(self, order: Order, processes: int, is_reloading: bool) -> None:
        self._folder, self._processes = order.app_dir, processes
        self._arguments = order.arguments()
        self._is_reloading = is_reloading
        if is_reloading and order.grace is None:
            self._arguments.insert(1, "--grace=0")
        self._children: dict[int, Child] = {}
        self._stop = Stop(self._kill)
        self._is_failed = False
        self._first_is_up = asyncio.Event()
        self._changed, self._edition = asyncio.Event(), 0

    async def run(self) -> int:
        """Keep the children up until told to stop, then end them."""
        self._stop.hear()
        logger.info("%d worker processes, kept up by pid %d", self._processes, os.getpid())
        watching = asyncio.create_task(self._watch()) if self._is_reloading else None
        await asyncio.sleep(0)  # let it watch before the first child reads its files
        keepers = [asyncio.create_task(self._keep_up(n)) for n in range(self._processes)]
        for keeper in keepers:
            keeper.add_done_callback(lambda _: self._stop.ask())  # none ends before it is asked to
        if watching is not None:
            watching.add_done_callback(self._watched)
        await self._stop.within(None)
        if watching is not None:
            watching.cancel()
        for child in self._children.values():
            child.stop()
        self._first_is_up.set()
        are_clean = await asyncio.gather(*keepers)
        return 0 if all(are_clean) and not self._is_failed else 1

    def look(self) -> Health:
        """How all of them do."""
        children = list(self._children.values())
        is_ready = len(children) == self._processes and all(c.is_ready for c in children)
        is_ready = is_ready and not self._stop.is_asked()
        reports = [child.report for child in children if child.report is not None]
        return Health(is_ready, summary(reports, is_ready=is_ready))

    async def _keep_up(self, number: int) -> bool:
        """Have one child after another, and say whether the last one ended well."""
        if number > 0:  # one shows whether they can start, and says only once why not
            await self._first_is_up.wait()
        wait, misses = SHORTEST, 0
        while not self._stop.is_asked():
            try:
                child, status = await self._have(number)
            except OSError as error:  # there are too many processes
                logger.error("no worker process can be made: %s; next try in 10 s", error)
                await self._stop.within(LONGEST)
                continue
            if self._stop.is_asked():
                return status == 0 or not child.has_started
            misses = 0 if child.has_started or child.is_asked else misses + 1
            if child.is_asked:
                wait = SHORTEST
            elif misses and self._is_reloading:
                logger.error("worker process %d %s; waiting for a change", child.pid, _end(status))
                await self._news()
            elif misses and (misses == TRIES or not self._first_is_up.is_set()):
                self._give_up(status)
                return False
            else:
                wait = SHORTEST if child.age > STEADY else wait
                logger.warning(
                    "worker process %d %s; another starts in %.1f s", child.pid, _end(status), wait
                )
                await self._stop.within(wait)
                wait = min(2 * wait, LONGEST)
        return True

    async def _have(self, number: int) -> tuple[Child, int]:
        """Start a child, and wait for its end; answers with its exit status, too."""
        edition = self._edition
        child = self._children[number] = await Child.start(self._arguments)
        if edition != self._edition or self._stop.is_asked():  # news while it was made
            child.stop()
        try:
            return child, await self._watched_over(child)
        finally:
            del self._children[number]

    async def _watched_over(self, child: Child) -> int:
        """The exit status of a child; once one has started to work, the others may follow."""
        telling = asyncio.create_task(child.has_told.wait())
        ending = asyncio.create_task(child.ended())
        await asyncio.wait([telling, ending], return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if child.has_started:
            self._first_is_up.set()
        return await ending

    def _give_up(self, status: int) -> None:
        if not self._is_failed:
            logger.error("no worker process could start: the last one %s", _end(status))
        self._is_failed = True
        self._stop.ask()

    async def _news(self) -> None:
        """Wait for a change, or to be told to stop."""
        waits = [self._changed.wait(), self._stop.within(None)]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _watch(self) -> None:
        async for paths in changes(self._folder):
            names = ", ".join(sorted(_within(path, self._folder) for path in paths)[:5])
            logger.info("%s changed; starting anew", names)
            self._edition += 1
            self._changed.set()
            self._changed = asyncio.Event()
            for child in self._children.values():
                child.stop()

    def _watched(self, watching: asyncio.Task[None]) -> None:
        if not watching.cancelled() and (error := watching.exception()) is not None:
            logger.error("changes are not seen any more", exc_info=error)

    def _kill(self) -> None:
        for child in list(self._children.values()):
            child.kill()


def _end(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"was ended by signal {-status}"


def _within(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

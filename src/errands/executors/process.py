"""Functions that need a processor for long run in processes of our own.

Each is a new interpreter, never a fork of a process with threads. A crash, a kill or a limit of
memory costs the one job that runs there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from .._progress import Progress
from .._reference import Reference
from ._child import Child
from ._wire import Assignment, Done

logger = logging.getLogger("errands.process")


class Processes:
    """A pool of up to `limit` processes, each of which runs one job at a time."""

    def __init__(self, limit: int) -> None:
        """Start no process yet."""
        self._places = asyncio.Semaphore(limit)
        self._limit, self._taken = limit, 0
        self._references: Sequence[Reference] = ()
        self._idle: list[Child] = []
        self._children: set[Child] = set()
        self._filling: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def room(self) -> int:
        """How many more jobs would start at once; below 0, how many wait for others."""
        return self._limit - self._taken

    @property
    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [child.pid for child in self._children]

    def warm(self, references: Sequence[Reference]) -> None:
        """Start all processes, one after another, and have them import these functions."""
        self._references = references
        self._do_later(self._limit)

    async def run(
        self,
        work: Assignment,
        limit: float | None,
        tell: Callable[[Progress], object],
        names: Mapping[str, str],
    ) -> tuple[Done, bytes]:
        """Run one job in a process that has nothing else to do; see `Child.run`.

        The limit counts from the moment at which the function begins.
        """
        self._taken += 1
        try:
            async with self._places:
                child = await self._fit()
                try:
                    return await child.run(work, limit, tell, names)
                finally:
                    self._give_back(child)
        finally:
            self._taken -= 1

    async def close(self) -> None:
        """End all processes, and wait until they have ended."""
        self._is_closed = True
        for filling in self._filling:
            filling.cancel()
        for child in list(self._children):
            child.dismiss()
            self._forget(child)
        self._idle.clear()
        while chores := self._filling | self._ending:
            await asyncio.wait(chores)

    async def _fit(self) -> Child:
        """A process that can run a job: one that has been idle, or else a new one."""
        while self._idle:
            child = self._idle.pop()
            if child.is_fit:
                return child
            self._forget(child)
        return await self._start()

    async def _start(self) -> Child:
        child = Child()
        self._children.add(child)
        try:
            await child.prepare(self._references)
        except BaseException:
            self._forget(child)
            raise
        return child

    def _give_back(self, child: Child) -> None:
        if child.is_fit and not self._is_closed:
            self._idle.append(child)
            return
        self._forget(child)
        if self._references:
            self._do_later(1)

    def _forget(self, child: Child) -> None:
        """See that it ends, and count it no more."""
        if child in self._children:
            self._children.remove(child)
            task = asyncio.get_running_loop().create_task(child.gone(), name="errands process end")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _do_later(self, count: int) -> None:
        if self._is_closed:
            return
        task = asyncio.get_running_loop().create_task(self._fill(count), name="errands processes")
        self._filling.add(task)
        task.add_done_callback(self._filling.discard)

    async def _fill(self, count: int) -> None:
        """Start so many processes ahead, as far as they are missing."""
        for _ in range(count):
            async with self._places:
                if len(self._children) >= self._limit:
                    continue
                try:
                    self._idle.append(await self._start())
                except Exception:
                    logger.exception("a process for tasks cannot be started")
                    return

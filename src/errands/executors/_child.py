"""A child: one process that runs tasks, as the application sees it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from .._progress import Progress
from .._reference import Reference
from ..errors import ProcessDied, SetupError
from ._records import log_again
from ._remote import ended, rebuilt
from ._system import kill_group, ready, signal_name, stack, started
from ._wire import (
    Advanced,
    Assignment,
    Cancel,
    Done,
    Failure,
    Line,
    Logged,
    Prepare,
    Ready,
    Started,
    ToApplication,
    ToProcess,
    to_application,
)

logger = logging.getLogger("errands.process")

START = 60.0  # seconds in which a process has imported what it needs
GRACE = 2.0  # seconds that a cancelled function has to end by itself
LOOK = 0.1  # seconds in which it says where it stands, before it is killed
LEAVE = 2.0  # seconds in which an idle process ends
LONGEST = 16_384  # bytes of what a crash left behind


class Child:
    """Starts an interpreter, and listens to it in a thread.

    Attributes:
        is_fit: Whether it can run another job.
    """

    def __init__(self) -> None:
        """Start it, from the thread of the event loop: the system ends it with this thread."""
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self._line = Line(ours)
        self._faults = tempfile.TemporaryFile()  # noqa: SIM115  # open for as long as the process
        try:
            with theirs:
                self._process = started(theirs.fileno(), self._faults)
        except BaseException:
            self._line.close()
            self._faults.close()
            raise
        self.is_fit, self._silence, self._last_words = True, 0, ""
        self._is_reaped, self._reaping = False, threading.Lock()
        self._tell: Callable[[Progress], object] = lambda progress: None
        self._began: asyncio.Future[None] = self._loop.create_future()
        self._answer: asyncio.Future[tuple[Done | Failure | None, bytes]]
        self._answer = self._loop.create_future()
        self._gone = asyncio.Event()
        threading.Thread(target=self._listen, name="errands process", daemon=True).start()

    @property
    def pid(self) -> int:
        """That of the process."""
        return self._process.pid

    async def prepare(self, references: Sequence[Reference]) -> None:
        """Have it import what it will need.

        Raises:
            SetupError: if it does not get ready.
            ProcessDied: if it ended instead.
        """
        self._send(Prepare(references))
        try:
            await self._begin("the modules of the tasks")
        except BaseException:
            self.kill()
            raise

    async def run(
        self,
        work: Assignment,
        limit: float | None,
        tell: Callable[[Progress], object],
        names: Mapping[str, str],
    ) -> tuple[Done, bytes]:
        """Run one job there, and answer with what it returned. Cancelled, it cancels it there.

        Args:
            limit: Seconds after which the process is killed.
            tell: Called with its progress.
            names: Under which name a module is known here that has another one there.

        Raises:
            BaseException: whatever the function raised.
            TimeoutError: if it was killed after its limit.
            ProcessDied: if it ended.
        """
        self._tell, self._silence = tell, os.fstat(self._faults.fileno()).st_size
        self._began, self._answer = self._loop.create_future(), self._loop.create_future()
        try:
            self._send(work)
            await self._begin(work.reference.module)
            await asyncio.wait({self._answer}, timeout=limit)
            if not self._answer.done():
                raise await self._overdue(work, limit)
        except asyncio.CancelledError:
            await self._end_run(work)
            raise
        except BaseException:
            self.kill()
            raise
        return self._value(work, names)

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        self.is_fit = False
        with self._reaping:
            if not self._is_reaped:
                kill_group(self.pid)

    def dismiss(self) -> None:
        """Let it end."""
        self.is_fit = False
        with suppress(OSError):
            self._line.socket.shutdown(socket.SHUT_WR)

    async def gone(self, seconds: float = LEAVE) -> None:
        """Wait for its end, which comes within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            self.kill()
            await self._gone.wait()

    def _send(self, message: ToProcess) -> None:
        with suppress(OSError):  # it is gone: the thread sees it, too
            self._line.send(message)

    async def _begin(self, module: str) -> None:
        either: set[asyncio.Future[Any]] = {self._began, self._answer}
        await asyncio.wait(either, timeout=START, return_when=asyncio.FIRST_COMPLETED)
        if not (self._began.done() or self._answer.done()):
            raise SetupError(
                f"a process did not get ready within {START:g} s, while it imported {module}. Does "
                'that start something? Write `if __name__ == "__main__":` above it.'
            )
        if self._answer.done() and self._answer.result()[0] is None and not self._began.done():
            raise self._died("a process")

    def _value(self, work: Assignment, names: Mapping[str, str]) -> tuple[Done, bytes]:
        answer, body = self._answer.result()
        if answer is not None and answer.progress is not None:
            self._tell(answer.progress)
        if isinstance(answer, Done):
            return answer, body
        if answer is None:
            raise self._died(f"the process of {work.task}", work.max_memory)
        error = rebuilt(answer, names)
        if answer.is_late or isinstance(error, MemoryError):
            self.dismiss()  # nobody knows in what state that has left it
        raise error

    async def _overdue(self, work: Assignment, limit: float | None) -> BaseException:
        """Kill it, but let it say first where it stands."""
        with self._reaping:
            if not self._is_reaped:
                os.kill(self.pid, signal.SIGUSR1)  # see faulthandler, which needs no interpreter
        await asyncio.wait({self._answer}, timeout=LOOK)
        self.kill()
        return ended(
            TimeoutError,
            f"{work.task} ran for longer than its timeout of {work.timeout} s, did not end, and "
            f"was killed after {limit:g} s",
            self._said(),
        )

    async def _end_run(self, work: Assignment) -> None:
        """Ask the function to end, and kill it if it does not."""
        self._tell = lambda progress: None
        try:
            self._send(Cancel())
            await asyncio.wait({self._answer}, timeout=GRACE)
        finally:  # also if nobody waits any more
            if not self._answer.done():
                logger.warning(
                    "%s did not end within %g s after it was cancelled, and is killed",
                    work.task, GRACE,
                )  # fmt: skip  # a message and its parts
                self.kill()
            elif self._answer.result()[0] is None:
                self.is_fit = False

    def _died(self, who: str, max_memory: int | None = None) -> BaseException:
        self.is_fit = False
        status = self._process.returncode
        how = (
            f"was ended by {signal_name(-status)}"
            if status and status < 0
            else f"left with {status}"
        )
        hint = "" if max_memory is None else f"; its max_memory is {max_memory:,} bytes"
        return ended(ProcessDied, f"{who} {how}{hint}", self._said())

    def _said(self) -> str:
        """What was written about this run by `faulthandler`."""
        if self._faults.closed:
            return self._last_words
        return stack(os.pread(self._faults.fileno(), LONGEST, self._silence))

    def _hear(self, message: ToApplication | None, body: bytes = b"") -> None:
        if isinstance(message, Advanced):
            self._tell(message.progress)
        elif isinstance(message, Logged):
            log_again(message.record)
        elif isinstance(message, (Ready, Started)):
            if not self._began.done():
                self._began.set_result(None)
        elif not self._answer.done():
            self._answer.set_result((message, body))

    def _end(self) -> None:
        self.is_fit, self._last_words = False, self._said()
        self._faults.close()
        self._line.close()
        self._hear(None)
        self._gone.set()

    def _listen(self) -> None:
        """In a thread: hear it, until it has ended; and then end what it has left behind."""
        pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
        try:
            while (frames := self._frames(pidfd)) is not None:
                for text, body in frames:
                    self._call(self._hear, to_application.decode(text), body)
        except msgspec.MsgspecError:
            logger.error("process %d said what nobody understands, and is killed", self.pid)
        if pidfd is not None:
            ready([pidfd], LEAVE)
            os.close(pidfd)
        with self._reaping:
            kill_group(self.pid)  # its id is its own for as long as nobody has waited for it
            self._process.wait()
            self._is_reaped = True
        self._call(self._end)

    def _frames(self, pidfd: int | None) -> Any:
        """What it has said; `None` when it has ended, though others may hold the line open."""
        ends = [self._line.socket.fileno(), *([] if pidfd is None else [pidfd])]
        return self._line.receive() if ends[0] in ready(ends) else None

    def _call(self, function: Callable[..., object], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(function, *args)

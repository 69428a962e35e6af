"""A child: one worker process, as its parent sees it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from ._line import longest_end
from ._report import Report, decode

logger = logging.getLogger("errands.worker")

BEGINNING = 5.0  # seconds that one which has told nothing yet gets to end
FRESH = 3.0  # seconds for which a report counts


class Child:
    """Starts a process and listens to its reports.

    Attributes:
        report: What it told last; `None` until it has started to work.
        is_asked: Whether it was asked to stop.
    """

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        """Listen to a process that was started."""
        self._process = process
        self.report: Report | None = None
        self.is_asked = False
        self._began = time.monotonic()
        self._heard = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self.has_told = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(line), name=f"child {self.pid}")

    @classmethod
    async def start(cls, arguments: Sequence[str]) -> Self:
        """Start `errands` with these arguments, in a new interpreter."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *(f"-W{option}" for option in sys.warnoptions),
                "-m", "errands", *arguments[:1], f"--line={theirs.fileno()}", *arguments[1:],
                pass_fds=[theirs.fileno()],
            )  # fmt: skip  # a command
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """That of the process."""
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began

    @property
    def has_started(self) -> bool:
        """Whether it began to work."""
        return self.report is not None

    @property
    def is_ready(self) -> bool:
        """Whether it said a short while ago that it takes jobs."""
        is_fresh = time.monotonic() - self._heard < FRESH
        return is_fresh and self.report is not None and self.report.ready

    def stop(self) -> None:
        """Ask it to stop, and end it if it takes too long.

        One that has not begun to work does not hear that, and ends by it.
        """
        self.is_asked = True
        self._send(signal.SIGTERM)
        self._end_within(BEGINNING if self.report is None else longest_end(self.report.grace))

    def kill(self) -> None:
        """End it at once."""
        self._send(signal.SIGKILL)

    async def ended(self) -> int:
        """Wait for its end, and answer with its exit status."""
        status = await self._process.wait()
        if self._deadline is not None:
            self._deadline.cancel()
        # the line may be held open by what it has started
        await asyncio.wait([self._listening], timeout=0.1)
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening
        return status

    def _end_within(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._kill_late)

    def _kill_late(self) -> None:
        logger.error("worker process %d does not end, and is killed", self.pid)
        self.kill()

    async def _listen(self, line: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=line)
        try:
            while text := await reader.readline():
                self.report, self._heard = decode(text), time.monotonic()
                if self.is_asked and not self.has_told.is_set():  # it had just begun to work
                    self._end_within(longest_end(self.report.grace))
                self.has_told.set()
        except ConnectionError:  # it was killed with something unread
            return
        finally:
            writer.close()

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

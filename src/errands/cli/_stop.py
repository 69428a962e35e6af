"""The stop: what the signals of the operating system ask for."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

ASKING = ("SIGTERM", "SIGINT", "SIGHUP")  # the last is not everywhere
ALWAYS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Hears signals: the first asks the running event loop to stop, a second ends us at once.

    The handlers are Python's own and not the loop's, so that a task which blocks the loop
    cannot keep a process from its end.

    Args:
        at_once: Called before the process ends at once.
    """

    def __init__(self, at_once: Callable[[], object] = lambda: None) -> None:
        """Be told of no signal yet."""
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._has_heard = False

    def hear(self) -> None:
        """Hear the signals from now on; a SIGHUP that nohup has us ignore is ignored."""
        for number in _numbers():
            if number in ALWAYS or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._first_or_second)

    def hear_as_child(self) -> None:
        """Hear SIGTERM, however often: a service manager and our parent may both send it."""
        signal.signal(signal.SIGTERM, self._again_and_again)

    def ask(self) -> None:
        """Ask to stop. May be called from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._asked.set)
        except RuntimeError:  # the loop is closed: it has stopped
            return

    def is_asked(self) -> bool:
        """Whether anybody asked."""
        return self._asked.is_set()

    async def within(self, seconds: float | None) -> bool:
        """Wait to be asked, so many seconds at the most, and say whether we were."""
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            return False
        return True

    def _first_or_second(self, number: int, frame: FrameType | None) -> None:
        if self._has_heard:
            self._at_once()
            _say("told twice: ending at once")
            os._exit(128 + number)  # also as process 1 of a container, which no signal ends
        self._has_heard = True
        self.ask()
        _say(f"{signal.Signals(number).name}: stopping; a second one ends it at once")

    def _again_and_again(self, number: int, frame: FrameType | None) -> None:
        self.ask()


def leave_to_parent() -> None:
    """Take no notice of what a terminal sends to all processes: the parent is told as well.

    By handlers that do nothing, since what is ignored stays so in the programs of tasks.
    """
    for number in _numbers():
        if number != signal.SIGTERM:
            signal.signal(number, lambda number, frame: None)


def _say(text: str) -> None:
    """A handler may interrupt a print or a logger, and so uses neither."""
    with suppress(OSError):  # nobody reads it any more, as after `errands worker … 2>&1 | head`
        os.write(2, f"{text}\n".encode())


def _numbers() -> list[signal.Signals]:
    return [getattr(signal, name) for name in ASKING if hasattr(signal, name)]

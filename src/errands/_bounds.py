"""Bounds of a function that runs alone in its process: of time, and of memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

AGAIN = 0.002  # seconds after which an alarm rings that could not
STATUS = Path("/proc/self/status")


class Alarm:
    """Raises `TimeoutError` in the main thread when it rings.

    Args:
        seconds: When that is, from the start of the block; `None` for never.
        is_busy: Whether the main thread does what may not be cut off; then it rings later.

    Attributes:
        has_rung: Whether it has.
    """

    def __init__(self, seconds: float | None, text: str, is_busy: Callable[[], bool]) -> None:
        """Set nothing yet."""
        self._seconds, self._text, self._is_busy = seconds, text, is_busy
        self.has_rung = False

    def __enter__(self) -> Alarm:
        if self._seconds is not None:
            signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if self._is_busy():
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            return
        self.has_rung = True
        raise TimeoutError(self._text)


@contextmanager
def memory(most: int | None) -> Iterator[None]:
    """Let this process take so many bytes at the most, while in the block.

    What it has not taken yet of them is as much as it may still map: so what is only reserved
    counts, too, and what was reserved before does not. Then an allocation fails, which Python
    says with `MemoryError` (RLIMIT_DATA: setrlimit(2)).
    """
    if most is None:
        yield
        return
    before, never = resource.getrlimit(resource.RLIMIT_DATA)
    mapped, resident = _taken()
    resource.setrlimit(resource.RLIMIT_DATA, (mapped + max(most - resident, 0), never))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, never))


def _taken() -> tuple[int, int]:
    """Bytes of private memory that are mapped, and bytes that are resident."""
    lines = STATUS.read_text().splitlines()
    found = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return int(found["VmData"].split()[0]) * 1024, int(found["VmRSS"].split()[0]) * 1024

"""Keeps the processors awake, with processes that run only where nobody else wants to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPIN = """
import os, sys
core, parent = int(sys.argv[1]), int(sys.argv[2])
os.sched_setaffinity(0, {core})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
LOOK = 0.5  # seconds for which we look whether others are at work
QUIET = 0.3  # cores that others may use


@contextmanager
def awake() -> Iterator[None]:
    """Have one spinner of the idle class on each processor.

    There is none where the system knows no such class, or with `SPIN=0`; nor where others are
    at work, which is said. Linux parts a processor between sessions first and looks at classes
    only inside of one, so that spinners would cost our session its turn, 4 ms at a time, and
    other sessions theirs.
    """
    if not hasattr(os, "SCHED_IDLE") or os.environ.get("SPIN") == "0":
        yield
        return
    if (busy := _busy()) > QUIET:
        print(f"Others keep {busy:.1f} cores busy: no spinners, and wide ranges.")
        yield
        return
    spinners = [
        subprocess.Popen([sys.executable, "-S", "-c", SPIN, str(core), str(os.getpid())])
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def _busy() -> float:
    """How many cores are in use while we sleep."""
    idle, whole = _ticks()
    time.sleep(LOOK)
    idle_now, whole_now = _ticks()
    share = 1 - (idle_now - idle) / max(1, whole_now - whole)
    return share * (os.cpu_count() or 1)


def _ticks() -> tuple[int, int]:
    """Of all processors, since they were started: those that were idle, and all."""
    _, *ticks = Path("/proc/stat").read_text().partition("\n")[0].split()
    numbers = [int(tick) for tick in ticks[:8]]
    return numbers[3] + numbers[4], sum(numbers)

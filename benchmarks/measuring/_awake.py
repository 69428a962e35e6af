"""Keeps the processors awake, with processes that run only where nobody else wants to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SPIN = """
import os, sys
core, parent = int(sys.argv[1]), int(sys.argv[2])
os.sched_setaffinity(0, {core})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def awake() -> Iterator[None]:
    """Have one spinner of the idle class on each processor.

    There is none where the system knows no such class, or with `SPIN=0`. The spinners stay in
    our session: Linux shares a processor between sessions first, and looks at classes only
    inside of one. So they do take time from what other sessions do meanwhile.
    """
    if not hasattr(os, "SCHED_IDLE") or os.environ.get("SPIN") == "0":
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

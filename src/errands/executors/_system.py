"""What the operating system does for the processes of tasks."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

OURS = (f'File "{Path(__file__).parent.parent}', 'File "<string>"')


def started(line: int, faults: IO[bytes]) -> subprocess.Popen[bytes]:
    """A new interpreter, which has the path and the arguments of this one, and nothing else."""
    path = [str(each) or os.getcwd() for each in sys.path]  # noqa: PTH109  # as in `sys.path`
    code = (
        f"import sys; sys.path[:] = {path!r}; sys.argv[:] = {sys.argv!r}; "
        f"from errands._inside import main; main({line}, {faults.fileno()}, {os.getpid()})"
    )
    flags = [f"-W{option}" for option in sys.warnoptions] + ["-O"] * sys.flags.optimize
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code],
        stdin=subprocess.DEVNULL,
        pass_fds=[line, faults.fileno()],
        process_group=0,  # signals of a terminal are for the application
    )


def ready(ends: Sequence[int], seconds: float | None = None) -> set[int]:
    """Those that can be read from."""
    poll = select.poll()
    for each in ends:
        poll.register(each, select.POLLIN)
    return {end for end, _ in poll.poll(None if seconds is None else seconds * 1000)}


def kill_group(pid: int) -> None:
    """Kill a process, and what it has started in its group."""
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a dead one
        os.killpg(pid, signal.SIGKILL)


def signal_name(number: int) -> str:
    """As it is known: SIGKILL for 9."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def stack(said: bytes) -> str:
    """What `faulthandler` has said, without the frames that are ours."""
    lines = said.decode(errors="replace").splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith(OURS))

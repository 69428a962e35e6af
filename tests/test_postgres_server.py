"""The server that tests have of their own: it is there for no longer than they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live_server import environment
from patience import eventually

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
START = """
from postgres_server import running_server
with running_server() as server:
    pid = (server.folder / "data" / "postmaster.pid").read_text().split()[0]
    print(pid, server.folder.parent, flush=True)
    input()
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_ends_with_the_tests_that_were_killed(sign: signal.Signals) -> None:
    """And its folder is gone: nobody else would remove it."""
    with subprocess.Popen(
        [sys.executable, "-c", START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=HERE, env=environment(),
    ) as tests:  # fmt: skip  # a call
        assert tests.stdout is not None
        pid, folder = tests.stdout.readline().split()
        assert is_there(int(pid))
        tests.send_signal(sign)

    await eventually(False, lambda: is_there(int(pid)))
    await eventually(False, Path(folder).exists)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

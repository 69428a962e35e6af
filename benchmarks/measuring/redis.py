"""A Redis server to measure on, if the machine has one: told to keep what it is given."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

PATIENCE = 10.0  # seconds within which it listens
MISSING = (
    "redis-server is not installed here, so nobody is measured on it: apt install redis-server"
)


@contextmanager
def redis() -> Iterator[str | None]:
    """The URL of a server that runs until the end of the block; `None` where it is missing.

    It appends each command to a file that is flushed each second, as users of queues run it: a
    crash of the machine loses up to a second, where PostgreSQL and Errands lose nothing.
    """
    program = shutil.which("redis-server")
    if program is None:
        _say(MISSING)
        yield None
        return
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="errands-bench-") as folder:
        command = [
            program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
            "--appendonly", "yes", "--appendfsync", "everysec",
        ]  # fmt: skip  # a row
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            version = subprocess.run([program, "-v"], check=True, capture_output=True, text=True)
            _say(f"Redis {version.stdout.split('v=')[1].split()[0]}, flushed once a second")
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


@cache
def _say(text: str) -> None:
    """Say it once, however many servers there are."""
    print(text)


def _wait_for(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

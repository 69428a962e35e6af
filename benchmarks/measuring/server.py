"""Servers for the load: uvicorn with its quick parts, each in a process and folder of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

HERE = Path(__file__).parent.parent
PATIENCE = 30.0  # seconds within which a server answers, or has ended


@contextmanager
def serving(applications: Sequence[str]) -> Iterator[dict[str, int]]:
    """Serve these applications, all at once, and tell the port of each.

    Args:
        applications: Functions that make one: `sites.on_fastapi:plain`.
    """
    with ExitStack() as stack:
        ports: dict[str, int] = {}
        for application in applications:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="errands-bench-"))
            ports[application] = _free_port()
            stack.enter_context(_running(application, ports[application], folder))
        for application, port in ports.items():
            _wait_for(application, port)
        yield ports


@contextmanager
def _running(application: str, port: int, folder: str) -> Iterator[None]:
    command = [
        sys.executable, "-m", "uvicorn", "--factory", application, "--app-dir", str(HERE),
        "--port", str(port), "--http", "httptools", "--loop", "uvloop",
        "--log-level", "warning", "--no-access-log",
    ]  # fmt: skip  # a row
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONHASHSEED": "0"})
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(application: str, port: int) -> None:
    opener = build_opener(ProxyHandler({}))
    end = time.monotonic() + PATIENCE
    while True:
        try:
            opener.open(f"http://127.0.0.1:{port}/none", timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise RuntimeError(f"{application} does not answer") from None
            time.sleep(0.02)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

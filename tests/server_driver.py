"""Starts real servers on the loopback interface, and always ends them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import httpx
from ports import free_port

from errands import Errands, Job

T = TypeVar("T")

LONGEST = 20.0  # seconds that anything here may take on a machine that has much to do
HERE = Path(__file__).parent

# A connection for each request, and no certificates to be read for it. The header says so, and
# not the limits of the pool: a thread may get the connection that another is about to close.
client = httpx.Client(trust_env=False, verify=False, headers={"Connection": "close"})


class Effect(NamedTuple):
    """One line that the application wrote: what happened, to which job, where and when."""

    what: str
    text: str
    pid: int
    at: float


@dataclass
class World:
    """What the servers of one test share: a store, and a file to which they append."""

    folder: Path

    @property
    def url(self) -> str:
        """The store's."""
        return f"sqlite:///{self.folder}/errands.db"

    @property
    def gate(self) -> Path:
        """Once this file exists, tasks that wait for it go on."""
        return self.folder / "gate"

    def effects(self, what: str = "", text: str = "") -> list[Effect]:
        """What was written so far, in order."""
        try:
            lines = (self.folder / "effects").read_text().splitlines()
        except FileNotFoundError:
            return []
        effects = [
            Effect(name, label, int(pid), float(at))
            for name, label, pid, at in (line.split() for line in lines)
        ]
        return [e for e in effects if what in ("", e.what) and text in ("", e.text)]

    def jobs(self) -> dict[str, Job]:
        """The jobs in the store, by the one text that each was given."""

        async def look() -> dict[str, Job]:
            async with Errands(self.url) as errands:
                return {job.payload.split('"')[3]: job for job in await errands.jobs(limit=1000)}

        return asyncio.run(look())

    @contextmanager
    def serving(
        self,
        *arguments: str,
        app: str = "apps_server:app",
        cwd: Path = HERE,
        **environment: str,
    ) -> Iterator[Server]:
        """A uvicorn with these arguments, from when it answers until the end of the block."""
        port = free_port()
        command = [
            sys.executable, "-m", "uvicorn", app, "--app-dir", str(cwd),
            "--port", str(port), "--log-level", "info", "--no-access-log", *arguments,
        ]  # fmt: skip  # a row
        with self.running(command, port, **environment) as server:
            yield server

    @contextmanager
    def running(self, command: list[str], port: int, **environment: str) -> Iterator[Server]:
        """A command that serves on this port, from when it answers until the end of the block."""
        log = self.folder / f"{port}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={
                    **os.environ,
                    "ERRANDS_URL": self.url,
                    "WORLD": str(self.folder),
                    "PORT": str(port),
                    "PYTHONUNBUFFERED": "1",
                    **environment,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, to be ended with all its workers
            )
        server = Server(process, port, log)
        try:
            server.wait_until_it_answers()
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(LONGEST)


@dataclass
class Server:
    """A server process that answers."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        """That of the process that was started; workers have others."""
        return self.process.pid

    def get(self, path: str) -> str:
        """The text of a page that must be a good one."""
        response = client.get(f"http://127.0.0.1:{self.port}{path}", timeout=LONGEST)
        response.raise_for_status()
        return response.text

    def status(self, path: str) -> int | None:
        """How a request was answered; `None` if the connection broke."""
        response = self._answer(path)
        return None if response is None else response.status_code

    def text(self, path: str) -> str | None:
        """The text of a page; `None` if the connection broke."""
        response = self._answer(path)
        return None if response is None else response.text

    def stop(self, by: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal, wait for the end, and say how many seconds that took."""
        begin = time.monotonic()
        self.process.send_signal(by)
        try:
            self.process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"still alive {LONGEST:g} s after {by.name}:\n{self.said()}"
            ) from None
        return time.monotonic() - begin

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(LONGEST)

    def said(self) -> str:
        """What it logged so far."""
        return self.log.read_text()

    def wait_until_it_answers(self) -> None:
        """Ask until there is a good answer.

        Raises:
            RuntimeError: if the server ended.
        """

        def answers() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.said()}")
            try:
                return client.get(f"http://127.0.0.1:{self.port}/", timeout=2).is_success
            except httpx.TransportError:
                return False

        wait_until(answers, lambda: f"the server answered; it said:\n{self.said()}")

    def _answer(self, path: str) -> httpx.Response | None:
        try:
            response = client.get(f"http://127.0.0.1:{self.port}{path}", timeout=LONGEST)
        except httpx.TransportError as error:
            print(f"{path}: {error!r}")  # shown where the test fails
            return None
        if not response.is_success:
            print(f"{path}: {response.status_code} {response.text[:500]}")
        return response


def wait_until(ask: Callable[[], T], what: str | Callable[[], str], seconds: float = LONGEST) -> T:
    """Ask other processes again and again, until the answer is a true one.

    Raises:
        TimeoutError: if that takes longer than `seconds`; it says `what` was waited for.
    """
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            reason = what if isinstance(what, str) else what()
            raise TimeoutError(f"waited {seconds:g} s in vain until {reason}")
        time.sleep(0.01)
    return answer

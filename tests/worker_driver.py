"""Starts real worker processes, reads what they say, and always ends them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

import httpx
from live_server import environment
from server_driver import HERE, LONGEST, World, client

from errands import Errands, Heartbeat, Job

STARTED = re.compile(r"INFO errands\.worker: worker (\S+): .* pid (\d+) in")
HEALTH = re.compile(r"health: (http://\S+:\d+)/ready")


class Command:
    """An `errands worker` that was started, in a group of processes of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, name="worker output")
        self._reader.start()

    @property
    def output(self) -> str:
        """All that it and its children said so far."""
        return "\n".join(self.lines)

    @property
    def pid(self) -> int:
        """That of the process that was started."""
        return self.process.pid

    @property
    def pids(self) -> list[int]:
        """Those that started to work, the oldest first."""
        return [int(found[2]) for found in map(STARTED.search, list(self.lines)) if found]

    @property
    def health(self) -> str:
        """Where to ask how it does."""
        [url] = [found[1] for found in map(HEALTH.search, list(self.lines)) if found]
        return url

    def ask(self, path: str, method: str = "GET") -> httpx.Response:
        """Ask how it does."""
        return client.request(method, f"{self.health}{path}", timeout=LONGEST)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Return once it has said this so often."""
        self._wait(lambda: self.output.count(text) >= times, f"{text!r} was not said")

    def wait_until_started(self, processes: int = 1) -> None:
        """Return once so many processes have started to work."""
        self._wait(lambda: len(self.pids) >= processes, f"{processes} have not started")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal, wait for the end, and say how many seconds that took."""
        begin = time.monotonic()
        self.process.send_signal(by)
        self.wait()
        return time.monotonic() - begin

    def wait(self) -> int:
        """Wait for the end, also of all children, and answer with the exit status."""
        try:
            status = self.process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it does not end:\n{self.output}") from None
        self._wait(lambda: self._has_ended, "children live on")
        return status

    def end(self) -> None:
        """End all that is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(LONGEST)
        self._reader.join(LONGEST)

    def _wait(self, ask: Callable[[], bool], what: str) -> None:
        with self._news:
            if not self._news.wait_for(lambda: ask() or self._has_ended, LONGEST) or not ask():
                raise TimeoutError(f"{what}:\n{self.output}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()


@dataclass
class Workplace(World):
    """Where worker processes work: a store, and a file to which tasks append."""

    @contextmanager
    def started(
        self,
        *arguments: str,
        target: str = "apps_worker:errands",
        app_dir: Path = HERE,
        **variables: str,
    ) -> Iterator[Command]:
        """A command with these arguments, until the end of the block."""
        process = subprocess.Popen(
            [
                sys.executable, "-m", "errands", "worker", "--app-dir", str(app_dir), *arguments,
                target,
            ],
            cwd=self.folder,
            env=environment(
                **{"ERRANDS_URL": self.url, "WORLD": str(self.folder), **variables}
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip  # a command
        command = Command(process)
        try:
            yield command
        finally:
            command.end()

    @contextmanager
    def working(
        self, *arguments: str, processes: int = 1, target: str = "apps_worker:errands"
    ) -> Iterator[Command]:
        """A command whose processes have started to work."""
        many = ["--processes", str(processes)] if processes > 1 else []
        with self.started(*many, *arguments, target=target) as command:
            command.wait_until_started(processes)
            yield command

    def add(self, task: str, text: str, queue: str | None = None) -> Job:
        """Keep a job, as another process does that does not run it."""

        async def add() -> Job:
            errands = Errands(self.url)
            function = named(task)
            errands.task(name=task)(function)
            async with errands:
                return await errands.options(queue=queue).add_task(function, text)

        return asyncio.run(add())

    def open_gate(self) -> None:
        """Let gated tasks go on."""
        self.gate.touch()

    def workers(self) -> list[Heartbeat]:
        """What the store knows of workers."""

        async def look() -> list[Heartbeat]:
            async with Errands(self.url) as errands:
                return await errands.workers()

        return asyncio.run(look())


def named(task: str) -> Callable[[str], None]:
    """A function that stands for a task declared elsewhere."""

    def function(text: str) -> None:
        """Never called here."""

    return FunctionType(function.__code__, function.__globals__, task)

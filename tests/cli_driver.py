"""Runs commands of the command line: in this process, or in one that has a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner
from live_server import PATIENCE, environment

from errands import Errands, Heartbeat, Job, LogLine, Schedule, every, new_id
from errands.cli import main
from errands.stores import store_at

T = TypeVar("T")

HERE = Path(__file__).parent
NOW = datetime.now(UTC).replace(microsecond=0)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
APP = ("--app", "apps_cli:make", "--factory", "--app-dir", str(HERE))
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nOSError: no route'


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, as JSON."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The fields of its lines, but for the titles."""
        return [line.split("\t") for line in self.out.splitlines()][1:]


def errands(*arguments: str, url: str | None = None, given: str | None = None) -> Ended:
    """Run `errands` with these arguments, where there is no terminal."""
    ended = CliRunner().invoke(main, arguments, input=given, env={"ERRANDS_URL": url})
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


class Terminal:
    """`errands` in a process of its own, in a terminal of this size."""

    def __init__(
        self, *arguments: str, columns: int = 80, lines: int = 24, before: str = "pass", **env: str
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        variables = environment(TERM="xterm-256color", **env)
        for name in ("COLUMNS", "LINES", "NO_COLOR"):  # the terminal's own size is meant
            variables.pop(name, None)
        # also where the tests run in the background of a shell, which has them ignore it
        hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        start = f"{hears}; {before}; from errands.cli import main; main(prog_name='errands')"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", start, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=variables,
        )  # fmt: skip  # a call
        os.close(theirs)
        self.text = ""

    @property
    def shown(self) -> str:
        """What it wrote, without colours and the like."""
        return ESCAPES.sub("", self.text).replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        """Return once it shows this."""
        while text not in self.shown:
            assert self._read(), f"{text!r} was not shown:\n{self.shown}"

    def end(self) -> int:
        """Read to its end, and answer with its exit status."""
        try:
            while self._read():
                pass
            return self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._ours)

    def wait_until_it_reads(self) -> None:
        """Return once it waits for keys; a signal just before would be heard after the next."""
        call = Path(f"/proc/{self._process.pid}/syscall")
        # where Linux tells it: the number of the call, and its first argument, standard input
        while call.exists() and call.read_text().split()[1:2] != ["0x0"]:
            time.sleep(0.01)  # nobody tells when another process begins to wait

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(2)

    def _read(self) -> bool:
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # it has ended
            return False
        self.text += read.decode(errors="replace")
        return bool(read)


def in_terminal(*arguments: str, typed: str = "", **options: Any) -> tuple[int, str]:
    """The exit status of a command, and what it showed."""
    terminal = Terminal(*arguments, **options)
    if typed:
        terminal.type(typed)
    status = terminal.end()
    return status, terminal.shown


def job(**fields: Any) -> Job:
    """A job that is due, but for what `fields` say."""
    made = Job(
        id=new_id(NOW), task="shop.resize", payload='{"path":"cat.png","sizes":[1]}',
        added_at=NOW, due_at=NOW, free_at=NOW,
    )  # fmt: skip  # a row
    return replace(made, **fields)


def failed(**fields: Any) -> Job:
    """A job that failed a second after it was added."""
    return job(**fields).claimed("w", NOW, HOUR).failed(TRACEBACK, NOW + SECOND)


def done(**fields: Any) -> Job:
    """A job that is done."""
    return job(**fields).claimed("w", NOW, HOUR).done("3", NOW + 2 * SECOND)


def keep(url: str, jobs: Sequence[Job] = ()) -> list[Job]:
    """Make the store, with these jobs in it."""

    async def add() -> list[Job]:
        async with store_at(url) as store:
            return await store.add(jobs) if jobs else []

    return asyncio.run(add())


def ask(url: str, question: Callable[[Errands], Awaitable[T]]) -> T:
    """What the store's `Errands` answers."""

    async def answer() -> T:
        async with Errands(url) as there:
            return await question(there)

    return asyncio.run(answer())


def there(url: str) -> dict[str, Job]:
    """The jobs of the store, by id."""
    return {each.id: each for each in ask(url, lambda errands: errands.jobs(limit=5000))}


def know(url: str, *tasks: str, worker: str = "w", log: tuple[LogLine, ...] = ()) -> None:
    """Have a worker at work that knows these tasks, and whose services logged this."""

    async def beat() -> None:
        async with store_at(url) as store:
            now = await store.now()
            await store.beat(
                Heartbeat(
                    worker=worker, host="h", pid=7, queues=None, slots=5, running=0, version="1",
                    started_at=now, seen_at=now, tasks=tasks, log=log,
                )
            )  # fmt: skip  # a call

    asyncio.run(beat())


def plan(url: str, name: str) -> None:
    """Have a schedule, of a task of the same name."""

    async def put() -> None:
        async with store_at(url) as store:
            now = await store.now()
            spec = every(hours=24)
            new = Schedule(
                name=name, task=name, spec=spec.text, payload="{}", known_at=now,
                next_tick=spec.next_after(now),
            )  # fmt: skip  # a call
            await store.put_schedules([new])

    asyncio.run(put())


def work_once(url: str) -> None:
    """Have the application at work for a moment."""
    import apps_cli

    async def work() -> None:
        os.environ["ERRANDS_URL"] = url
        application = apps_cli.make()
        async with application.working():
            await application.started("shop.follow", timeout=10)
            while not await application.schedules.list():  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)

    before = os.environ.get("ERRANDS_URL")
    try:
        asyncio.run(work())
    finally:
        os.environ.pop("ERRANDS_URL")
        if before is not None:
            os.environ["ERRANDS_URL"] = before

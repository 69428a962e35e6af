"""Tasks that run in processes: their processes import this module."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from errands import Errands, Retry, current_job, progress, track
from errands.errors import RunStopped

P = ParamSpec("P")
R = TypeVar("R")

errands = Errands(os.environ.get("ERRANDS_URL", "memory:"), processes=2, grace=0)
logger = logging.getLogger("apps.processes")


class OutOfInk(Exception):
    """An error of the application, with more to it than its text."""

    def __init__(self, printer: str, pages: int) -> None:
        super().__init__(printer, pages)
        self.pages = pages

    def __str__(self) -> str:
        return f"{self.args[0]} has no ink for {self.pages} pages"


class Unmakeable(ValueError):
    """An error that cannot be made of its arguments."""

    def __init__(self, *, what: str) -> None:
        super().__init__()
        self.what = what

    def __str__(self) -> str:
        return f"not {self.what}"


@errands.task(run="process")
def pid() -> int:
    return os.getpid()


@errands.task(run="process")
async def pid_of_coroutine() -> list[object]:
    await asyncio.sleep(0)
    job = current_job()
    return [os.getpid(), job.task, job.attempt, job.is_cancelled]


@errands.task(run="process")
def tell() -> str:
    progress(1, 4, "a quarter")
    return "told"


@errands.task(run="process")
def follow(gate: Path) -> None:
    progress(2, 3, "nearly")
    while not gate.exists():
        time.sleep(0.005)


@errands.task(run="process")
def log() -> None:
    logger.debug("not asked for")
    logger.info("%d of %s", 3, "cats", extra={"color": "red"})
    try:
        raise KeyError("cat")
    except KeyError:
        logger.exception("lost")


@errands.task(run="process")
def run_out() -> None:
    raise OutOfInk("laser", 7)


@errands.task(run="process", retry=Retry(attempts=2, wait=0, on=OutOfInk))
def run_out_again() -> None:
    raise OutOfInk("laser", 7)


@errands.task(run="process", retry=Retry(attempts=5, wait=0, on=KeyError))
def make_unmakeable() -> None:
    raise Unmakeable(what="to be made")


@errands.task(run="process")
def leave(status: int) -> None:
    os._exit(status)


@errands.task(run="process")
def crash() -> None:
    ctypes.string_at(0)


@errands.task(run="process")
def interrupt() -> None:
    raise KeyboardInterrupt


@errands.task(run="process", timeout=(0.1, 0.2))
def hang() -> None:
    """In C, without the interpreter."""
    hashlib.pbkdf2_hmac("sha512", b"x", b"y", 2 * 10**9)


@errands.task(run="process", timeout=(0.1, 0.2))
def hold() -> None:
    """In C, with the interpreter in its hand."""
    sum(range(10**12))


@errands.task(run="process", timeout=(1, 30))
def sleep() -> None:
    time.sleep(60)


@errands.task(run="process", timeout=(1, 30))
async def sleep_in_coroutine() -> None:
    await asyncio.sleep(60)


@errands.task(run="process", max_memory=100 << 20)
def take(size: int) -> int:
    return len(bytearray(size))


@errands.task(run="process")
def much(size: int) -> str:
    return "x" * size


@errands.task(run="process")
def unkept() -> object:
    return object()


@errands.task(run="process")
def step(started: Path, ended: Path) -> None:
    started.touch()
    try:
        for _ in track(range(10_000)):
            time.sleep(0.005)
    except RunStopped:
        ended.touch()
        raise


@errands.task(run="process")
async def wait(started: Path, ended: Path) -> None:
    started.touch()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        ended.touch()
        raise


@errands.task(run="process")
def ask(started: Path, ended: Path) -> None:
    started.touch()
    while not current_job().is_cancelled:
        time.sleep(0.005)
    ended.touch()


@errands.task(run="process")
def ignore(started: Path) -> None:
    """Run on, in C; and have started something that does so, too."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started.with_suffix(".writing").write_text(f"{os.getpid()} {child.pid}")
    started.with_suffix(".writing").rename(started)
    hashlib.pbkdf2_hmac("sha512", b"x", b"y", 2 * 10**9)


@errands.task(name="stay", run="process")
def stay(text: str) -> None:
    file = Path(text)
    file.with_suffix(".writing").write_text(str(os.getpid()))
    file.with_suffix(".writing").rename(file)
    hashlib.pbkdf2_hmac("sha512", b"x", b"y", 2 * 10**9)


@errands.task(run="process")
async def finish() -> None:
    await current_job().finish(None)


@errands.task(run="process")
async def work_within() -> None:
    async with errands.working():
        pass


def polite(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapped


@polite
@errands.task(run="process")
def inner(n: int) -> int:
    return n + 1


def hidden() -> None: ...


to_declare = hidden
hidden = polite(print)  # another thing has its name

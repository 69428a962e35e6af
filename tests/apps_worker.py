"""The tasks that worker processes run in their tests.

ERRANDS_URL, WORLD    as in `apps_server`
BROKEN                a file: while it exists, the module cannot be imported
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from errands import Errands

WORLD = Path(os.environ["WORLD"])

if (WORLD / "broken").exists():
    raise RuntimeError("this module is broken today")

errands = Errands(grace=30)


def tell(what: str, text: str) -> None:
    """Append one line, whole, as `server_driver.Effect` is read."""
    line = f"{what} {text} {os.getpid()} {time.time()}\n"
    file = os.open(WORLD / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@errands.task(name="note")
def note(text: str) -> None:
    tell("done", text)


@errands.task(name="mail", queue="mail")
def mail(text: str) -> None:
    tell("done", text)


@errands.task(name="gated")
async def gated(text: str) -> None:
    tell("start", text)
    while not (WORLD / "gate").exists():  # noqa: ASYNC110  # another process opens it
        await asyncio.sleep(0.01)
    tell("done", text)


@errands.task(name="block")
async def block(text: str) -> None:
    """Stop the event loop."""
    tell("start", text)
    time.sleep(60)


@errands.task(name="stuck")
async def stuck(text: str) -> None:
    """Leave a thread behind that never ends."""
    tell("start", text)
    await asyncio.to_thread(time.sleep, 60)


@errands.task(name="loop")
async def loop(text: str) -> None:
    kind = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    tell(kind, text)


def factory() -> Errands:
    tell("made", "factory")
    return errands


def broken_factory() -> Errands:
    raise LookupError("no errands today")


def wrong_factory() -> int:
    return 1


class Application:
    """Stands for one that `setup_errands` was called for."""

    def __init__(self) -> None:
        self.state = type("State", (), {"errands": errands})()


app = Application()
nothing = object()
module = sys

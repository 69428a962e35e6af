"""Tasks with limits, which check these themselves, for worker processes that are killed.

ERRANDS_URL, WORLD    as in `apps_server`
TAKES                 seconds that a job takes

A running job holds one of the locks of its limit, which the operating system drops with its
process: so one too many is seen whenever it starts, and a dead one is none.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apps_server import WORLD, tell

from errands import Errands, Limit

AT_ONCE, EACH, RATE = 5, 2, "20/2s"
errands = Errands(lease=15, grace=0.5)


@errands.task(name="bound", concurrency=AT_ONCE)
async def bound(text: str) -> None:
    await _work("bound", AT_ONCE, text)


@errands.task(name="each", concurrency=Limit(EACH, per="customer"))
async def each(text: str, customer: int) -> None:
    await _work(f"each-{customer}", EACH, text)


@errands.task(name="paced", rate=RATE)
async def paced(text: str) -> None:
    tell("start", text)


async def _work(name: str, most: int, text: str) -> None:
    with _place(name, most) as is_there:
        tell("start" if is_there else "exceeded", text)
        await asyncio.sleep(float(os.environ.get("TAKES", "0.03")))
        tell("done", text)


@contextmanager
def _place(name: str, most: int) -> Iterator[bool]:
    """One of the places of a limit; false, if each is taken."""
    folder = Path(WORLD) / "places"
    folder.mkdir(exist_ok=True)
    for number in range(most):
        file = os.open(folder / f"{name}-{number}", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        try:
            yield True
        finally:
            os.close(file)
        return
    yield False

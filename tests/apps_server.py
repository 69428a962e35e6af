"""The application that real servers serve in the tests of servers.

ERRANDS_URL     the store
WORLD           the folder with the file `effects`, to which is written what happens, and
                the file `gate`, for which gated tasks wait
GRACE, SLOTS    those of `Errands`
WORK            0: add jobs, run none
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from errands import Errands
from errands.starlette import BackgroundTasks, setup_errands

WORLD = Path(os.environ["WORLD"])
errands = Errands(
    grace=float(os.environ.get("GRACE", "5")), slots=int(os.environ.get("SLOTS", "50"))
)
in_flight, has_failed = asyncio.Event(), asyncio.Event()


def tell(what: str, text: str = "-") -> None:
    """Append one line, whole."""
    line = f"{what} {text} {os.getpid()} {time.time()}\n"
    file = os.open(WORLD / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


async def opened() -> None:
    """Wait for the gate."""
    while not (WORLD / "gate").exists():  # noqa: ASYNC110  # another process opens it
        await asyncio.sleep(0.01)


@errands.task(name="note")
def note(text: str) -> None:
    tell("done", text)


@errands.task(name="gated")
async def gated(text: str) -> None:
    tell("start", text)
    await opened()
    tell("done", text)


@errands.task(name="stuck")
def stuck(text: str) -> None:
    tell("start", text)
    threading.Event().wait()


@errands.task(name="swallow")
async def swallow(text: str) -> None:
    """Does not end, however often it is cancelled."""
    tell("start", text)
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


def stuck_here(text: str) -> None:
    tell("start", text)
    threading.Event().wait()


async def slow_here(text: str) -> None:
    tell("start", text)
    await asyncio.sleep(0.3)
    tell("done", text)


async def fail_here(text: str) -> None:
    await in_flight.wait()
    has_failed.set()
    raise ValueError(text)


TASKS: dict[str, Callable[[str], Any]] = {
    "note": note, "gated": gated, "stuck": stuck, "swallow": swallow,
    "stuck_here": stuck_here, "slow_here": slow_here, "fail_here": fail_here,
}  # fmt: skip  # a table


async def home(request: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


async def add(request: Request) -> Response:
    task, text = request.path_params["task"], request.path_params["text"]
    BackgroundTasks.of(request).add_task(TASKS[task], text)
    return PlainTextResponse("stored", 202)


async def fly(request: Request) -> Response:
    """Answer once a task of the request before has failed, and the loop has turned."""
    in_flight.set()
    await has_failed.wait()
    await asyncio.sleep(0.05)
    return PlainTextResponse("arrived")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    tell("up")
    yield
    tell("down")


app = Starlette(
    routes=[Route("/", home), Route("/add/{task}/{text}", add), Route("/fly", fly)],
    lifespan=lifespan,
)
setup_errands(app, errands, work=os.environ.get("WORK") != "0")

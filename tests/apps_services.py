"""The application with services that real servers serve in the tests of servers.

ERRANDS_URL     the store
WORLD           the folder with the file `effects`, to which is written what happens
GRACE           that of `Errands`
KIND            which services there are; see the end
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from errands import Budget, Errands, ready, stopping
from errands.starlette import setup_errands

WORLD = Path(os.environ["WORLD"])
errands = Errands(grace=float(os.environ.get("GRACE", "5")))
pool: set[str] = set()


def tell(what: str, text: str = "-") -> None:
    """Append one line, whole."""
    line = f"{what} {text} {os.getpid()} {time.time()}\n"
    file = os.open(WORLD / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def use_pool() -> None:
    if "open" not in pool:
        tell("no-pool")


async def follow() -> None:
    """Uses the pool, all its life long."""
    use_pool()
    tell("begin", "follow")
    ready()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.05)
        use_pool()
        tell("end", "follow")


async def consume() -> None:
    """One in each process."""
    tell("begin", "every")
    ready()
    try:
        await asyncio.Event().wait()
    finally:
        tell("end", "every")


def poll() -> None:
    """A plain function that does as it is told."""
    tell("begin", "poll")
    ready()
    while not stopping():
        time.sleep(0.005)
    tell("end", "poll")


async def swallow() -> None:
    """Does not end."""
    tell("begin", "swallow")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            tell("cancelled", "swallow")


def stuck() -> None:
    """Does not end either, and asks nobody."""
    tell("begin", "stuck")
    threading.Event().wait()


async def fall() -> None:
    """Fails at once, each time."""
    tell("begin", "fall")
    raise ConnectionError("no exchange")


async def stay(text: str) -> None:
    """One of many."""
    tell("begin", text)
    ready()
    try:
        await asyncio.Event().wait()
    finally:
        tell("end", text)


async def home(request: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


async def services(request: Request) -> Response:
    return JSONResponse({each.name: each.state for each in await errands.services()})


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    tell("up")
    pool.add("open")
    yield
    pool.clear()
    tell("down")


KIND = os.environ.get("KIND", "steady")
if KIND in ("steady", "falling"):
    errands.service(name="one")(follow)
if KIND == "steady":
    errands.service(name="every", every_process=True)(consume)
    errands.service(name="poll", every_process=True)(poll)
if KIND == "stubborn":
    errands.service(name="swallow")(swallow)
    errands.service(name="stuck")(stuck)
if KIND == "many":
    for number in range(6):
        errands.service(name=f"many-{number}")(partial(stay, f"many-{number}"))
if KIND == "falling":
    errands.service(name="fall", budget=Budget(restarts=2))(fall)

app = Starlette(
    routes=[Route("/", home), Route("/services", services)],
    lifespan=lifespan,
)
setup_errands(app, errands)

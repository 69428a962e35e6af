"""The application that is killed, frozen, blocked and starved in the tests of survival.

ERRANDS_URL, WORLD    as in `apps_server`
LEASE                 that of `Errands`
QUOTA                 a file: while it exists, SQLite finds no more room on the disk
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import apsw
from apps_server import opened, tell
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from errands import Errands, State
from errands.errors import StoreUnavailable
from errands.starlette import setup_errands

UNIX = apsw.vfs_names()[0]  # SQLite's own file system


class Quota(apsw.VFS):
    """The file system, without any room while the file QUOTA exists."""

    def __init__(self, full: Path) -> None:
        self.full = full
        super().__init__("quota", UNIX, makedefault=True)

    def xOpen(  # apsw's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return Limited(self.full, name, flags)


class Limited(apsw.VFSFile):
    """A file that cannot grow while the disk is full."""

    def __init__(self, full: Path, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.full = full
        super().__init__(UNIX, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # apsw's name
        if self.full.exists() and offset + len(data) > self.xFileSize():
            raise apsw.FullError("no space left on device")
        super().xWrite(data, offset)


if "QUOTA" in os.environ:
    quota = Quota(Path(os.environ["QUOTA"]))

errands = Errands(lease=float(os.environ.get("LEASE", "15")), grace=0.5)


@errands.task(name="gated")
async def gated(text: str) -> int:
    tell("start", text)
    await opened()
    tell("done", text)
    return os.getpid()


@errands.task(name="step")
async def step(text: str) -> int:
    tell("start", text)
    await asyncio.sleep(0.005)
    tell("done", text)
    return os.getpid()


@errands.task(name="big")
async def big(text: str) -> str:
    """Come back with more than the disk holds."""
    tell("start", text)
    await opened()
    tell("done", text)
    return "x" * 400_000


@errands.task(name="blocker")
async def blocker(text: str) -> int:
    tell("start", text)
    time.sleep(float(text))  # the whole loop stands still
    tell("done", text)
    return os.getpid()


TASKS = {"gated": gated, "step": step, "big": big, "blocker": blocker}


async def home(request: Request) -> Response:
    return PlainTextResponse(str(os.getpid()))


async def add(request: Request) -> Response:
    """Keep a job. `?after=` delays it, `?pad=` makes it as big as that."""
    task, text = TASKS[request.path_params["task"]], request.path_params["text"]
    after = float(request.query_params.get("after", "0"))
    text += "x" * int(request.query_params.get("pad", "0"))
    try:
        await errands.options(after=after).add_task(task, text)
    except StoreUnavailable as error:
        return PlainTextResponse(f"{type(error).__name__}: {error}", 503)
    return PlainTextResponse("stored", 202)


async def done(request: Request) -> Response:
    """How many jobs are done."""
    return PlainTextResponse(str((await errands.count()).get(("default", State.DONE), 0)))


app = Starlette(
    routes=[Route("/", home), Route("/add/{task}/{text}", add), Route("/done", done)],
)
setup_errands(app, errands)

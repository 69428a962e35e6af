"""Endpoints in FastHTML: each function at the bottom makes an application for uvicorn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fasthtml.common import FastHTML, P
from measuring.peers import Huey
from starlette.background import BackgroundTasks as StarletteTasks
from starlette.concurrency import run_in_threadpool

from errands import Errands
from errands.fasthtml import BackgroundTasks, setup_errands
from errands.testing import drain

SECRET = "benchmark"  # or a file with a new one would be made


class Handed:
    """Something that a handler takes as a parameter."""

    @classmethod
    def __from_request__(cls) -> Handed:
        return cls()


async def noop(number: int) -> int:
    return number


def plain() -> Any:
    """Without Errands."""
    app = FastHTML(secret_key=SECRET)
    huey = Huey(Path.cwd())

    @app.get("/none")
    async def none() -> Any:
        return P("ok")

    @app.get("/local")
    async def local() -> Any:
        background = StarletteTasks()
        background.add_task(noop, 1)
        return P("ok"), background

    @app.get("/handed")
    async def local_and_handed(other: Handed) -> Any:
        background = StarletteTasks()
        background.add_task(noop, 1)
        return P("ok"), background

    @app.get("/durable")
    async def durable() -> Any:
        await run_in_threadpool(huey.noop, 1)
        return P("ok")

    @app.get("/settled")
    async def settled() -> Any:
        return P("ok")

    return app


def working() -> Any:
    """With Errands, which also runs the jobs."""
    return _with_errands(work=True)


def adding() -> Any:
    """With Errands, which leaves the jobs to other processes."""
    return _with_errands(work=False)


def _with_errands(*, work: bool) -> Any:
    app = FastHTML(secret_key=SECRET)
    errands = Errands(f"sqlite:///{Path.cwd()}/errands.db")
    setup_errands(app, errands, work=work)
    kept = errands.task(name="noop")(noop)

    async def unkept(number: int) -> int:
        return number

    @app.get("/none")
    async def none() -> Any:
        return P("ok")

    @app.get("/local")
    async def local(background: BackgroundTasks) -> Any:
        background.add_task(unkept, 1)
        return P("ok")

    @app.get("/durable")
    async def durable(background: BackgroundTasks) -> Any:
        background.add_task(kept, 1)
        return P("ok")

    @app.get("/settled")
    async def settled() -> Any:
        if work:
            await drain(errands, timeout=60)
        return P("ok")

    return app

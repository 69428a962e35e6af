"""Endpoints in FastAPI: each function at the bottom makes an application for uvicorn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import BackgroundTasks as StarletteTasks
from fastapi import Depends, FastAPI
from measuring.peers import Huey
from starlette.concurrency import run_in_threadpool

from errands import Errands
from errands.fastapi import BackgroundTasks, setup_errands
from errands.testing import drain


async def noop(number: int) -> int:
    return number


async def handed() -> None:
    """A dependency that does nothing."""


def plain() -> FastAPI:
    """Without Errands."""
    app = FastAPI()
    huey = Huey(Path.cwd())

    @app.get("/none")
    async def none() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/local")
    async def local(background: StarletteTasks) -> dict[str, bool]:
        background.add_task(noop, 1)
        return {"ok": True}

    @app.get("/handed")
    async def local_and_handed(
        background: StarletteTasks, other: Annotated[None, Depends(handed)]
    ) -> dict[str, bool]:
        background.add_task(noop, 1)
        return {"ok": True}

    @app.get("/durable")
    async def durable() -> dict[str, bool]:
        await run_in_threadpool(huey.noop, 1)
        return {"ok": True}

    @app.get("/settled")
    async def settled() -> dict[str, bool]:
        return {"ok": True}

    return app


def working() -> FastAPI:
    """With Errands, which also runs the jobs."""
    return _with_errands(work=True)


def adding() -> FastAPI:
    """With Errands, which leaves the jobs to other processes."""
    return _with_errands(work=False)


def _with_errands(*, work: bool) -> FastAPI:
    app = FastAPI()
    errands = Errands(f"sqlite:///{Path.cwd()}/errands.db")
    setup_errands(app, errands, work=work)
    kept = errands.task(name="noop")(noop)

    async def unkept(number: int) -> int:
        return number

    @app.get("/none")
    async def none() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/local")
    async def local(background: BackgroundTasks) -> dict[str, bool]:
        background.add_task(unkept, 1)
        return {"ok": True}

    @app.get("/durable")
    async def durable(background: BackgroundTasks) -> dict[str, bool]:
        background.add_task(kept, 1)
        return {"ok": True}

    @app.get("/settled")
    async def settled() -> dict[str, bool]:
        if work:
            await drain(errands, timeout=60)
        return {"ok": True}

    return app

"""A page with jobs on it, for a browser: each counts to three, a step at each visit of `/step`.

Usage: python apps_status.py FOLDER [PORT]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fasthtml.common import FastHTML, Li, P, Script, Ul
from starlette.requests import Request
from starlette.responses import FileResponse

from errands import Errands, progress
from errands.fasthtml import GroupProgress, JobProgress, JobResult, JobStatus, setup_errands

HTMX = Path(__file__).parent.parent / "examples" / "photos" / "static" / "htmx.min.js"
FOLDER = Path(sys.argv[1])
LOOK = 0.02  # seconds between two looks at whether there was a step

errands = Errands(f"sqlite:///{FOLDER}/errands.db", grace=1)
app: Any = FastHTML(
    default_hdrs=False,
    hdrs=[Script(src="/htmx.js")],
    key_fname=str(FOLDER / "key"),
)
setup_errands(app, errands, status_key=lambda request: request.session.get("user"))


def stands(step: int) -> bool:
    return (FOLDER / f"step{step}").exists()


@errands.task
async def count(name: str) -> list[str]:
    for step in range(3):
        progress(step, 3, f"Counting {name}")
        while not stands(step + 1):  # noqa: ASYNC110  # another process steps
            await asyncio.sleep(LOOK)
    return [name, "<b>bold</b>"]


@errands.task
async def step_of(number: int) -> None:
    while not stands(number + 1):  # noqa: ASYNC110  # another process steps
        await asyncio.sleep(LOOK)
    if number == 1:
        raise ValueError("the second one cannot be done")


def items(names: list[str]) -> Any:
    return Ul(*map(Li, names), id="result")


@app.get("/")
async def index(part: str, live: bool = False) -> Any:
    if part == "group":
        name = await errands.map(step_of, range(3), group="<i>sheep</i> / 3")
        return GroupProgress(await errands.group(name), live=live)
    after = 90_000 if part == "later" else 0
    job = await errands.options(after=after).add_task(count, "<i>sheep</i>")
    if part == "result":
        return JobResult(job, items, live=live)
    return JobProgress(job, live=live) if part == "progress" else JobStatus(job, live=live)


@app.get("/step")
def step(number: int) -> Any:
    (FOLDER / f"step{number}").touch()
    return P("Stepped")


@app.get("/forget")
async def forget() -> Any:
    for job in await errands.jobs():
        await errands.delete(job)
    return P("Forgotten")


@app.get("/login")
def login(request: Request, user: str) -> Any:
    request.session["user"] = user
    return P("Hello")


@app.get("/htmx.js")
def htmx() -> Any:
    return FileResponse(HTMX)


@app.get("/favicon.ico")
def icon() -> Any:
    return P()


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]) if len(sys.argv) > 2 else 0)

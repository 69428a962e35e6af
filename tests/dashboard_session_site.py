"""An application whose visitors log in and out, with a dashboard: the cookie says which."""

from __future__ import annotations

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from errands import Errands, every
from errands.dashboard import dashboard
from errands.starlette import setup_errands

LONG = 120 * "w"
errands = Errands("memory:", grace=1)


@errands.task
async def later() -> None:
    """What is added for a day that does not come."""


@errands.task(name=f"{LONG}.{LONG}")
async def fail() -> None:
    """What fails with a word that no line breaks."""
    raise RuntimeError(20 * LONG)


@errands.schedule(every(seconds=1), name="tick")
async def tick() -> None:
    """What changes a page all the time."""


def allow(request: Request) -> Response | bool:
    """Without a cookie the visitor is logged in."""
    way = request.cookies.get("session")
    return RedirectResponse("/login") if way == "over" else way != "of somebody else"


async def add(request: Request) -> Response:
    """The id of a new job."""
    job = await errands.options(after=90_000).add_task(later)
    return HTMLResponse(job.id)


async def add_long(request: Request) -> Response:
    """The id of a job of which every name is long, when it has failed."""
    job = await errands.options(queue=LONG, key=LONG, group=LONG).add_task(fail)
    async for each in errands.events(job):
        job = each
    return HTMLResponse(job.id)


async def login(request: Request) -> Response:
    """A page that is none of the dashboard."""
    return HTMLResponse('<!doctype html><main id="main"><h1>Log in</h1></main>')


app = Starlette(
    routes=[
        Route("/add", add),
        Route("/add-long", add_long),
        Route("/login", login),
        Mount("/errands", dashboard(errands, allow=allow)),
    ]
)
setup_errands(app, errands)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "0")))

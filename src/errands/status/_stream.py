"""A job as a stream of server-sent events: bounded, resumed, and no hindrance to a shutdown."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .. import Errands, Job
from ..errors import NotOpen, StoreUnavailable
from ._shown import mark_of

Frame = Callable[[Job], tuple[str, str]]

LONGEST = 20.0  # seconds of one stream, since a server that stops waits for it; the next follows
LOOK = 0.25  # seconds between two looks at whether the server is to stop
PAUSE = 500  # milliseconds until the browser asks for the next stream
HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would keep events until there are many
}


async def event_stream(errands: Errands, job_id: str, request: Request, frame: Frame) -> Response:
    """The changes of a job that this browser has not seen yet.

    A browser that comes back names the event that it had last. 204 tells it to stay away:
    there is nothing more to come.

    Args:
        frame: The name and the text of the event for a job; without a name it is a `message`.
    """
    job = await errands.job(job_id)
    seen = request.headers.get("last-event-id") or request.query_params.get("seen", "")
    if job is None or (job.is_final and mark_of(job) == seen):
        return Response(status_code=204)
    events = _events(errands, job_id, seen, frame)
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


async def _events(
    errands: Errands, job_id: str, seen: str, frame: Frame
) -> AsyncGenerator[str, None]:
    yield f"retry: {PAUSE}\n\n"
    try:
        async with aclosing(_while_served(errands.events(job_id))) as changes:
            async for job in changes:
                if mark_of(job) != seen:
                    yield _event(mark_of(job), *frame(job))
    except (LookupError, NotOpen, StoreUnavailable):
        return  # the browser comes back, and then is told


async def _while_served(changes: AsyncGenerator[Job, None]) -> AsyncGenerator[Job, None]:
    """Go through the changes for as long as a stream may last."""
    loop = asyncio.get_running_loop()
    end, coming = loop.time() + LONGEST, None
    try:
        while loop.time() < end and not is_leaving():
            if coming is None:
                coming = asyncio.ensure_future(_next(changes))
            await asyncio.wait({coming}, timeout=LOOK)
            if not coming.done():
                continue
            job, coming = coming.result(), None
            if job is None:
                return
            yield job
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
        await changes.aclose()


async def _next(changes: AsyncGenerator[Job, None]) -> Job | None:
    return await anext(changes, None)


def is_leaving() -> bool:
    """Whether uvicorn, if that serves us, was told to stop.

    It waits for open connections, without an end, before it tells the application: what it
    knows stands beside the signal handler that it has installed.
    """
    server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))


def _event(mark: str, name: str, text: str) -> str:
    lines = [f"id: {mark}", *([f"event: {name}"] if name else [])]
    lines += [f"data: {line}" for line in re.split("\r\n|\n|\r", text)]
    return "\n".join([*lines, "", ""])

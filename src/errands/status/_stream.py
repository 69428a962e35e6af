"""A job or a group as a stream of server-sent events: bounded, and no hindrance to a shutdown."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .. import Group, Job
from ..errors import NotOpen, StoreUnavailable
from ._shown import mark_of

Followed = TypeVar("Followed", Job, Group)
Frame = Callable[[Followed], tuple[str, str]]

LONGEST = 20.0  # seconds of one stream, since a server that stops waits for it; the next follows
LOOK = 0.25  # seconds between two looks at whether the server is to stop
PAUSE = 500  # milliseconds until the browser asks for the next stream
HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would keep events until there are many
}


def event_stream(
    now: Followed | None, changes: AsyncGenerator[Followed, None], request: Request,
    frame: Frame[Followed],
) -> Response:  # fmt: skip  # a row
    """The changes of a job or a group that this browser has not seen yet.

    A browser that comes back names the event that it had last. 204 tells it to stay away:
    there is nothing more to come.

    Args:
        now: As it is; `None` if it is gone.
        changes: It again, and whenever it has changed.
        frame: The name and the text of the event for it; without a name it is a `message`.
    """
    seen = seen_by(request)
    if now is None or (now.is_final and mark_of(now) == seen):
        return Response(status_code=204)
    if request.method == "HEAD":  # which a router lets pass as a GET, and nobody would read
        return Response(media_type="text/event-stream", headers=HEADERS)
    events = _events(changes, seen, frame)
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


def last_event(request: Request, name: str, text: str) -> Response:
    """A stream of one event, after which nothing is to come: 204, once that has been seen."""
    if seen_by(request) == name:
        return Response(status_code=204)
    return Response(_event(name, name, text), media_type="text/event-stream", headers=HEADERS)


def seen_by(request: Request) -> str:
    """The mark of what whoever asks has seen last."""
    return request.headers.get("last-event-id") or request.query_params.get("seen", "")


def unless_gone(group: Group, request: Request) -> Group | None:
    """The group, unless all jobs that whoever asks has seen are forgotten.

    One that has had none so far may get some.
    """
    had_none = seen_by(request) in ("", mark_of(replace(group, counts={})))
    return group if group.total or had_none else None


async def _events(
    changes: AsyncGenerator[Followed, None], seen: str, frame: Frame[Followed]
) -> AsyncGenerator[str, None]:
    yield f"retry: {PAUSE}\n\n"
    try:
        async with aclosing(_while_served(changes)) as served:
            async for what in served:
                if mark_of(what) != seen:
                    yield _event(mark_of(what), *frame(what))
    except (LookupError, NotOpen, StoreUnavailable):
        return  # the browser comes back, and then is told


async def _while_served(
    changes: AsyncGenerator[Followed, None],
) -> AsyncGenerator[Followed, None]:
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
            what, coming = coming.result(), None
            if what is None:
                return
            yield what
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
        await changes.aclose()


async def _next(changes: AsyncGenerator[Followed, None]) -> Followed | None:
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

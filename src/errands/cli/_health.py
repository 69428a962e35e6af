"""Health: answers those who ask over HTTP whether a worker lives and claims jobs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import click

logger = logging.getLogger("errands.worker")

LONGEST = 5.0  # seconds that somebody may take to ask
REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Place(NamedTuple):
    """Where to listen."""

    host: str
    port: int


class Health(NamedTuple):
    """How the workers do.

    Attributes:
        is_ready: Whether they take jobs from the store.
        body: More about it, as JSON.
    """

    is_ready: bool
    body: bytes


@asynccontextmanager
async def answering(place: Place | None, look: Callable[[], Health]) -> AsyncIterator[None]:
    """Answer while in the block: `GET /alive` while the event loop turns, `GET /ready` by `look`.

    Raises:
        click.ClickException: if nobody can listen there.
    """
    if place is None:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(LONGEST):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(request, look()))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, place.host, place.port)
    except OSError as error:
        raise click.ClickException(
            f"nobody can listen on {place.host}:{place.port}: {error.strerror or error}. "
            "Choose another --health-port."
        ) from error
    port = server.sockets[0].getsockname()[1]
    logger.info("health: http://%s:%d/ready and /alive", place.host, port)
    try:
        yield
    finally:
        server.close()


def _answer(request: bytes, health: Health) -> bytes:
    method, _, rest = request.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path not in (b"/alive", b"/ready"):
        status, body = 404, b'{"error":"ask for /alive or /ready"}'
    elif method not in (b"GET", b"HEAD"):
        status, body = 405, b'{"error":"ask with GET"}'
    else:
        status, body = 200 if path == b"/alive" or health.is_ready else 503, health.body
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else body)

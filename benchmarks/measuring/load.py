"""Load on a server of this machine: as many requests as its connections can carry."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import uvloop

CONNECTIONS = 32
PATIENCE = 60.0  # seconds that one answer may take
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Slice:
    """A stretch of load on one address.

    Attributes:
        warm_up: Seconds before what counts.
        seconds: How long it counts.
    """

    name: str
    port: int
    path: str
    warm_up: float
    seconds: float


@dataclass(frozen=True)
class Load:
    """What came of a slice.

    Attributes:
        rate: Requests per second.
        waits: Seconds that each of them took.
    """

    name: str
    rate: float
    waits: Sequence[float]


def loads(slices: Sequence[Slice]) -> list[Load]:
    """Put one slice of load after another on the servers."""

    async def all_of_them() -> list[Load]:
        return [await _load(each) for each in slices]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(all_of_them())


class _Connection(asyncio.Protocol):
    """Asks again as soon as it is answered, until it is told to stop."""

    def __init__(self, path: str) -> None:
        head = f"GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\nhx-request: true\r\n\r\n"
        self._request, self._answer = head.encode(), b""
        self.waits: list[float] = []
        self.is_stopping = False
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = LENGTH.search(head)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            self.over.set_exception(RuntimeError(f"a bad answer: {self._answer!r}"))
            self._transport.abort()
        elif len(body) == int(length[1]):
            self.waits.append(time.perf_counter() - self._asked)
            self._answer = b""
            if self.is_stopping:
                self._transport.close()
            else:
                self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done() and self.is_stopping:
            self.over.set_result(None)
        elif not self.over.done():
            self.over.set_exception(exc or ConnectionError("the server hung up"))

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(self._request)


async def _load(wanted: Slice) -> Load:
    connections = [await _connected(wanted.port, wanted.path) for _ in range(CONNECTIONS)]
    await asyncio.sleep(wanted.warm_up)
    for connection in connections:
        connection.waits.clear()
    begin = time.perf_counter()
    await asyncio.sleep(wanted.seconds)
    waits = [wait for connection in connections for wait in connection.waits]
    took = time.perf_counter() - begin
    await _stopped(connections)
    await _stopped([await _connected(wanted.port, "/settled")])
    return Load(wanted.name, len(waits) / took, waits)


async def _connected(port: int, path: str) -> _Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: _Connection(path), "127.0.0.1", port)
    return connection


async def _stopped(connections: Sequence[_Connection]) -> None:
    for connection in connections:
        connection.is_stopping = True
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(connection.over for connection in connections))

"""A wire: a TCP proxy between us and a server, on which answers can be lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK = 1 << 16
LONGEST = 10.0  # seconds that its thread gets to begin or to end


@dataclass
class Wire:
    """What passes between clients and a server, and what does not.

    Attributes:
        to: The server's port, on the loopback interface.
        port: Its own.
        cuts: What clients say; the connection on which it is said breaks when the server
            answers, and the answer is lost. Each breaks one.
        hushed: What the server says in vain.
        lost: How many answers were.
    """

    to: int
    port: int = 0
    cuts: list[bytes] = field(default_factory=list)
    hushed: list[bytes] = field(default_factory=list)
    lost: int = 0
    has_begun: threading.Event = field(default_factory=threading.Event)
    _joined: set[asyncio.Task[None]] = field(default_factory=set)

    async def carry(self) -> None:
        """Carry bytes both ways until `end` is called."""
        self._loop, self._is_over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.has_begun.set()
        await self._is_over.wait()
        server.close()
        for task in (tasks := list(self._joined)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    def end(self) -> None:
        """Break every connection; from another thread."""
        self._loop.call_soon_threadsafe(self._is_over.set)

    async def _join(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._joined.add(task)
        try:
            await self._carry_both(client, answers)
        except* OSError:
            pass  # one of the two ends has gone, and now the other has, too
        finally:
            self._joined.discard(task)
            answers.transport.abort()

    async def _carry_both(
        self, client: asyncio.StreamReader, answers: asyncio.StreamWriter
    ) -> None:
        server, asks = await asyncio.open_connection("127.0.0.1", self.to)
        is_cut = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(client, asks, is_cut))
                group.create_task(self._answer(server, answers, is_cut))
        finally:
            asks.transport.abort()

    async def _ask(
        self, client: asyncio.StreamReader, asks: asyncio.StreamWriter, is_cut: asyncio.Event
    ) -> None:
        while said := await client.read(CHUNK):
            if word := next((word for word in self.cuts if word in said), None):
                self.cuts.remove(word)
                is_cut.set()
            asks.write(said)
            await asks.drain()
        raise ConnectionResetError

    async def _answer(
        self, server: asyncio.StreamReader, answers: asyncio.StreamWriter, is_cut: asyncio.Event
    ) -> None:
        while said := await server.read(CHUNK):
            if is_cut.is_set() or any(word in said for word in self.hushed):
                self.lost += 1
                if is_cut.is_set():
                    break
                continue
            answers.write(said)
            await answers.drain()
        raise ConnectionResetError


@contextmanager
def wired(to: int) -> Iterator[Wire]:
    """A wire to a port, carried by a thread until the end of the block."""
    wire = Wire(to)
    thread = threading.Thread(target=lambda: asyncio.run(wire.carry()), name="wire")
    thread.start()
    try:
        assert wire.has_begun.wait(LONGEST)
        yield wire
    finally:
        wire.end()
        thread.join(LONGEST)

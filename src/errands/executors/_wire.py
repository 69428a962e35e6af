"""What an application and the processes of its tasks say to each other.

A frame is the lengths of both parts, four and eight bytes, then a message as JSON, then a body,
which is the result of a task as it is stored: it may be long, and is not read on its way.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from .._job import Job
from .._progress import Progress
from .._reference import Reference

HEAD = struct.Struct(">IQ")
CHUNK = 1 << 20  # bytes that are read at once, at the most


class Prepare(msgspec.Struct, tag=True):
    """To a process: import what your tasks need."""

    references: Sequence[Reference]


class Assignment(msgspec.Struct, tag=True):
    """To a process: run one job.

    Attributes:
        task: The name of its task.
        timeout: Seconds after which `TimeoutError` is raised inside.
        max_memory: Bytes that it may take.
        levels: Those of the application's loggers.
    """

    job: Job
    task: str
    reference: Reference
    timeout: float | None
    max_memory: int | None
    levels: Mapping[str, int]


class Cancel(msgspec.Struct, tag=True):
    """To a process: the job that you run is to end."""


class Ready(msgspec.Struct, tag=True):
    """To the application: all is imported."""


class Started(msgspec.Struct, tag=True):
    """To the application: the function begins."""


class Advanced(msgspec.Struct, tag=True):
    """To the application: so far has it come."""

    progress: Progress


class Logged(msgspec.Struct, tag=True):
    """To the application: a log record, by the names of its attributes."""

    record: dict[str, Any]


class Done(msgspec.Struct, tag=True):
    """To the application: the function has returned; the body is its result.

    Attributes:
        note: Why the result cannot be kept.
        progress: What it told last.
    """

    has_result: bool
    note: str | None
    progress: Progress | None


class Failure(msgspec.Struct, tag=True):
    """To the application: the function raised.

    Attributes:
        kinds: Modules and names of the type of the exception and of its bases, nearest first.
        args: Those of the exception, as far as JSON has them, else as text.
        state: Its attributes that JSON has.
        text: What it says.
        trace: The traceback as it is shown.
        is_late: Whether the function has been interrupted for its timeout.
        progress: What it told last.
    """

    kinds: Sequence[tuple[str, str]]
    args: Sequence[Any]
    state: Mapping[str, Any]
    text: str
    trace: str
    is_late: bool = False
    progress: Progress | None = None


ToProcess = Prepare | Assignment | Cancel
ToApplication = Ready | Started | Advanced | Logged | Done | Failure

_encoder = msgspec.json.Encoder()
to_process = msgspec.json.Decoder(ToProcess)
to_application = msgspec.json.Decoder(ToApplication)


class Line:
    """One end of the line between the two. Any thread may send."""

    def __init__(self, end: socket.socket) -> None:
        """Say nothing yet."""
        self.socket = end
        self._turn = threading.Lock()
        self._read = bytearray()

    def send(self, message: ToProcess | ToApplication, body: bytes = b"") -> None:
        """Send a frame, whole.

        Raises:
            OSError: if nobody is there any more.
        """
        text = _encoder.encode(message)
        with self._turn:
            self.socket.sendall(HEAD.pack(len(text), len(body)) + text)
            if body:
                self.socket.sendall(body)

    def receive(self) -> Iterator[tuple[bytes, bytes]] | None:
        """Wait for more, and answer with the frames that are whole by then; `None` at the end."""
        try:
            more = self.socket.recv(CHUNK)
        except OSError:  # it was killed with something unread
            return None
        if not more:
            return None
        self._read += more
        return self._frames()

    def close(self) -> None:
        """Let the other side know that there is no more to come."""
        self.socket.close()

    def _frames(self) -> Iterator[tuple[bytes, bytes]]:
        while len(self._read) >= HEAD.size:
            text, body = HEAD.unpack_from(self._read)
            end = HEAD.size + text + body
            if len(self._read) < end:
                return
            view = bytes(self._read[HEAD.size : end])
            del self._read[:end]
            yield view[:text], view[text:]

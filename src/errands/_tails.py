"""Tails: the last lines that each service of this process has logged, for others to see."""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from typing import Any

from ._clock import Clock
from ._heartbeat import LogLine

LINES = 20  # of each service
WIDEST = 500  # characters of a line
SIZE = 4_096  # bytes of each service; of many, fewer
ALL = 65_536  # bytes of all of them together


class Tails:
    """Keeps the last lines of each service, and none where nothing is logged."""

    def __init__(self, clock: Clock) -> None:
        """Hear nothing yet."""
        self._clock = clock
        self._tails: dict[str, _Tail] = {}

    def begin(self, service: str) -> None:
        """Take what is logged in this context from here on for the service's.

        That is what its coroutine, its thread and whatever they call log, by whatever logger,
        if the level of that lets it through.
        """
        _hear()
        _tail.set(self._tails.setdefault(service, _Tail(service, self._clock)))

    def lines(self) -> tuple[LogLine, ...]:
        """Those that there are, of each service the oldest first."""
        size = min(SIZE, ALL // max(len(self._tails), 1))
        return tuple(line for tail in list(self._tails.values()) for line in tail.within(size))


@dataclass(frozen=True, slots=True)
class _Tail:
    service: str
    clock: Clock
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LINES))

    def note(self, record: logging.LogRecord) -> None:
        """Keep a record, from whatever thread."""
        text = _text_of(record)
        text = text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
        self.lines.append(LogLine(self.service, self.clock.now(), record.levelname, text))

    def within(self, size: int) -> list[LogLine]:
        """The newest that take no more bytes than that, the oldest first."""
        left = size

        def has_room(line: LogLine) -> bool:
            nonlocal left
            left -= len(line.text.encode())
            return left >= 0

        # a copy, since another thread may add one meanwhile
        return list(takewhile(has_room, reversed(self.lines.copy())))[::-1]


_tail: ContextVar[_Tail | None] = ContextVar("errands_tail", default=None)


@cache
def _hear() -> None:
    """Have each record that is made in this process, once, noted where it is a service's.

    A handler would see the same, but where nobody has set up any, the first one silences
    Python's own of last resort, and keeps `logging.basicConfig` from doing its work.
    """
    logging.setLogRecordFactory(_noting(logging.getLogRecordFactory()))


def _noting(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        tail = _tail.get()
        if tail is not None and record.name:  # one without is a copy that is about to be filled
            tail.note(record)
        return record

    return made


def _text_of(record: logging.LogRecord) -> str:
    """What it says, with what the error says that it tells of; half of a character is lost."""
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001  # its arguments do not fit, of which logging itself tells
        said = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        said = f"{said}: {traceback.format_exception_only(error)[-1].strip()}"
    return said.encode(errors="replace").decode()

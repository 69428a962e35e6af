"""The ids of jobs: they sort by the time at which they were made, and cannot be guessed."""

from __future__ import annotations

import os
import threading
from datetime import datetime


def new_id(now: datetime) -> str:
    """A UUIDv7 that sorts by `now`, then by the order of the calls, and cannot be guessed.

    The 12 bits after the time count, as in RFC 9562, section 6.2, method 1; 62 are random.
    """
    return _ids.next(round(now.timestamp() * 1000))


def first_id(at: datetime) -> str:
    """What no id of an earlier millisecond sorts above, and none of this one below."""
    text = f"{max(round(at.timestamp() * 1000), 0):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


class _Ids:
    """Makes ids that sort in the order in which they were asked for, in one process."""

    def __init__(self) -> None:
        self._stamp, self._count = 0, 0  # a millisecond, and how many ids it has had
        self._head = ""  # of all its ids
        self._tails: list[str] = []
        self._lock = threading.Lock()

    def next(self, stamp: int) -> str:
        with self._lock:
            if stamp > self._stamp:
                self._begin(stamp)
            elif self._count == 0xFFF:  # RFC 9562 has room for no more: borrow from what is to come
                self._begin(self._stamp + 1)
            else:
                self._count += 1
            if not self._tails:  # asked for seldom, since asking takes long
                self._tails = [_tail(n) for n in memoryview(os.urandom(8 * 256)).cast("Q")]
            return f"{self._head}{self._count:03x}{self._tails.pop()}"

    def _begin(self, stamp: int) -> None:
        text = f"{stamp:012x}"
        self._stamp, self._count, self._head = stamp, 0, f"{text[:8]}-{text[8:]}-7"


def _tail(noise: int) -> str:
    text = f"{2 << 62 | noise >> 2:016x}"
    return f"-{text[:4]}-{text[4:]}"


_ids = _Ids()

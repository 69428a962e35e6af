"""The plain values that users pass and every store can keep: text, numbers, lengths of time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

Seconds = float | timedelta

LONGEST = 1e10  # seconds, some 300 years: no date is out of range
BYTES = 2000  # of a name: an index of PostgreSQL has room for no more
LARGEST = 2**63  # whole numbers below it are those of the databases


def seconds(time: Seconds) -> float:
    """A length of time as a user may write it, in seconds.

    Raises:
        TypeError: if it is none.
    """
    if isinstance(time, timedelta):
        return time.total_seconds()
    if not isinstance(time, int | float):
        raise TypeError(f"{time!r} is no length of time: write seconds, as in 60, or a timedelta")
    return time


def is_text(value: object) -> bool:
    """Whether it is text that says something, and that every store can keep and look for."""
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    try:
        return len(value.encode()) <= BYTES
    except UnicodeEncodeError:  # half of a pair, as in the name of a file that is no UTF-8
        return False


def is_whole(value: object) -> bool:
    """Whether it is a whole number that every store can keep."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


def kept(text: str) -> str:
    """The text with what no store can keep spelt out, as a name of a file may have it."""
    if text.isascii() and "\0" not in text:  # nearly always
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def shown(value: Any) -> str:
    """A value as a message quotes it, in some 60 characters, whatever its `repr` does."""
    try:
        text = kept(repr(value))
    except Exception as error:  # noqa: BLE001  # a value that is too deep, too long, or broken
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}…"

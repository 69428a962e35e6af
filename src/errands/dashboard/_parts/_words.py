"""Words for numbers: durations, instants, sizes."""

from __future__ import annotations

from datetime import datetime, timedelta

from .._markup import Markup, h

UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))
THIN = "\u202f"  # a thin space that no line breaks at


def took(length: timedelta) -> str:
    """A duration in two or three digits: `3 ms`, `1.4 s`, `2 min 5 s`, `3 d 4 h`."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _pair(whole, 60, "min", "s")
    if whole < 86_400:
        return _pair(whole // 60, 60, "h", "min")
    return _pair(whole // 3600, 24, "d", "h")


def ago(instant: datetime, now: datetime) -> Markup:
    """How long ago, or in how long, with the instant itself at hand."""
    length = (now - instant).total_seconds()
    if abs(length) < 1:
        return _time("now", instant)
    rough = _rough(abs(length))
    return _time(f"{rough} ago" if length > 0 else f"in {rough}", instant)


def until(instant: datetime, now: datetime) -> Markup:
    """In how long; `due` once that has come."""
    return _time("due", instant) if instant <= now else ago(instant, now)


def moment(instant: datetime) -> Markup:
    """The instant in UTC, to the millisecond."""
    return _time(f"{instant:%Y-%m-%d %H:%M:%S}.{instant.microsecond // 1000:03d}", instant)


def number(value: float) -> str:
    """A whole number, its thousands apart."""
    return f"{value:,.0f}".replace(",", THIN)


def size(characters: int) -> str:
    """How much text that is."""
    if characters < 1_000:
        return f"{characters} B"
    if characters < 1_000_000:
        return f"{characters / 1_000:.0f} kB"
    return f"{characters / 1_000_000:.1f} MB"


def clipped(text: str, most: int) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: most * 2].split())
    return line if len(line) <= most and len(text) <= most * 2 else f"{line[:most].rstrip()}…"


def _pair(whole: int, ratio: int, great: str, small: str) -> str:
    rest = whole % ratio
    return f"{whole // ratio} {great}" + (f" {rest} {small}" if rest else "")


def _rough(seconds: float) -> str:
    for length, unit in UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _time(text: str, instant: datetime) -> Markup:
    shown = f"{instant:%Y-%m-%d %H:%M:%S} UTC"
    return h.time(text, datetime=instant.isoformat(timespec="milliseconds"), title=shown)

"""Texts for people: instants, lengths of time, and what a stranger wrote made harmless."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
LONGEST = 1000 * 365 * 86_400.0  # seconds that a clock can be put back
LONGEST = 5200 * UNITS["w"]  # a century
LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")


def harmless(text: str) -> str:
    """Without what a terminal would obey: every control character but the newline is spelt out."""
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else _spelt(c) for c in text)


def one_line(text: str) -> str:
    """Harmless, and in one line."""
    return harmless(" ".join(text.split()))


def instant(when: datetime | None) -> str:
    """In UTC, to the second."""
    return "" if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def lasting(length: timedelta) -> str:
    """A length of time in its two biggest units at the most: `1.2 s`, `3 min`, `2 h 5 min`."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if not hours:
        return f"{minutes:.0f} min"
    if not days:
        return f"{hours:.0f} h {minutes % 60:.0f} min"
    return f"{days:.0f} d {hours % 24:.0f} h"


def short(length: timedelta) -> str:
    """A length of time in its biggest unit: `45s`, `3m`, `2h`, `5d`."""
    seconds = max(length.total_seconds(), 0.0)
    unit = next((u for u in "dhm" if seconds >= UNITS[u]), "s")
    return f"{seconds // UNITS[unit]:.0f}{unit}"


def number(count: int, noun: str) -> str:
    """`1 job`, `1,234 jobs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def length(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """The seconds of an option that is a length of time: `90`, `90s`, `15m`, `12h`, `7d`, `2w`."""
    if value is None:
        return None
    found = LENGTH.fullmatch(value.strip().lower())
    if found is None:
        raise click.BadParameter(f"{value!r}: write seconds, or 90s, 15m, 12h, 7d, 2w")
    seconds = float(found[1]) * UNITS[found[2] or "s"]
    if seconds > LONGEST:
        raise click.BadParameter(f"{value!r}: nobody remembers that")
    return seconds


def moment(context: click.Context, option: click.Parameter, value: str | None) -> datetime | None:
    """What an option says of an instant, as ISO 8601 has it; UTC where it names no zone."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r}: write 2026-02-01T03:00, or with +01:00 at its end"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def past(
    context: click.Context, option: click.Parameter, value: str | None
) -> datetime | timedelta | None:
    """What an option says of an instant: as `moment`, or how long ago, as `length`."""
    if value is None or LENGTH.fullmatch(value.strip().lower()) is None:
        try:
            return moment(context, option, value)
        except click.BadParameter:
            raise click.BadParameter(
                f"{value!r}: write 90s, 15m, 12h, 7d, 2w for so long ago, or 2026-02-01T03:00"
            ) from None
    ago = length(context, option, value) or 0.0
    if ago > LONGEST:
        raise click.BadParameter(f"{value!r}: nobody remembers that")
    return timedelta(seconds=ago)


def _spelt(character: str) -> str:
    code = ord(character)
    if character == "\t":
        return "    "
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

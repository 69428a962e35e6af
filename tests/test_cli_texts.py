"""Texts of the command line: lengths of time, and secrets that are hidden by their names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from errands import Job, Redaction
from errands.cli._records import of_job
from errands.cli._texts import harmless, lasting, length, short


@pytest.mark.parametrize(
    ("seconds", "long", "brief"),
    [
        (0.0123, "12 ms", "0s"),
        (3.21, "3.2 s", "3s"),
        (59, "59 s", "59s"),
        (61, "1 min", "1m"),
        (7500, "2 h 5 min", "2h"),
        (200_000, "2 d 7 h", "2d"),
        (-5, "0 ms", "0s"),
    ],
)
def test_a_length_is_told_by_its_biggest_units(seconds: float, long: str, brief: str) -> None:
    """Never with more digits than anybody reads."""
    told = timedelta(seconds=seconds)

    assert (long, brief) == (lasting(told), short(told))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5m", 90), ("2H", 7200), ("7d", 604_800), ("2 w", 1.2096e6)],
)
def test_a_length_is_read(text: str, seconds: float) -> None:
    """In its units."""
    assert seconds == length(None, None, text)  # type: ignore[arg-type]  # click's, which it ignores


def test_control_characters_are_spelt_out() -> None:
    """All but the newline; other scripts stay."""
    assert "\\x1b[2J\n\\x9b\\u202eé日😀    x" == harmless("\x1b[2J\n\x9b\u202eé日😀\tx")


def test_a_limit_is_named_without_the_secret_in_it() -> None:
    """It has the value of its argument in its name."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    kept_back = Job(
        id="1", task="ask", payload='{"api_key":"sk_live_42"}', due_at=now, free_at=now,
        added_at=now, blocked_by='limit:ask:api_key="sk_live_42"',
    )  # fmt: skip  # a row

    assert f'limit:ask:api_key="{Redaction.HIDDEN}"' == of_job(kept_back, now)["blocked_by"]
    assert kept_back.blocked_by == of_job(kept_back, now, is_revealing=True)["blocked_by"]

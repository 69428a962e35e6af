"""What a worker tells of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from errands import Heartbeat

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEAT = Heartbeat(
    worker="w", host="h", pid=1, queues=None, slots=5, running=2, version="1", started_at=NOW,
    seen_at=NOW,
)  # fmt: skip  # a row


def test_a_worker_is_alive_for_as_long_as_it_is_seen() -> None:
    """Twenty seconds of silence are too many."""
    assert BEAT.is_alive(NOW + timedelta(seconds=20))
    assert not BEAT.is_alive(NOW + timedelta(seconds=20.001))


def test_a_beat_says_what_runs_now() -> None:
    """And when that was."""
    later = BEAT.seen(NOW + timedelta(seconds=25), running=3, slots=BEAT.slots)

    assert (3, NOW) == (later.running, later.started_at)
    assert later.is_alive(NOW + timedelta(seconds=40))


def test_a_worker_that_is_gone_runs_nothing() -> None:
    """However short ago it was seen."""
    gone = BEAT.gone(NOW)

    assert (0, NOW) == (gone.running, gone.gone_at)
    assert not gone.is_alive(NOW)

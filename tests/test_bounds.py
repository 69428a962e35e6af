"""Limits of a function that is alone in its process: here, of a test."""

from __future__ import annotations

import signal
import threading

import pytest

from errands._bounds import Alarm

LONG = 10  # seconds, an upper bound that is never reached


def test_an_alarm_rings_in_the_main_thread() -> None:
    """What waits there is interrupted, and the alarm says that it was."""
    alarm = Alarm(0.001, "too late", bool)  # it may ring before the block has begun
    with pytest.raises(TimeoutError, match="too late"), alarm:
        threading.Event().wait(LONG)

    assert alarm.has_rung
    assert (0.0, 0.0) == signal.getitimer(signal.ITIMER_REAL)


def test_an_alarm_waits_for_what_may_not_be_cut_off() -> None:
    """And rings once that is over."""
    busy = [True, True, True]

    with pytest.raises(TimeoutError), Alarm(0.001, "x", lambda: bool(busy and busy.pop())):
        threading.Event().wait(LONG)

    assert [] == busy


def test_an_alarm_in_time_does_not_ring() -> None:
    """Nor does one without a time."""
    for seconds in (LONG, None):
        with Alarm(seconds, "x", bool) as alarm:
            pass
        assert not alarm.has_rung
        assert (0.0, 0.0) == signal.getitimer(signal.ITIMER_REAL)

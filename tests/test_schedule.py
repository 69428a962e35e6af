"""A schedule is a value: what it adds when, and how it changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errands import Cron, Every, Schedule, every
from errands._ids import _Ids
from errands._schedule import AHEAD, MOST

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def of(spec: Every | Cron, **fields: Any) -> Schedule:
    """A schedule whose first tick is the next one, but for what `fields` say."""
    common: dict[str, Any] = {
        "name": "s", "task": "t", "spec": spec.text, "payload": "{}", "known_at": NOW,
        "next_tick": spec.next_after(NOW),
    }  # fmt: skip  # a row
    return Schedule(**common | fields)


def ticks(schedule: Schedule, now: datetime) -> list[timedelta]:
    """How long after noon the ticks are whose jobs are to be stored."""
    return [tick - NOW for tick in schedule.ticked("w", now)[0]]


# Identity


@given(st.integers(0, 10**10), st.text())
def test_the_id_of_a_tick_is_a_uuid_that_tells_its_time(seconds: int, name: str) -> None:
    """Version 7, of which the first 48 bits are milliseconds."""
    tick = NOW + timedelta(seconds=seconds)
    uuid = UUID(of(every(minutes=1), name=name).tick_id(tick))

    assert 7 == uuid.version
    assert round(tick.timestamp() * 1000) == uuid.int >> 80


def test_ids_of_ticks_sort_among_those_of_other_jobs() -> None:
    """By time: a job that was added between two ticks stands between them."""
    schedule = of(every(minutes=1))
    other = _Ids().next(round((NOW + SECOND).timestamp() * 1000))  # as `new_id` makes them

    ids = [schedule.tick_id(NOW), other, schedule.tick_id(NOW + MINUTE)]
    assert sorted(ids) == ids


def test_a_tick_has_one_id_for_each_schedule() -> None:
    """Whatever the schedule has been through."""
    first, second = of(every(minutes=1)), of(every(minutes=1), name="other")
    instants = [NOW + n * MINUTE for n in range(100)]

    ids = {each.tick_id(tick) for each in (first, second) for tick in instants}
    assert 200 == len(ids)
    assert first.tick_id(NOW) == first.paused().resumed(NOW).known("w", NOW).tick_id(NOW)


def test_the_jitter_of_a_tick_is_the_same_for_everybody() -> None:
    """It is drawn from schedule and tick, and spreads over its range."""
    schedule = of(every(minutes=1, jitter=10))
    waits = [schedule.due_at(NOW + n * MINUTE) - (NOW + n * MINUTE) for n in range(200)]

    assert waits == [schedule.due_at(NOW + n * MINUTE) - (NOW + n * MINUTE) for n in range(200)]
    assert timedelta(0) <= min(waits) < SECOND
    assert 9 * SECOND < max(waits) <= 10 * SECOND
    assert not any(wait.microseconds % 1000 for wait in waits)


# Ticks


def test_a_job_is_stored_a_little_before_it_is_due() -> None:
    """So that it starts in time."""
    schedule = of(every(minutes=1))
    early = NOW + MINUTE - AHEAD

    assert [] == ticks(schedule, early - timedelta(milliseconds=1))
    assert [MINUTE] == ticks(schedule, early)
    _, after = schedule.ticked("w", early)
    assert (NOW + MINUTE, NOW + 2 * MINUTE) == (after.last_tick, after.next_tick)
    assert [] == ticks(after, NOW + MINUTE)


def test_what_may_be_left_out_is_stored_when_it_is_due() -> None:
    """Before that nobody knows whether the job before it will have ended."""
    schedule = of(every(minutes=1, overlap="skip"))

    assert [] == ticks(schedule, NOW + MINUTE - timedelta(milliseconds=1))
    assert [MINUTE] == ticks(schedule, NOW + MINUTE)
    assert "schedule:s" == schedule.key


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("skip", []), ("one", [5]), ("all", [1, 2, 3, 4, 5])],
)
def test_what_was_missed_is_made_up_for_as_was_asked(missed: Any, expected: list[int]) -> None:
    """None of it, the last, or all; and after that it goes on as ever."""
    schedule = of(every(minutes=1, missed=missed))
    _, after = schedule.ticked("w", NOW + 5.5 * MINUTE)

    assert [n * MINUTE for n in expected] == ticks(schedule, NOW + 5.5 * MINUTE)
    assert NOW + 6 * MINUTE == after.next_tick


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
def test_a_tick_that_is_seen_to_within_seconds_is_not_missed(missed: Any) -> None:
    """A process that has much to do is not at fault at once."""
    schedule = of(every(minutes=1, missed=missed))

    assert [MINUTE] == ticks(schedule, NOW + MINUTE + 4 * SECOND)


@pytest.mark.parametrize("missed", ["skip", "one"])
def test_jitter_makes_no_tick_late(missed: Any) -> None:
    """It is due later, and until then nobody missed it."""
    schedule = of(every(hours=1, jitter=600, missed=missed, overlap="skip"))
    due = schedule.due_at(NOW + HOUR)

    assert [] == ticks(schedule, due - SECOND)
    assert [HOUR] == ticks(schedule, due + SECOND)


def test_very_many_that_were_missed_come_bit_by_bit() -> None:
    """None is lost."""
    schedule, seen = of(every(seconds=1, missed="all")), 0
    later = NOW + (3 * MOST) * SECOND
    while found := schedule.ticked("w", later)[0]:
        assert len(found) <= MOST
        seen, schedule = seen + len(found), schedule.ticked("w", later)[1]

    assert 3 * MOST + AHEAD // SECOND == seen


def test_it_ends_after_its_last_tick() -> None:
    """Which may be made up for."""
    schedule = of(every(minutes=1, until=NOW + 3 * MINUTE))
    found, after = schedule.ticked("w", NOW + HOUR)

    assert [NOW + 3 * MINUTE] == found
    assert (None, []) == (after.next_tick, ticks(after, NOW + 2 * HOUR))


# Changes


def test_a_pause_is_not_made_up_for() -> None:
    """It goes on with the next tick."""
    paused = of(every(minutes=1, missed="all")).paused()
    resumed = paused.resumed(NOW + HOUR)

    assert (None, []) == (paused.next_tick, ticks(paused, NOW + HOUR))
    assert NOW + HOUR + MINUTE == resumed.next_tick
    assert (2, 3) == (paused.version, resumed.version)


def test_a_spec_that_is_changed_counts_from_now() -> None:
    """One that is paused stays so."""
    schedule = of(every(minutes=1))

    assert NOW + 2 * HOUR == schedule.changed(every(hours=1), "{}", NOW + HOUR).next_tick
    assert None is schedule.paused().changed(every(hours=1), "{}", NOW).next_tick


def test_what_the_code_says_anew_keeps_what_was_missed() -> None:
    """A deploy takes its time; other arguments are no other times."""
    before = of(every(minutes=1), declared="old")
    new = of(every(minutes=1), declared="new", payload='{"n":1}', next_tick=NOW + HOUR)
    later = of(every(minutes=2), declared="new", next_tick=NOW + HOUR)

    assert ('{"n":1}', NOW + MINUTE) == (
        before.redeclared(new).payload, before.redeclared(new).next_tick,
    )  # fmt: skip  # a row
    assert NOW + HOUR == before.redeclared(later).next_tick
    assert before.paused().redeclared(new).is_paused
    assert not before.removed().redeclared(new).is_removed


def test_the_ticks_ahead_are_those_whose_jobs_may_be_stored() -> None:
    """And have not begun."""
    schedule = of(every(seconds=0.5))
    half = SECOND / 2

    assert [NOW + n * half for n in (1, 2, 3)] == schedule.ahead(NOW)
    assert [] == of(every(seconds=0.5, overlap="skip")).ahead(NOW)

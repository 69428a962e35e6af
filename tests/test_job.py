"""A job is a value: each transition says what becomes of it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta

import pytest

from errands import Attempt, Job, Outcome, Progress, State
from errands._job import NEVER, WAITING

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE = 15 * SECOND
JOB = Job(id="1", task="mail", payload="{}", due_at=NOW, free_at=NOW, added_at=NOW)


def test_a_new_job_waits() -> None:
    """It was never started and has no past."""
    assert (State.QUEUED, 0, (), 0) == (JOB.state, JOB.attempt, JOB.history, JOB.version)
    assert not JOB.is_final
    assert None is JOB.error


def test_a_job_cannot_be_changed() -> None:
    """Only a transition makes another one of it."""
    with pytest.raises(FrozenInstanceError):
        JOB.state = State.DONE  # type: ignore[misc]  # the case


def test_a_claim_starts_an_attempt_and_a_lease() -> None:
    """The lease ends at `free_at`."""
    running = JOB.claimed("w", NOW + SECOND, LEASE)

    assert (State.RUNNING, "w", 1) == (running.state, running.worker, running.attempt)
    assert (NOW + SECOND, NOW + SECOND + LEASE) == (running.started_at, running.free_at)
    assert (NOW, (), 1) == (running.due_at, running.history, running.version)


def test_who_ran_a_job_that_is_claimed_again_is_taken_for_dead() -> None:
    """The history says so, and the new attempt knows nothing of the old one's progress."""
    first = JOB.claimed("a", NOW, LEASE).progressed(Progress(1, 2))
    second = first.claimed("b", NOW + LEASE, LEASE)

    [lost] = second.history
    assert (1, "a", NOW, NOW + LEASE, Outcome.LOST) == (
        lost.number, lost.worker, lost.started_at, lost.ended_at, lost.outcome,
    )  # fmt: skip  # a row
    assert (2, "b", None, 2) == (second.attempt, second.worker, second.progress, second.version)


def test_a_done_job_keeps_its_result() -> None:
    """And the attempt that made it."""
    done = JOB.claimed("w", NOW, LEASE).done("3", NOW + SECOND)

    assert (State.DONE, "3", NOW + SECOND) == (done.state, done.result, done.finished_at)
    assert (Attempt(1, "w", NOW, NOW + SECOND, Outcome.DONE),) == done.history
    assert done.is_final
    assert None is done.error


def test_a_failed_job_keeps_its_error() -> None:
    """For good, without a wait."""
    failed = JOB.claimed("w", NOW, LEASE).failed("boom", NOW + SECOND)

    assert (State.FAILED, "boom", True) == (failed.state, failed.error, failed.is_final)
    assert (Outcome.FAILED, "boom") == (failed.history[-1].outcome, failed.history[-1].error)


def test_a_failed_job_with_a_wait_is_queued_again() -> None:
    """Nobody holds it meanwhile, and the attempt counts."""
    again = JOB.claimed("w", NOW, LEASE).failed("boom", NOW + SECOND, 2.5)

    assert (State.QUEUED, None, 1) == (again.state, again.worker, again.attempt)
    assert (NOW + 3.5 * SECOND, NOW) == (again.free_at, again.due_at)
    assert ("boom", None, 2) == (again.error, again.finished_at, again.version)


def test_a_wait_is_rounded_to_milliseconds() -> None:
    """The precision that every store keeps."""
    again = JOB.claimed("w", NOW, LEASE).failed("boom", NOW, 0.1234567)

    assert NOW + timedelta(milliseconds=123) == again.free_at


def test_a_queued_job_can_be_cancelled() -> None:
    """It was never started, so there is no attempt to remember."""
    cancelled = JOB.cancelled(NOW)

    assert (State.CANCELLED, (), True) == (cancelled.state, cancelled.history, cancelled.is_final)


def test_a_running_job_can_be_cancelled() -> None:
    """The attempt is remembered as cancelled."""
    cancelled = JOB.claimed("w", NOW, LEASE).cancelled(NOW + SECOND)

    assert [Outcome.CANCELLED] == [attempt.outcome for attempt in cancelled.history]


def test_a_job_that_is_asked_for_again_starts_anew() -> None:
    """Due at once, with all its attempts; its past is kept."""
    failed = JOB.claimed("w", NOW, LEASE).failed("boom", NOW)
    again = failed.retried(NOW + SECOND)

    assert (State.QUEUED, 0, None) == (again.state, again.attempt, again.finished_at)
    assert (NOW + SECOND, failed.history) == (again.free_at, again.history)
    assert failed.version + 1 == again.version


def test_a_released_attempt_costs_nothing() -> None:
    """It is in the history, and the next one has the same number."""
    released = JOB.claimed("w", NOW, LEASE).released(NOW + SECOND)

    assert (State.QUEUED, 0, None) == (released.state, released.attempt, released.worker)
    assert NOW + SECOND == released.free_at
    assert [Outcome.RELEASED] == [attempt.outcome for attempt in released.history]
    assert 1 == released.claimed("x", NOW + SECOND, LEASE).attempt


def test_a_job_that_was_held_and_never_started_is_as_before() -> None:
    """Only its version tells."""
    assert replace(JOB, version=2) == JOB.claimed("w", NOW, LEASE).unclaimed()


def test_progress_and_a_longer_lease_are_no_transitions() -> None:
    """The version stays, so that they cannot be in the way of an outcome."""
    running = JOB.claimed("w", NOW, LEASE)

    assert running.version == running.progressed(Progress(1)).version
    assert replace(running, free_at=NOW + 2 * LEASE) == running.extended(NOW + 2 * LEASE)


def test_a_replaced_job_keeps_its_id_and_its_place_in_time() -> None:
    """All else is the new one's."""
    new = replace(JOB, id="2", payload='{"n":2}', queue="q", priority=4, due_at=NOW + SECOND)
    replaced = replace(JOB, version=3).replaced(new)

    assert replace(new, id="1", version=4) == replaced


def test_only_the_last_twenty_attempts_are_remembered() -> None:
    """The oldest are forgotten first, the count goes on."""
    job = JOB
    for number in range(25):
        job = job.claimed("w", NOW, LEASE).failed(str(number), NOW, 0)

    assert [str(number) for number in range(5, 25)] == [attempt.error for attempt in job.history]
    assert list(range(6, 26)) == [attempt.number for attempt in job.history]
    assert 25 == job.attempt


@pytest.mark.parametrize("state", State)
def test_a_job_has_ended_in_three_states(state: State) -> None:
    """Done, failed and cancelled are final."""
    expected = state in {State.DONE, State.FAILED, State.CANCELLED}

    assert expected == replace(JOB, state=state).is_final


def test_who_lost_three_workers_in_a_row_is_suspect() -> None:
    """An attempt that ended otherwise clears it."""
    running = JOB.claimed("a", NOW, LEASE)
    seen = [running.is_suspect]
    for _ in range(3):
        running = running.claimed("b", NOW, LEASE)
        seen.append(running.is_suspect)

    assert [False, False, False, True] == seen
    assert not running.failed("no", NOW, 0).is_suspect


def test_a_postponed_job_is_as_before_its_claim_but_later() -> None:
    """The attempt does not count, and what happened before is remembered."""
    lost = JOB.claimed("a", NOW, LEASE).claimed("b", NOW, LEASE)
    later = lost.postponed(NOW + SECOND)

    assert (State.QUEUED, 1, None, None) == (
        later.state, later.attempt, later.worker, later.started_at,
    )  # fmt: skip  # a row
    assert (NOW + SECOND, NOW, lost.history, 3) == (
        later.free_at, later.due_at, later.history, later.version,
    )  # fmt: skip  # a row


def test_a_job_that_is_freed_is_free_when_it_is_due() -> None:
    """And not before those have ended that it waited for."""
    waiting = replace(JOB, waits_for=("2",), blocked_by=WAITING, free_at=NEVER)
    late = replace(waiting, due_at=NOW + 2 * SECOND)
    freed = waiting.freed(NOW + SECOND)

    assert (None, NOW + SECOND, 1) == (freed.blocked_by, freed.free_at, freed.version)
    assert NOW + 2 * SECOND == late.freed(NOW + SECOND).free_at


def test_a_job_that_is_asked_for_again_waits_again() -> None:
    """If it has waited for others; as one that is handed back to wait."""
    freed = replace(JOB, waits_for=("2",)).claimed("w", NOW, LEASE)
    again = freed.failed("boom", NOW).retried(NOW)
    back = freed.returned()

    assert (State.QUEUED, WAITING, NEVER, 0) == (
        again.state, again.blocked_by, again.free_at, again.attempt,
    )  # fmt: skip  # a row
    assert (State.QUEUED, WAITING, NEVER, 0, None) == (
        back.state, back.blocked_by, back.free_at, back.attempt, back.started_at,
    )  # fmt: skip  # as above
    assert None is JOB.claimed("w", NOW, LEASE).failed("boom", NOW).retried(NOW).blocked_by


def test_a_cancelled_job_may_say_why() -> None:
    """Where it had been claimed."""
    assert "because" == JOB.claimed("w", NOW, LEASE).cancelled(NOW, "because").error
    assert None is JOB.cancelled(NOW).error


def test_who_is_cancelled_between_two_attempts_made_no_third() -> None:
    """The history has the attempt that failed, and not the wait for the next one."""
    failed = JOB.claimed("w", NOW, LEASE).failed("boom", NOW + SECOND, wait=60)
    cancelled = failed.cancelled(NOW + 2 * SECOND)

    assert (State.CANCELLED, failed.history) == (cancelled.state, cancelled.history)

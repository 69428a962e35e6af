"""The policy of a service: told by its job alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from errands import Budget, Job, Outcome, Progress, ServiceState, ServiceStatus
from errands._service import Service, marks_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)


async def serve() -> None:
    """Nothing."""


def service(**options: Any) -> Service:
    return Service(name="x", function=serve, **options)


def longest(low: float, high: float) -> float:
    return high


def started(policy: Service, now: datetime = NOW) -> Job:
    return policy.job(now).claimed("w", now, LEASE)


def life(policy: Service, up: float, draw: Any = longest) -> tuple[list[float], Job]:
    """Let it fail after so many seconds, each time, until it is given up: the waits."""
    job, now, waits = started(policy), NOW, list[float]()
    while len(waits) < 1000:
        now += timedelta(seconds=up)
        wait = policy.wait_after(job, now, draw)
        job = job.failed("error", now, wait)
        if wait is None:
            break
        waits.append(wait)
        now = job.free_at
        job = job.claimed("w", now, LEASE)
    return waits, job


def test_the_waits_double_from_a_tenth_of_a_second_to_a_minute() -> None:
    """At the least from 0.1 s, at the most to 60 s."""
    most, _ = life(service(), 0.0)
    least, _ = life(service(), 0.0, draw=min)

    assert [0.2, 0.4, 0.8, 1.6] == most[:4]
    assert [0.1, 0.2, 0.4, 0.8] == least[:4]
    assert (60.0, 30.0) == (max(most), max(least))


@pytest.mark.parametrize("draw", [min, max, random.uniform])
def test_a_service_that_always_fails_at_once_is_given_up(draw: Any) -> None:
    """After 20 restarts, however the waits fall."""
    waits, job = life(service(), 0.0, draw)

    assert 20 == len(waits)
    assert ServiceState.FAILED is ServiceStatus.of(job, NOW).state


def test_a_service_that_stays_up_is_started_again_soon() -> None:
    """Its earlier falls lengthen no wait; the budget counts them all the same."""
    waits, _ = life(service(budget=Budget(restarts=5)), 11.0)

    assert [0.2] * 5 == waits


def test_a_service_that_fails_seldom_is_never_given_up() -> None:
    """What is older than the budget's time does not count."""
    waits, _ = life(service(), 60.0)

    assert 1000 == len(waits)


def test_one_long_stay_begins_the_waits_anew() -> None:
    """Two quick falls, one after a minute, and a quick one again."""
    policy, now, waits = service(), NOW, []
    job = started(policy)
    for up in (0, 0, 60, 0, 0):
        now += timedelta(seconds=up)
        wait = policy.wait_after(job, now, longest)
        assert wait is not None
        waits.append(wait)
        job = job.failed("error", now, wait).claimed("w", now, LEASE)

    assert [0.2, 0.4, 0.2, 0.2, 0.4] == waits


def test_lost_and_stopped_workers_do_not_count() -> None:
    """They say nothing about the service."""
    policy = service(budget=Budget(restarts=1))
    job = started(policy)
    for _ in range(30):
        job = job.claimed("other", NOW, LEASE)
        job = job.released(NOW).claimed("w", NOW, LEASE)

    assert {Outcome.LOST, Outcome.RELEASED} == {attempt.outcome for attempt in job.history}
    assert 0.2 == policy.wait_after(job, NOW, longest)


def test_whoever_starts_it_again_gives_it_its_budget_back() -> None:
    """The history stays, and is not counted."""
    policy = service(budget=Budget(restarts=3))
    waits, job = life(policy, 0.0)
    assert 3 == len(waits)

    again = job.retried(NOW).claimed("w", NOW, LEASE)

    assert 4 == len(again.history)
    assert 0.2 == policy.wait_after(again, NOW, longest)


@pytest.mark.parametrize("options", [{"restart": "never"}, {"budget": Budget(restarts=0)}])
def test_a_service_without_restarts_has_none(options: dict[str, Any]) -> None:
    """Its first failure is its last."""
    assert None is service(**options).wait_after(started(service()), NOW)


@pytest.mark.parametrize("options", [{"restarts": -1}, {"restarts": 21}, {"within": 0}])
def test_a_budget_has_its_range(options: dict[str, Any]) -> None:
    """Up to what a job remembers."""
    with pytest.raises(ValueError, match="expected"):
        Budget(**options)


def test_a_mark_tells_declarations_apart() -> None:
    """By their options and by their source; the same one has the same in each process."""

    async def other() -> None:
        """Something else."""

    marks = {service().mark, service(watchdog=3).mark, Service(name="x", function=other).mark}

    assert 3 == len(marks)
    assert service().mark == service().mark
    assert Service(name="x", function=print).mark


def test_a_job_remembers_whose_declarations_failed() -> None:
    """A bounded number of them."""
    old, new = service(), service(watchdog=3)
    job = new.job(NOW, old.job(NOW))
    for _ in range(30):
        job = new.job(NOW, job)

    assert [old.mark, new.mark] == marks_of(new.job(NOW, old.job(NOW)))
    assert 10 == len(marks_of(job))


def test_a_status_says_how_the_service_does() -> None:
    """In each state of its job."""
    policy, later = service(), NOW + timedelta(seconds=5)
    first = policy.job(NOW)
    up = first.claimed("w", later, LEASE)
    ready = up.progressed(Progress(0))
    fallen = ready.failed("why", later, 1)
    told = [
        (found.state, found.since, found.is_ready, found.worker, found.error)
        for job in (first, up, ready, fallen, ready.failed("why", later), ready.done(None, later))
        for found in [ServiceStatus.of(job, later)]
    ]

    assert [
        (ServiceState.STOPPED, NOW, False, None, None),
        (ServiceState.STARTING, later, False, "w", None),
        (ServiceState.RUNNING, later, True, "w", None),
        (ServiceState.BACKING_OFF, later, False, None, "why"),
        (ServiceState.FAILED, later, False, None, "why"),
        (ServiceState.STOPPED, later, False, None, None),
    ] == told
    assert ServiceState.STOPPED is ServiceStatus.of(ready.released(later), later).state

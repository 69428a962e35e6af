"""When a failed job is tried again."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from errands import Retry

ERROR = ValueError("no")


def longest(low: float, high: float) -> float:
    """A draw that always takes the longest wait."""
    return high


def test_by_default_a_job_is_failed_at_once() -> None:
    """Not every function may be called twice."""
    assert None is Retry().wait_after(1, ERROR)


def test_the_waits_double_up_to_the_longest() -> None:
    """From `wait` to `max_wait`."""
    retry = Retry(attempts=8, wait=2, max_wait=50)

    expected = [2, 4, 8, 16, 32, 50, 50, None]
    assert expected == [retry.wait_after(n, ERROR, longest) for n in range(1, 9)]


def test_a_wait_is_drawn_from_nothing_to_its_full_length() -> None:
    """Full jitter: jobs that failed together do not come back together."""
    asked: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        asked.append((low, high))
        return 1.25

    assert 1.25 == Retry(attempts=9, wait=3).wait_after(2, ERROR, draw)
    assert [(0.0, 6.0)] == asked


def test_waits_may_be_timedeltas() -> None:
    """As all times that a user passes."""
    retry = Retry(attempts=3, wait=timedelta(minutes=1), max_wait=timedelta(seconds=90))

    assert [60, 90, None] == [retry.wait_after(n, ERROR, longest) for n in (1, 2, 3)]


def test_the_longest_wait_of_all_is_some_date() -> None:
    """A year above 9999 would not be."""
    assert 1e10 == Retry(attempts=None, wait=9e9, max_wait=math.inf).wait_after(9, ERROR, longest)


def test_by_itself_it_draws_at_random() -> None:
    """Within the bounds, and not twice the same."""
    waits = {Retry(attempts=2, wait=10).wait_after(1, ERROR) for _ in range(50)}

    assert 40 < len(waits)
    assert all(wait is not None and 0 <= wait <= 10 for wait in waits)


def test_only_the_named_errors_are_worth_another_attempt() -> None:
    """Their subclasses among them."""
    retry = Retry(attempts=5, wait=1, on=(ConnectionError, TimeoutError))

    assert None is not retry.wait_after(1, ConnectionResetError())
    assert None is not retry.wait_after(1, TimeoutError())
    assert None is retry.wait_after(1, ERROR)


def test_every_exception_is_worth_it_by_default() -> None:
    """But not the end of the process."""
    assert None is not Retry(attempts=2).wait_after(1, ERROR)
    assert None is Retry(attempts=2).wait_after(1, SystemExit())
    assert None is not Retry(attempts=2, on=BaseException).wait_after(1, SystemExit())


def test_without_end_there_is_always_another_attempt() -> None:
    """And the wait stays a number, however many there were."""
    retry = Retry(attempts=None, wait=1, max_wait=math.inf)
    wait = retry.wait_after(1_000_000, ERROR, longest)

    assert wait is not None
    assert math.isfinite(wait)


def test_a_wait_of_nothing_is_none_at_all() -> None:
    """At once means at once."""
    assert 0.0 == Retry(attempts=3, wait=0).wait_after(2, ERROR)


@pytest.mark.parametrize(
    ("retry", "starts"),
    [
        (Retry(), 5),
        (Retry(lost=0), 1),
        (Retry(lost=2), 2),
        (Retry(attempts=9), 9),
        (Retry(attempts=9, lost=20), 20),
    ],
)
def test_a_job_whose_worker_dies_has_some_starts_in_any_case(retry: Retry, starts: int) -> None:
    """The bigger one of `attempts` and `lost` counts."""
    assert [True] * starts + [False] == [retry.survives(n) for n in range(1, starts + 2)]


def test_a_job_that_is_tried_without_end_survives_every_worker() -> None:
    """As a service must."""
    assert Retry(attempts=None, lost=0).survives(10_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"wait": -1},
        {"wait": math.nan},
        {"max_wait": -0.1},
        {"max_wait": math.nan},
        {"lost": -1},
        {"attempts": 1.5},
        {"attempts": "3"},
        {"lost": True},
    ],
)
def test_a_number_out_of_its_range_is_refused(wrong: dict[str, Any]) -> None:
    """The message quotes it."""
    [(name, value)] = wrong.items()

    with pytest.raises(ValueError, match=rf"^Retry\({name}={value!r}\): "):
        Retry(**wrong)


@pytest.mark.parametrize("wrong", [ValueError("x"), "ValueError", (ValueError, 3), int, None])
def test_what_is_no_type_of_exception_is_refused(wrong: Any) -> None:
    """An instance, a name or another type."""
    with pytest.raises(TypeError, match=r"Retry\(on=…\): .* is not a type of exception"):
        Retry(on=wrong)

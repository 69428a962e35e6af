"""A progress says how far a job has come."""

from __future__ import annotations

import pytest

from errands import Progress


@pytest.mark.parametrize(
    ("progress", "fraction"),
    [
        (Progress(1, 4), 0.25),
        (Progress(0, 4), 0.0),
        (Progress(5, 4), 1.0),
        (Progress(-1, 4), 0.0),
        (Progress(1), None),
        (Progress(0, 0), None),
    ],
)
def test_a_fraction_is_between_nothing_and_all(progress: Progress, fraction: float | None) -> None:
    """Where the total is known."""
    assert fraction == progress.fraction

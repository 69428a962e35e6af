"""For pytest: `pytest_plugins = ["errands.testing.plugin"]` in the `conftest.py` at the root.

A test in which a supervised loop or a service fell over fails, although it was started again.
One that means it is marked `@pytest.mark.errands_falls`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from ._clock import JumpingClock

WATCHED = (
    "errands", "errands.process", "errands.service", "errands.supervisor", "errands.worker",
)  # fmt: skip  # names


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "errands_falls: means a loop or a service to fall over")


@pytest.fixture
def errands_clock() -> JumpingClock:
    """A clock that stands still until it is told to jump."""
    return JumpingClock()


@pytest.fixture(autouse=True)
def errands_keeps_up(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail the test if something fell over that only the log would tell of."""
    yield
    if request.node.get_closest_marker("errands_falls"):
        return
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    fallen = [r for r in records if r.name in WATCHED and r.levelno >= logging.ERROR]
    assert [] == [record.getMessage() for record in fallen]

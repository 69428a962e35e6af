"""What all tests share: one backend, stores to run on, and no failure that goes unseen."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from errands import Errands, Store
from errands.stores import store_at
from errands.testing import JumpingClock

WATCHED = ("errands.supervisor", "errands.worker", "errands")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, once for each kind."""
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/errands.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with store_at(url) as store:
        yield store


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def errands(url: str) -> Errands:
    return Errands(url, grace=2)


@pytest.fixture(autouse=True)
def nothing_falls_over(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail a test in which a supervised loop fell over, or a run of ours did.

    A test that means it says so with `@pytest.mark.falls`.
    """
    yield
    if request.node.get_closest_marker("falls"):
        return
    fallen = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.name in WATCHED and record.levelno >= logging.ERROR
    ]
    assert [] == fallen

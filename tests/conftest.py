"""What all tests share: one backend, and stores to run on.

That no failure goes unseen is the work of `errands.testing.plugin`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from errands import Errands, Store
from errands.stores import store_at
from errands.testing import JumpingClock


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

"""What all tests share: one backend, and stores to run on.

That no failure goes unseen is the work of `errands.testing.plugin`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer, running_server

from errands import Errands, Store
from errands.stores import store_at
from errands.testing import JumpingClock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server, started when the first test wants it."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty store in PostgreSQL: a schema of its own."""
    return postgres.new_url()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, once for each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
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

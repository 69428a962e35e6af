"""What all tests share: one backend, and stores to run on.

That no failure goes unseen is the work of `errands.testing.plugin`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import quiet
from postgres_server import PostgresServer, running_server

from errands import Declared, Errands, Store
from errands.stores import store_at
from errands.testing import JumpingClock

KINDS = ("memory", "sqlite", "postgres")
DOORS = (
    "test_asgi", "test_dashboard", "test_fastapi", "test_fasthtml", "test_photos", "test_starlette"
)  # fmt: skip  # a table


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the tests that run alone come last, where there are neighbours who would wait."""
    if quiet.has_neighbours(config):
        items.sort(key=quiet.is_alone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Give each test its turn."""
    with quiet.turn(item):
        return (yield)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server, started when the first test of this process wants it."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty store in PostgreSQL: a schema of its own."""
    return postgres.new_url()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each kind of store, or those that its module names as `STORES`.

    What is of the frameworks is run on those that start at once.
    """
    if "url" in metafunc.fixturenames and _is_shared(metafunc):
        is_of_a_door = metafunc.module.__name__.startswith(DOORS)
        kinds = KINDS[:2] if is_of_a_door else getattr(metafunc.module, "STORES", KINDS)
        metafunc.parametrize("url", kinds, indirect=True)


def _is_shared(metafunc: pytest.Metafunc) -> bool:
    """Whether it is the fixture below, and not a module's own or a list of the test's."""
    named = [str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")]
    return "url" not in vars(metafunc.module) and not any("url" in names for names in named)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, once for each kind."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/errands.db"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of an empty store in a file."""
    return f"sqlite:///{tmp_path}/errands.db"


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


@pytest.fixture
def notes() -> list[str]:
    """What tasks have written down, in the order in which they ran."""
    return []


@pytest.fixture
def keep(errands: Errands, notes: list[str]) -> Declared[[str], None]:
    """A declared task; a plain `notes.append` is its local counterpart."""

    @errands.task(name="keep")
    def keep(text: str) -> None:
        notes.append(text)

    return keep

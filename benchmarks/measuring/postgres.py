"""A PostgreSQL server to measure on: one run's own, set up so that nothing is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ._rounds import ROUNDS, Samples, apart

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # its server is that of the tests

from postgres_server import PostgresServer, running_server

T = TypeVar("T")

# What `initdb` leaves, but for where it listens: each commit is flushed, and vacuum runs.
DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


@contextmanager
def postgres(**settings: str) -> Iterator[PostgresServer]:
    """A durable server, told what else it is to be told."""
    with running_server(DURABLE | settings) as server:
        version = server.execute("show server_version")[0][0]
        print(f"PostgreSQL {version}, fsync and synchronous_commit on, else as initdb leaves it")
        yield server


@contextmanager
def database(server: PostgresServer, like: str | None = None) -> Iterator[str]:
    """The URL of an empty database, which leaves nothing to be done for the next one.

    Args:
        like: The URL of one that nobody is connected to, to have a copy of it instead.
    """
    url = server.new_database() if like is None else server.new_database(_name(like))
    server.execute("checkpoint")
    try:
        yield url
    finally:
        server.execute(f'drop database "{_name(url)}" with (force)')


def interleaved_on(
    server: PostgresServer,
    contenders: Mapping[str, Callable[[str], T]],
    rounds: int = ROUNDS,
) -> Samples[T]:
    """What each contender answers, in rounds of one turn each.

    Args:
        contenders: As `interleaved` has them, but called with the URL of an empty database.
    """
    samples: Samples[T] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            with database(server) as url:
                samples[name].append(apart(contender, url))
    return samples


def _name(url: str) -> str:
    """That of the database."""
    return url.rpartition("/")[2]

"""The PostgreSQL store behind a pooler that gives each transaction another session."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from ports import free_port
from postgres_server import PostgresServer

from errands import Errands, Store
from errands.stores import store_at
from errands.stores.postgres import PostgresStore
from errands.testing import StoreContract, drain

POOLER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
LONG = 10  # seconds, an upper bound that is never reached

CONFIGURATION = """
[databases]
postgres = host=127.0.0.1 port={server} user=postgres password=secret
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
logfile = {folder}/log
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(POOLER is None, reason="pgbouncer is not installed (apt-get install it)"),
]


@pytest.fixture(scope="module")
def pooler(postgres: PostgresServer) -> Iterator[int]:
    """The port of a pooler before the server of the tests."""
    assert POOLER is not None
    with TemporaryDirectory() as temporary:
        folder, port = Path(temporary), free_port()
        file = folder / "pgbouncer.ini"
        file.write_text(CONFIGURATION.format(server=postgres.port, port=port, folder=folder))
        owner = "nobody" if os.geteuid() == 0 else None
        for path in (folder, file):
            shutil.chown(path, owner or os.geteuid())
        process = subprocess.Popen([POOLER, str(file)], user=owner, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield port
        finally:
            process.kill()
            process.wait(LONG)


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + LONG
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < give_up, "pgbouncer does not start"
            time.sleep(0.01)  # it gives no signal
        else:
            return


@pytest.fixture
def url(pooler: int, postgres_url: str) -> str:
    """An empty store, through the pooler."""
    schema = postgres_url.partition("?")[2]
    return f"postgresql://postgres@127.0.0.1:{pooler}/postgres?{schema}&pooler=transaction"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with store_at(url) as store:
        yield store


class TestPooled(StoreContract):
    """The contract holds there, too."""


async def test_nobody_is_rescued_where_nobody_can_be_seen(
    store: PostgresStore, postgres_url: str
) -> None:
    """Nor is who works behind the pooler taken for dead by others."""
    await store.enlist("w")
    async with PostgresStore(postgres_url) as direct:
        await direct.enlist("d")
        table = f"{direct._address.schema}.errands_enlisted"

        with psycopg.connect(postgres_url.partition("?")[0]) as connection:
            cursor = connection.execute(f"select worker from {table}".encode())
            assert [("d",)] == cursor.fetchall()


async def test_jobs_run_side_by_side(url: str) -> None:
    """More of them than the pooler has sessions, added by one and run by two."""
    pair = [Errands(url) for _ in range(2)]
    done: list[int] = []

    async def work(number: int) -> None:
        done.append(number)

    for errands in pair:
        errands.task(work)
    async with pair[0].working(), pair[1].working():
        await asyncio.gather(*(pair[0].add_task(work, number) for number in range(200)))
        await drain(pair[0])

    assert list(range(200)) == sorted(done)

"""Locks in PostgreSQL: of two transactions that write the same jobs one waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from due_jobs import NOW, job
from patience import eventually, soon
from postgres_server import PostgresServer

from errands import Claim, State
from errands._job import WAITING
from errands.stores.postgres import PostgresStore

LATER = NOW + timedelta(seconds=9)
Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(postgres_url) as store:
        yield store


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[Connection]:
    """One of an application's, which is told first where two wait for each other."""
    async with await psycopg.AsyncConnection.connect(url.partition("?")[0]) as connection:
        schema = url.partition("schema=")[2]
        await connection.execute(f"set search_path to {schema}".encode())
        await connection.execute("set deadlock_timeout to '10ms'")
        yield connection


def waiting(postgres: PostgresServer, schema: str) -> int:
    """How many sessions wait for a lock just now, on the jobs of a schema."""
    [(number,)] = postgres.execute(
        "select count(distinct waits.pid) from pg_locks as waits join pg_locks as has "
        "on has.pid = waits.pid and has.granted "
        f"where not waits.granted and has.relation = to_regclass('{schema}.errands_jobs')"
    )
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("how", ["retried", "returned"])
async def test_who_waits_anew_and_whom_it_waits_for_do_not_lock_each_other_out(
    postgres: PostgresServer, postgres_url: str, store: PostgresStore, how: str
) -> None:
    """The parent ends in a transaction of its task's, while its child goes back to wait."""
    parent = job()
    child = job(waits_for=(parent.id,), free_at=NOW, runs_anyway=True)
    await store.add([parent, child])
    claim = Claim(
        worker="w", queues=None, tasks=["t"], limit=2, now=NOW, lease=timedelta(seconds=60)
    )
    first, second = await store.claim(claim)
    assert (parent.id, child.id) == (first.id, second.id)
    back = second.returned()
    if how == "retried":
        await store.save([ended := second.cancelled(NOW)])
        back = ended.retried(NOW)
    assert back.blocked_by == WAITING

    async with transaction(postgres_url) as connection:
        await connection.execute(
            b"select from errands_jobs where id = %s for no key update", (parent.id,)
        )
        saving = asyncio.create_task(store.save([back]))
        await eventually(1, lambda: waiting(postgres, postgres_url.partition("schema=")[2]))
        saved = await store.save_within(connection, [first.done("1", LATER)])
        await connection.commit()

    assert ({parent.id}, {child.id}) == (saved, await soon(saving, "the save"))
    there = await store.get(child.id)
    assert there is not None
    assert (State.QUEUED, None) == (there.state, there.blocked_by)

"""Lanes of the PostgreSQL store: which of the calls that wait become one batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from postgres_server import PostgresServer

from errands.stores.postgres._address import address_of
from errands.stores.postgres._lane import MOST, Lane
from errands.stores.postgres._link import Session


@asynccontextmanager
async def a_lane(postgres: PostgresServer, least: int = MOST) -> AsyncIterator[Lane]:
    """One of two connections."""
    lane = Lane(address_of(postgres.url), width=2, settings={}, least=least)
    lane.open("public")
    try:
        yield lane
    finally:
        await lane.close()


async def batches(lane: Lane, number: int) -> list[int]:
    """How many calls there are in each batch, if so many wait at once."""
    sizes: list[int] = []

    async def work(session: Session, calls: list[Any]) -> list[Any]:
        sizes.append(len(calls))
        await session.rows("select 1")
        return calls

    answers = await asyncio.gather(*(lane.call(work, each) for each in range(number)))
    assert list(range(number)) == answers
    return sorted(sizes, reverse=True)


@pytest.mark.parametrize(("number", "sizes"), [(100, [50, 50]), (33, [17, 16]), (32, [16, 16])])
async def test_connections_that_are_free_divide_much(
    number: int, sizes: list[int], postgres: PostgresServer
) -> None:
    """While the server is at work for some callers the others can ask anew."""
    async with a_lane(postgres, least=16) as lane:
        assert sizes == await batches(lane, number)


@pytest.mark.parametrize("number", [1, 31])
async def test_little_is_one_batch(number: int, postgres: PostgresServer) -> None:
    """A statement and a commit cost more than to wait for a few others."""
    async with a_lane(postgres, least=16) as lane:
        assert [number] == await batches(lane, number)


async def test_a_lane_that_is_not_to_divide_has_one_batch(postgres: PostgresServer) -> None:
    """As where one answer is for all who ask."""
    async with a_lane(postgres) as lane:
        assert [100] == await batches(lane, 100)


async def test_what_waits_for_a_connection_is_one_batch(postgres: PostgresServer) -> None:
    """Where there is but one that is free, it takes all."""
    async with a_lane(postgres, least=16) as lane:
        has_begun, is_over = asyncio.Event(), asyncio.Event()

        async def lasting(session: Session, calls: list[Any]) -> list[Any]:
            has_begun.set()
            await is_over.wait()
            return calls

        first = lane.call(lasting, None)
        await has_begun.wait()
        assert [100] == await batches(lane, 100)
        is_over.set()
        await first

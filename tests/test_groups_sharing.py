"""Jobs that wait for each other in a store that several processes share: two handles on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from errands import Job, Store, new_id
from errands._job import NEVER, WAITING
from errands.errors import UnknownJob
from errands.stores import store_at

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
ROUNDS = 30

Pair = tuple[Store, Store]


@pytest.fixture(params=["sqlite", "postgres"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    url = f"sqlite:///{tmp_path}/errands.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with store_at(url) as one, store_at(url) as other:
        yield one, other


def job(**fields: Any) -> Job:
    """A job that is due, but for what `fields` say."""
    common = Job(id=new_id(NOW), task="t", payload="{}", added_at=NOW, due_at=NOW, free_at=NOW)
    return replace(common, **fields)


def after(*parents: Job) -> Job:
    """A job that waits for others."""
    waits_for = tuple(parent.id for parent in parents)
    return job(waits_for=waits_for, free_at=NEVER, blocked_by=WAITING)


async def test_of_two_ends_at_once_one_frees(pair: Pair) -> None:
    """Neither takes the other for still to come."""
    one, other = pair
    for _ in range(ROUNDS):
        parents = [job(), job()]
        await one.add([*parents, child := after(*parents)])
        await asyncio.gather(
            one.save([parents[0].cancelled(LATER)]), other.save([parents[1].cancelled(LATER)])
        )

        assert child.freed(LATER) == await one.get(child.id)


async def test_who_begins_to_wait_meets_the_end(pair: Pair) -> None:
    """Whichever comes first: nobody waits for what has ended."""
    one, other = pair
    for _ in range(ROUNDS):
        parent = job()
        await one.add([parent])
        children = [after(parent) for _ in range(4)]
        await asyncio.gather(
            one.add(children[:1]), one.add(children[1:2]), other.save([parent.cancelled(LATER)]),
            one.add(children[2:]),
        )  # fmt: skip  # a call

        there = [await other.get(child.id) for child in children]
        assert [None] * 4 == [None if child is None else child.blocked_by for child in there]


async def test_who_begins_to_wait_meets_a_replacement(pair: Pair) -> None:
    """It waits for the job that is there, whatever its arguments are."""
    one, other = pair
    for _ in range(ROUNDS):
        parent = job(key="k")
        await one.add([parent])
        child = after(parent)
        _, [there] = await asyncio.gather(
            one.add([child]), other.add([job(key="k", payload='{"n":2}')], "replace")
        )
        assert parent.id == there.id
        assert child == await other.get(child.id)
        await other.save([there.cancelled(LATER)])

        assert child.freed(LATER) == await one.get(child.id)


async def test_who_is_waited_for_from_now_on_is_not_pruned(pair: Pair) -> None:
    """Or was pruned before, and then nobody is kept who waits for it."""
    one, other = pair
    for _ in range(ROUNDS):
        parent = job()
        await one.add([parent])
        await one.save([parent.cancelled(NOW)])
        child = after(parent)
        added, pruned = await asyncio.gather(
            one.add([child]), other.prune(LATER, 10), return_exceptions=True
        )

        there = [await one.get(each.id) for each in (child, parent)]
        is_kept = not isinstance(added, UnknownJob)
        assert [is_kept] * 2 == [each is not None for each in there]
        assert pruned == (not is_kept)
        await one.remove([each for each in there if each is not None])

"""Jobs that are added, and finished, in a transaction of the application's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from borrowers import POSTGRESQL, SQLITE, Begin, Place, place_at
from patience import soon

from errands import Errands, Job, State, Store
from errands.stores import store_at
from errands.testing import TransactionContract, drain


class Undone(Exception):
    """Makes a transaction fail."""


async def stored(errands: Errands, job: Job) -> Job:
    """The job as it is now."""
    there = await errands.job(job.id)
    assert there is not None
    return there


@pytest.fixture(
    params=[*((kind, "sqlite") for kind in SQLITE), *((kind, "postgresql") for kind in POSTGRESQL)],
    ids="-".join,
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """One for each library that an application may have its connection from."""
    borrower, store = request.param
    is_file = store == "sqlite"
    address = str(tmp_path / "app.db") if is_file else request.getfixturevalue("postgres_url")
    return place_at(address, borrower)


@pytest.fixture
def url(place: Place) -> str:
    return place.url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with store_at(url) as store:
        yield store


@pytest.fixture
def begin(place: Place) -> Begin:
    return place.begin


class TestTransactions(TransactionContract):
    """Run once for each of them, by the `place` fixture."""


# What an application writes


async def test_a_committed_job_runs(url: str, begin: Begin) -> None:
    """Soon after, though nobody says that the transaction was committed."""
    errands, ran = Errands(url, grace=2), asyncio.Event()

    @errands.task
    async def work() -> None:
        ran.set()

    async with errands.working():
        async with begin() as connection:
            job = await errands.options(connection=connection).add_task(work)
            assert (State.QUEUED, None) == (job.state, job.worker)
            assert None is await errands.job(job.id)
        await soon(ran.wait())
        await soon(drain(errands))
        assert State.DONE is (await stored(errands, job)).state


async def test_a_job_that_was_rolled_back_never_runs(url: str, begin: Begin) -> None:
    """Though a later one does."""
    errands, ran = Errands(url, grace=2), list[int]()

    @errands.task
    async def work(n: int) -> None:
        ran.append(n)

    async with errands.working():
        with suppress(Undone):
            async with begin() as connection:
                await errands.options(connection=connection).add_tasks([(work, 1), (work, 2)])
                raise Undone
        await errands.add_task(work, 3)
        await soon(drain(errands))

    assert [3] == ran


async def test_an_option_goes_into_the_transaction(url: str, begin: Begin) -> None:
    """Time, key and all the others."""
    errands = Errands(url)
    errands.task(print)
    async with errands:
        async with begin() as connection:
            adding = errands.options(connection=connection, key="k", after=60, queue="q")
            job = await adding.add_task(print)
        assert job == await stored(errands, job)
        assert ("k", "q", timedelta(seconds=60)) == (
            job.key, job.queue, job.due_at - job.added_at,
        )  # fmt: skip  # a row

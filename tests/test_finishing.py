"""A job that is finished in its function's own transaction: its effects happen exactly once."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from borrowers import POSTGRESQL, SQLITE, Place, execute, place_at, value
from patience import eventually, soon

from errands import Claim, CurrentJob, Errands, Job, Outcome, Retry, State, current_job
from errands.errors import JobFailed, JobLost, NotCommitted, NotSerializable, RunStopped
from errands.testing import drain

HERE = Path(__file__).parent
AGAIN = Retry(attempts=2, wait=0)
LONG = 10  # seconds, an upper bound that is never reached


KINDS = [
    *(f"sqlite: {kind}" for kind in ("sqlite3", "apsw", "aiosqlite", "sqlalchemy async session")),
    *(f"postgresql: {kind}" for kind in ("psycopg", "async psycopg", "asyncpg")),
    "postgresql: sqlalchemy async session on psycopg",
]  # one of each way to reach a connection
ALL = [*(f"sqlite: {kind}" for kind in SQLITE), *(f"postgresql: {kind}" for kind in POSTGRESQL)]


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest) -> Place:
    """Where an application has a table, too."""
    return await prepared(place_at(*addressed(request, request.param)))


def addressed(request: pytest.FixtureRequest, kind: str) -> tuple[str, str]:
    """The arguments of `place_at` for an empty store."""
    store, _, borrower = kind.partition(": ")
    if store == "sqlite":
        return str(request.getfixturevalue("tmp_path") / "app.db"), borrower
    return str(request.getfixturevalue("postgres_url")), borrower


async def prepared(place: Place) -> Place:
    """With a table of the application's."""
    async with Errands(place.url), place.begin() as connection:
        await execute(connection, "create table effects (n integer)")
    return place


@pytest.fixture
async def errands(place: Place) -> AsyncIterator[Errands]:
    errands = Errands(place.url, grace=2)
    async with errands.working():
        yield errands


@asynccontextmanager
async def effect(place: Place) -> AsyncIterator[Any]:
    """A transaction with an effect in it."""
    async with place.begin() as connection:
        await execute(connection, "insert into effects values (1)")
        yield connection


async def effects(place: Place) -> int:
    """How many there are."""
    async with place.begin() as connection:
        return int(await value(connection, "select count(*) from effects"))


async def ended(errands: Errands, job: Job) -> Job:
    """The job, once nothing runs: neither in the store nor here."""
    await soon(drain(errands))
    await soon(errands._engine.settled())
    there = await errands.job(job.id)
    assert there is not None
    return there


def outcomes(job: Job) -> list[Outcome]:
    return [attempt.outcome for attempt in job.history]


async def take_over(errands: Errands, job: Job) -> Job:
    """Another worker takes it for lost."""
    later = errands.now() + timedelta(hours=1)
    claim = Claim(
        worker="other", queues=None, tasks=[job.task], limit=1, now=later, lease=timedelta(hours=1)
    )
    [taken] = await errands._engine.store.claim(claim)
    return taken


# Committed


async def test_a_committed_finish_ends_the_job(errands: Errands, place: Place) -> None:
    """With the result that was given; what the function returns comes too late."""

    @errands.task
    async def work() -> int:
        async with effect(place) as connection:
            await current_job().finish(connection, 42)
        return 5

    job = await errands.add_task(work)

    assert 42 == await errands.result(job, timeout=LONG)
    assert [Outcome.DONE] == outcomes(await ended(errands, job))
    assert 1 == await effects(place)


@pytest.mark.errands_falls  # so it is logged
async def test_a_function_may_fail_after_its_commit(
    errands: Errands, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """The job is done all the same, and is not run again; the log says what happened."""

    @errands.task(retry=AGAIN)
    async def work() -> None:
        async with effect(place) as connection:
            await current_job().finish(connection)
        raise ValueError("too late")

    with caplog.at_level(logging.ERROR, "errands"):
        job = await ended(errands, await errands.add_task(work))

    assert (State.DONE, 1) == (job.state, job.attempt)
    assert 1 == await effects(place)
    [record] = caplog.records
    assert "is done, for its transaction was committed; then it failed" in record.message
    assert "too late" in record.message


@pytest.mark.errands_falls  # so it is logged
async def test_a_function_may_run_out_of_time_after_its_commit(
    errands: Errands, place: Place
) -> None:
    """What is committed is committed."""

    @errands.task(timeout=0.3)
    async def work() -> None:
        async with effect(place) as connection:
            await current_job().finish(connection)
        await asyncio.Event().wait()

    job = await ended(errands, await errands.add_task(work))

    assert State.DONE is job.state


async def test_a_worker_that_stops_after_the_commit_hands_nothing_back(place: Place) -> None:
    """The job is done, though its function is cancelled."""
    errands, committed = Errands(place.url, grace=0), asyncio.Event()

    @errands.task
    async def work() -> None:
        async with effect(place) as connection:
            await current_job().finish(connection)
        committed.set()
        await asyncio.Event().wait()

    async with errands.working():
        job = await errands.add_task(work)
        await soon(committed.wait())
    async with errands:
        assert [Outcome.DONE] == outcomes(await ended(errands, job))


async def test_a_function_goes_on_after_its_commit(errands: Errands, place: Place) -> None:
    """Its lease is not renewed any more, and that is no reason to stop it."""
    committed, go_on, went_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @errands.task
    async def work() -> None:
        async with effect(place) as connection:
            await current_job().finish(connection)
        committed.set()
        await go_on.wait()
        went_on.set()

    job = await errands.add_task(work)
    await soon(committed.wait())
    runs = errands._engine._worker._runs  # type: ignore[union-attr]  # it is at work
    assert [job.id] == runs.held()
    runs.lose([job.id])  # as the renewer does
    await eventually([], runs.held)
    go_on.set()

    assert State.DONE is (await ended(errands, job)).state
    assert went_on.is_set()


# Rolled back


async def test_a_finish_that_is_rolled_back_is_a_failed_attempt(
    errands: Errands, place: Place
) -> None:
    """The next attempt has its effects, and they are there once."""

    @errands.task(retry=AGAIN)
    async def work() -> None:
        async with effect(place) as connection:
            await current_job().finish(connection)
            if current_job().attempt == 1:
                raise ValueError("not yet")

    job = await ended(errands, await errands.add_task(work))

    assert [Outcome.FAILED, Outcome.DONE] == outcomes(job)
    assert "not yet" in (job.history[0].error or "")
    assert 1 == await effects(place)


async def test_to_return_without_a_commit_is_a_failed_attempt(
    errands: Errands, place: Place
) -> None:
    """Nothing was done, whatever the function seems to say; the error says why."""

    @errands.task(retry=AGAIN)
    async def work() -> None:
        with suppress(ValueError):
            async with effect(place) as connection:
                await current_job().finish(connection)
                raise ValueError

    job = await errands.add_task(work)
    with pytest.raises(JobFailed):
        await errands.result(job, timeout=LONG)

    job = await ended(errands, job)
    assert [Outcome.FAILED, Outcome.FAILED] == outcomes(job)
    assert NotCommitted.__name__ in (job.error or "")
    assert "was not committed when it returned" in (job.error or "")
    assert 0 == await effects(place)


async def test_a_transaction_may_be_begun_anew(errands: Errands, place: Place) -> None:
    """As where two of them met; the one that is committed counts."""

    @errands.task
    async def work() -> int:
        with suppress(ValueError):
            async with effect(place) as connection:
                await current_job().finish(connection, 1)
                raise ValueError
        async with effect(place) as connection:
            await current_job().finish(connection, 2)
        return 3

    job = await errands.add_task(work)

    assert 2 == await errands.result(job, timeout=LONG)
    assert 1 == await effects(place)


async def test_a_result_that_cannot_be_kept_fails_the_transaction(
    errands: Errands, place: Place
) -> None:
    """There, and not after it."""

    @errands.task
    async def work() -> None:
        async with effect(place) as connection:
            await current_job().finish(connection, object())

    job = await ended(errands, await errands.add_task(work))

    assert State.FAILED is job.state
    assert NotSerializable.__name__ in (job.error or "")
    assert 0 == await effects(place)


# Refused


async def test_who_lost_the_job_cannot_finish_it(errands: Errands, place: Place) -> None:
    """The transaction fails, and what somebody else did counts."""
    refused: list[JobLost] = []

    @errands.task
    async def work() -> None:
        job = current_job()
        other = await take_over(errands, job)
        await errands._engine.store.save([other.done("7", errands.now())])
        try:
            async with effect(place) as connection:
                await job.finish(connection)
        except JobLost as error:
            refused.append(error)
            raise

    job = await ended(errands, await errands.add_task(work))

    assert [job.id] == [error.job.id for error in refused]
    assert ("7", "other") == (job.result, job.worker)
    assert 0 == await effects(place)


async def test_a_run_that_was_given_up_cannot_finish(errands: Errands, place: Place) -> None:
    """It is told before the database is asked."""
    errors: list[BaseException] = []

    @errands.task
    async def work() -> None:
        job = current_job()
        await take_over(errands, job)
        errands._engine._worker._runs.lose([job.id])  # type: ignore[union-attr]  # as above
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        try:
            async with effect(place) as connection:
                await job.finish(connection)
        except RunStopped as error:
            errors.append(error)

    await errands.add_task(work)
    await eventually(1, lambda: len(errors))

    assert 0 == await effects(place)


async def test_a_run_that_lost_its_job_after_a_rollback_is_stopped(
    errands: Errands, place: Place
) -> None:
    """Its finish is no reason to let it go on."""
    rolled_back, stopped = asyncio.Event(), asyncio.Event()

    @errands.task
    async def work() -> None:
        with suppress(ValueError):
            async with effect(place) as connection:
                await current_job().finish(connection)
                raise ValueError
        rolled_back.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    job = await errands.add_task(work)
    await soon(rolled_back.wait())
    other = await take_over(errands, job)
    errands._engine._worker._runs.lose([job.id])  # type: ignore[union-attr]  # as above
    await soon(stopped.wait())
    await errands._engine.store.save([other.done("7", errands.now())])

    assert "7" == (await ended(errands, job)).result


# The lease


@pytest.mark.parametrize("place", [kind for kind in KINDS if "postgresql" in kind], indirect=True)
async def test_the_lease_is_kept_while_a_transaction_has_the_job(
    errands: Errands, place: Place
) -> None:
    """Though its row is locked, nobody waits for it, and the worker is told that it holds it."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @errands.task
    async def work() -> None:
        async with effect(place) as connection:
            await current_job().finish(connection)
            begun.set()
            await go_on.wait()

    job, other = await errands.add_tasks([(work,), (work,)])
    await soon(begun.wait())
    [running] = await errands.jobs(limit=1)
    extend, worker = errands._engine.store.extend, str(running.worker)
    until = errands.now() + timedelta(hours=1)

    assert {job.id} == await soon(asyncio.to_thread(extend, [job.id], worker, until), timeout=2)
    assert set() == await soon(asyncio.to_thread(extend, [job.id], "other", until), timeout=2)
    go_on.set()
    assert State.DONE is (await ended(errands, other)).state


# The job that is being run


async def test_the_current_job_equals_the_plain_one(errands: Errands) -> None:
    """In both directions, and as a key."""
    seen: list[CurrentJob] = []

    @errands.task
    async def work() -> None:
        there = await errands.job(current_job().id)
        assert there is not None
        assert there == current_job()
        assert current_job() == there
        assert hash(there) == hash(current_job())
        assert current_job() != there.extended(errands.now())
        assert current_job() != "a job"
        seen.append(current_job())

    job = await ended(errands, await errands.add_task(work))

    assert State.DONE is job.state
    with pytest.raises(LookupError, match="is not being run here"):
        await seen[0].finish(None)


# Deaths


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
@pytest.mark.parametrize("kind", ALL)
def test_a_killed_process_counts_once(
    request: pytest.FixtureRequest, kind: str, moment: str
) -> None:
    """Whether it is killed before its transaction is committed, or before we could take note."""
    address, borrower = addressed(request, kind)

    assert [-signal.SIGKILL, 0] == statuses(address, borrower, moment)

    attempt = {"before the commit": 2, "after the commit": 1}[moment]
    assert (1, State.DONE, str(attempt)) == asyncio.run(found(place_at(address, borrower)))


def statuses(*arguments: str) -> list[int]:
    """How the application ended the first time, and the second."""
    program = [sys.executable, "-W", "error", str(HERE / "apps_exactly_once.py"), *arguments]
    ended = subprocess.run(program, timeout=60, check=True, stdout=subprocess.PIPE)
    return [int(status) for status in ended.stdout.split()]


async def found(place: Place) -> tuple[int, State, str | None]:
    """The counter, and what the job has become."""
    async with place.begin() as connection:
        number = await value(connection, "select n from counter")
    async with Errands(place.url) as errands:
        [job] = await errands.jobs()
    return number, job.state, job.result

"""Many processes on one PostgreSQL store: claims, news, deaths, and a server that goes away."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from due_jobs import NOW, job
from patience import eventually, soon
from postgres_server import PostgresServer, running_server

from errands import Claim, Errands, Query, State
from errands.errors import StoreUnavailable
from errands.stores.postgres import PostgresStore, _presence

LEASE = timedelta(seconds=60)
LONG = 10  # seconds, an upper bound that is never reached

Two = tuple[PostgresStore, PostgresStore]


@pytest.fixture
async def two(postgres_url: str) -> AsyncIterator[Two]:
    """Two handles on the same tables, as two processes have them."""
    async with PostgresStore(postgres_url) as one, PostgresStore(postgres_url) as other:
        yield one, other


def a_claim(worker: str = "w", limit: int = 10) -> Claim:
    return Claim(worker=worker, queues=None, tasks=["t"], limit=limit, now=NOW, lease=LEASE)


def cut(postgres: PostgresServer, sql: str) -> None:
    """End the sessions whose last statement was like this one, as a network may."""
    postgres.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        f"where pid <> pg_backend_pid() and query like '{sql}'"
    )


# Claims and keys


async def test_two_handles_never_claim_the_same_job(two: Two) -> None:
    """However many claim at once, and from several places."""
    jobs = [job(queue=f"q{n % 3}", priority=n % 2) for n in range(200)]
    await two[0].add(jobs)
    claims = [two[n % 2].claim(a_claim(f"w{n}", 7)) for n in range(40)]
    claimed = [each.id for batch in await asyncio.gather(*claims) for each in batch]

    while len(claimed) < 200:  # somebody saw the same best jobs as another, and was too late
        claimed += [each.id for each in await two[0].claim(a_claim(limit=50))]
    assert 200 == len(set(claimed))
    assert [] == await two[1].claim(a_claim())


async def test_keys_that_cross_are_added_by_both(two: Two) -> None:
    """Two batches with the same keys in another order do not lock each other out."""
    keys = [f"k{n}" for n in range(50)]
    for _ in range(5):
        answers = await asyncio.gather(
            two[0].add([job(key=key) for key in keys]),
            two[1].add([job(key=key) for key in reversed(keys)]),
        )
        assert {each.id for each in answers[0]} == {each.id for each in answers[1]}
        await two[0].save([each.cancelled(NOW) for each in answers[0]])


async def test_saves_that_cross_are_all_answered(two: Two) -> None:
    """Of two that save the same jobs, each job is saved by one."""
    await two[0].add([job() for _ in range(100)])
    running = await two[0].claim(a_claim(limit=100))
    saved = await asyncio.gather(
        two[0].save([each.done("1", NOW) for each in running]),
        two[1].save([each.cancelled(NOW) for each in reversed(running)]),
    )

    assert {each.id for each in running} == saved[0] | saved[1]
    assert set() == saved[0] & saved[1]


# News


async def test_the_other_handle_is_woken_by_news(two: Two) -> None:
    """Of an addition, and of a job that is queued again."""
    one, other = two
    await other.enlist("b")
    heard = asyncio.Event()
    other.listen(heard.set)
    await one.add([job()])
    await soon(heard.wait(), "the wake-up")

    await asyncio.sleep(5 * _presence.SPACING)  # until nothing is left to be told
    heard.clear()
    [running] = await one.claim(a_claim())
    await one.save([running.failed("no", NOW, 0)])
    await soon(heard.wait(), "the wake-up")


async def test_the_first_addition_after_a_silence_tells_the_others_itself(two: Two) -> None:
    """A notification apart would be on its way only once the addition is answered."""
    one, other = two
    await other.enlist("b")
    heard = asyncio.Event()
    other.listen(heard.set)
    await one.add([job(), job()])

    assert one._crier._telling is None
    await soon(heard.wait(), "the wake-up")


async def test_the_next_addition_is_told_apart(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """An addition that tells keeps others from telling until it is flushed, so it is seldom."""
    monkeypatch.setattr(_presence, "SHARE", 1e-6)
    one, other = two
    await other.enlist("b")
    await one.add([job()])
    assert not one._crier.is_rested
    heard = asyncio.Event()
    other.listen(heard.set)
    await one.add([job()])

    assert one._crier._telling is not None
    await soon(heard.wait(), "the wake-up")


async def test_what_could_not_be_added_at_first_is_told_apart(two: Two) -> None:
    """Here the statement that tells has no row, since another job has the key."""
    one, other = two
    await other.enlist("b")
    await other.add([job(key="k")])
    heard = asyncio.Event()
    other.listen(heard.set)
    await one.add([job(key="k")])

    assert one._crier._telling is not None
    await soon(heard.wait(), "the wake-up")


async def test_an_addition_that_nobody_waits_for_any_more_is_told(
    two: Two, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for it was cancelled, and it is stored all the same."""
    one, heard = two[0], await after_an_addition(two, monkeypatch)
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        await connection.execute(f"lock table {one._address.schema}.errands_jobs".encode())
        adding = asyncio.ensure_future(one.add([job()]))
        await eventually(True, lambda: one._adding._free < 2)  # a connection has it
        adding.cancel()

    await soon(heard.wait(), "the wake-up")
    assert 2 == len(await two[1].claim(a_claim()))


async def test_what_is_added_while_a_store_closes_is_told(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closing waits until it is, so that no worker learns of it late."""
    one, heard = two[0], await after_an_addition(two, monkeypatch)
    adding = asyncio.ensure_future(one.add([job()]))
    await asyncio.sleep(0)
    await one.__aexit__()

    await soon(heard.wait(), "the wake-up")
    await adding
    await one.__aenter__()


async def after_an_addition(two: Two, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What is set when the second hears of further ones, each of which is told apart."""
    monkeypatch.setattr(_presence, "SHARE", 1e-6)
    one, other = two
    await other.enlist("b")
    heard = asyncio.Event()
    other.listen(heard.set)
    await one.add([job()])
    await soon(heard.wait(), "the first wake-up")
    heard.clear()
    return heard


async def test_many_additions_are_few_notifications(two: Two) -> None:
    """Each costs all of the server's commits something."""
    one, other = two
    await other.enlist("b")
    rings: list[int] = []
    other.listen(lambda: rings.append(1))
    for _ in range(50):
        await asyncio.gather(*(one.add([job()]) for _ in range(10)))
    await eventually(True, lambda: one._crier._telling is None)
    await eventually(True, lambda: bool(rings))

    assert 25 > len(rings)


async def test_a_job_that_is_done_wakes_nobody(two: Two) -> None:
    """There is nothing to claim."""
    one, other = two
    await one.add([job()])
    [running] = await one.claim(a_claim())
    await eventually(True, lambda: one._crier._telling is None)
    await other.enlist("b")
    rings: list[int] = []
    other.listen(lambda: rings.append(1))
    await one.save([running.done(None, NOW)])

    assert one._crier._telling is None
    await other.now()
    assert [] == rings


async def test_a_worker_is_woken_by_another_application(postgres_url: str) -> None:
    """Long before it would have looked by itself."""
    adds, works = (Errands(postgres_url) for _ in range(2))

    async def work() -> int:
        return 1

    for errands in (adds, works):
        errands.task(work)
    async with adds, works.working():
        await eventually(True, lambda: works._engine._worker and works._engine._worker._is_idle)
        for _ in range(5):  # together far below the second between two looks
            started = asyncio.get_running_loop().time()
            assert 1 == await adds.result(await adds.add_task(work), timeout=LONG)
            assert 0.9 > asyncio.get_running_loop().time() - started


# Deaths


async def test_a_worker_that_lost_its_connection_is_not_taken_for_dead(
    two: Two, postgres: PostgresServer
) -> None:
    """It is back at once, with its lock, and hears what it missed."""
    one, other = two
    await one.enlist("a")
    await other.add([job()])
    [running] = await one.claim(a_claim("a"))
    heard = asyncio.Event()
    one.listen(heard.set)
    cut(postgres, f"listen {one._presence.channel}")
    await other.rescue(NOW)  # one look is not enough
    await soon(heard.wait(), "the return")
    await asyncio.sleep(2 * _presence.TWICE)

    assert 0 == await other.rescue(NOW)
    await asyncio.sleep(2 * _presence.TWICE)
    assert 0 == await other.rescue(NOW)
    assert running == await other.get(running.id)


async def test_after_a_server_was_away_all_may_come_back_first(
    two: Two, postgres: PostgresServer
) -> None:
    """Who comes back takes nobody for dead who comes later."""
    one, other = two
    await one.enlist("a")
    await other.enlist("b")
    await one.add([job()])
    await one.claim(a_claim("a"))
    heard = asyncio.Event()
    other.listen(heard.set)
    cut(postgres, f"listen {one._presence.channel}")  # both
    await soon(heard.wait(), "the return")

    assert [] == other._presence.sees({"a"})
    await asyncio.sleep(2 * _presence.TWICE)
    assert [] == other._presence.sees({"a"})


async def test_who_leaves_is_forgotten(two: Two, postgres: PostgresServer) -> None:
    """Nobody looks for it any more."""
    one, other = two
    await one.enlist("a")
    await other.enlist("b")
    await one.__aexit__()
    table = f"{one._address.schema}.errands_enlisted"

    assert [("b",)] == postgres.execute(f"select worker from {table}")
    await one.__aenter__()


async def test_who_was_never_enlisted_is_not_taken_for_dead(two: Two) -> None:
    """Such as a worker behind a pooler, which holds no lock: its leases run out."""
    one, other = two
    await other.enlist("b")
    await one.add([job()])
    [running] = await one.claim(a_claim("behind a pooler"))
    for _ in range(2):
        assert 0 == await other.rescue(NOW)
        await asyncio.sleep(2 * _presence.TWICE)

    assert running == await one.get(running.id)


CHILD = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from errands import Claim
from errands.stores import store_at

async def main():
    async with store_at(sys.argv[1]) as store:
        now, lease = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=9999)
        await store.enlist("child")
        print(len(await store.claim(Claim(
            worker="child", queues=None, tasks=["t"], limit=9, now=now, lease=lease
        ))), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@contextmanager
def child(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that claims jobs for as good as ever, and is killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LONG)


def said(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.slow
async def test_a_job_whose_process_was_killed_is_run_by_another(postgres_url: str) -> None:
    """Within a second, by a worker that was there all along."""
    errands = Errands(postgres_url, lease=3600)
    attempts: list[int] = []

    async with errands:
        ours = job()
        await errands._engine.store.add([ours])
        with child(postgres_url) as process:
            assert "1" == await asyncio.to_thread(said, process)

            @errands.task(name="t")
            async def work() -> int:
                attempts.append(1)
                return 7

            async with errands.working():
                await asyncio.sleep(1)  # longer than the pauses between three looks
                assert [] == attempts
                process.send_signal(signal.SIGKILL)
                killed = asyncio.get_running_loop().time()
                assert 7 == await errands.result(ours, timeout=LONG)
                assert 1 > asyncio.get_running_loop().time() - killed


# A server that goes away


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_store_comes_back_after_its_server(mode: str) -> None:
    """What was acknowledged is there; meanwhile it is unavailable, and then goes on by itself."""
    with running_server() as server:
        url = server.new_url()
        async with PostgresStore(url) as store:
            await store.enlist("w")
            await store.add([job(), job()])
            [running] = await store.claim(a_claim(limit=1))
            assert {running.id} == await asyncio.to_thread(store.extend, [running.id], "w", NOW)
            await asyncio.to_thread(server.stop, mode)

            for ask in (store.add([job()]), store.claim(a_claim()), store.get("x")):
                with pytest.raises(StoreUnavailable):
                    await ask
            with pytest.raises(StoreUnavailable):
                await asyncio.to_thread(store.extend, [running.id], "w", NOW)
            heard = asyncio.Event()
            store.listen(heard.set)
            await asyncio.to_thread(server.start)
            until = NOW + LEASE
            assert {running.id} == await asyncio.to_thread(store.extend, [running.id], "w", until)
            assert {("default", State.QUEUED): 1, ("default", State.RUNNING): 1} == (
                await store.count()
            )
            await soon(heard.wait(), "the return of the connection that listens")
            assert 0 == await store.rescue(NOW)
            assert 1 == len(await store.claim(a_claim()))


async def test_connections_that_broke_unseen_are_made_anew(
    two: Two, postgres: PostgresServer
) -> None:
    """No caller notices, but for one who claims: a claim may have taken place."""
    one, _ = two
    await one.enlist("w")
    await one.add([job(), job()])
    [running] = await one.claim(a_claim(limit=1))
    assert {running.id} == await asyncio.to_thread(one.extend, [running.id], "w", NOW)
    cut(postgres, f"%{one._address.schema}%")

    assert 1 == len(await one.add([job()]))
    assert {running.id} == await asyncio.to_thread(one.extend, [running.id], "w", NOW)
    assert {running.id} == await one.save([running.done(None, NOW)])
    assert 3 == len(await one.find(Query()))
    with pytest.raises(StoreUnavailable):
        await one.claim(a_claim())
    assert 2 == len(await one.claim(a_claim()))


async def test_leases_are_extended_while_the_loop_is_blocked(two: Two) -> None:
    """From a thread, on a connection of its own."""
    one, _ = two
    await one.add([job()])
    [running] = await one.claim(a_claim())
    until = NOW + 2 * LEASE
    held: list[set[str]] = []
    thread = threading.Thread(target=lambda: held.append(one.extend([running.id], "w", until)))
    thread.start()
    thread.join(LONG)  # the loop does not turn meanwhile

    assert [{running.id}] == held

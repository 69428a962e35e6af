"""What is promised when a PostgreSQL server restarts, vanishes, or cannot be heard.

`docs/faults.md` is the table of these faults. `RESTARTS=20 EVERY=3 AWAY=60` takes longer.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

import pytest
from deaths import APP, Anywhere, outcomes
from ports import free_port
from postgres_server import PostgresServer, running_server
from server_driver import wait_until
from wire import wired
from worker_driver import Command, named

from errands import Claim, Errands, Heartbeat, Job, OnConflict, Outcome, Query, State, new_id
from errands.errors import StoreUnavailable
from errands.stores import store_at
from errands.stores.postgres._address import fingerprint
from errands.stores.postgres._presence import TWICE

RESTARTS = int(os.environ.get("RESTARTS", "9"))
EVERY = float(os.environ.get("EVERY", "0"))  # seconds between two of them, at least
AWAY = float(os.environ.get("AWAY", "3"))  # seconds without a server
TRIES = 4  # of a measurement, on a machine that may have other work
LINE = re.compile(r" (INFO|WARNING|ERROR|CRITICAL) (?!errands\.worker: worker )")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=60)

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of our own, to be ended."""
    with running_server() as server:
        yield server


@dataclass
class Adders:
    """Clients that add jobs, one after another, whether the store is there or not.

    Attributes:
        promised: The jobs that were acknowledged, by their texts.
        refused: What those were told whose jobs were not, and after how many seconds.
    """

    url: str
    promised: list[str] = field(default_factory=list)
    refused: list[tuple[StoreUnavailable, float]] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    @contextmanager
    def adding(self, clients: int = 4) -> Iterator[None]:
        """Add while in the block."""
        thread = threading.Thread(target=self._run, args=(clients,), name="adders")
        thread.start()
        try:
            yield
        finally:
            self.is_over.set()
            thread.join()
        assert self.failure is None, self.failure

    def _run(self, clients: int) -> None:
        try:
            asyncio.run(self._add(clients))
        except BaseException as failure:  # noqa: BLE001  # raised in the test's thread
            self.failure = failure

    async def _add(self, clients: int) -> None:
        errands = Errands(self.url)
        step = named("step")
        errands.task(name="step")(step)
        async with errands, asyncio.TaskGroup() as group:
            for label in range(clients):
                group.create_task(self._add_on(errands, step, label))

    async def _add_on(self, errands: Errands, step: Callable[[str], None], label: int) -> None:
        number = 0
        while not self.is_over.is_set():
            number += 1
            begin = time.monotonic()
            try:
                await errands.add_task(step, text := f"{label}-{number}")
            except StoreUnavailable as error:
                self.refused.append((error, time.monotonic() - begin))
            else:
                self.promised.append(text)
            await asyncio.sleep(0.02)  # so much work as can be done meanwhile


def troubles(worker: Command) -> list[str]:
    """What it said beside that it started or stopped."""
    return [line for line in worker.lines if LINE.search(line)]


# The server goes, and comes back


def test_a_server_that_restarts_again_and_again_loses_nothing(
    tmp_path: Path, server: PostgresServer
) -> None:
    """Shut down, crashed and killed in turn, under load; workers come back by themselves."""
    place = Anywhere(tmp_path, server.new_url())
    adders, begin = Adders(place.url), time.monotonic()
    with place.working(target=APP) as one, place.working(target=APP) as other:
        with adders.adding():
            for end in islice(cycle(("fast", "immediate", "kill")), RESTARTS):
                let_work(adders)
                if end == "kill":
                    server.kill()
                else:
                    server.stop(end)
                server.start_again()
            let_work(adders)
        place.wait_until_all_ended(60)
        took, jobs = time.monotonic() - begin, place.stored()
        starts = Counter(effect.text for effect in place.effects("start"))

    assert len(adders.promised) > 20 * RESTARTS
    assert set(adders.promised) <= set(jobs)
    for text, job in jobs.items():
        assert State.DONE is job.state
        assert [*[Outcome.LOST] * (job.attempt - 1), Outcome.DONE] == outcomes(job)
        assert 1 <= starts[text] <= job.attempt
    for worker in (one, other):
        assert len(troubles(worker)) <= 1 + took // 30, troubles(worker)


def let_work(adders: Adders) -> None:
    """Let the load go on for a while."""
    before = len(adders.promised)
    time.sleep(EVERY)
    wait_until(lambda: len(adders.promised) > before + 20, "jobs were promised again")


def test_without_a_server_who_adds_is_told_and_workers_wait(
    tmp_path: Path, server: PostgresServer
) -> None:
    """What ran goes on, and its outcome is saved when the server is back."""
    place = Anywhere(tmp_path, server.new_url())
    adders = Adders(place.url)
    with place.working(target=APP) as worker:
        place.add_all("gated", ["long"])
        place.wait_until_started(["long"])
        with adders.adding():
            wait_until(lambda: adders.promised, "the first was promised")
            server.stop("immediate")
            told = len(adders.refused)
            time.sleep(AWAY)
            place.open_gate()
            wait_until(lambda: place.effects("done", "long"), "it had ended without a store")
            before = len(adders.promised)
            server.start()
            wait_until(lambda: len(adders.promised) > before, "jobs were promised again")
        place.wait_until_all_ended(60)
        jobs = place.stored()

    assert len(adders.refused) - told > 10 * AWAY
    assert max(seconds for _, seconds in adders.refused) < 5
    assert (1, [Outcome.DONE]) == (jobs["long"].attempt, outcomes(jobs["long"]))
    assert {State.DONE} == {jobs[text].state for text in adders.promised}
    assert len(troubles(worker)) <= 1 + AWAY // 30, troubles(worker)
    assert "the store is unavailable, and is asked again until it is back" in worker.output


async def test_who_is_not_back_yet_after_a_restart_is_not_taken_for_dead(
    server: PostgresServer,
) -> None:
    """By a worker that started meanwhile: the first ones had their locks, and lost them."""
    url = server.new_url()
    claim = Claim(worker="a", queues=None, tasks=["t"], limit=9, now=NOW, lease=LEASE)
    with wired(server.port) as wire:
        async with store_at(url.replace(f":{server.port}", f":{wire.port}")) as first:
            await first.enlist("a")
            await first.beat(beat("a", await first.now()))
            await first.add([job("held")])
            [held] = await first.claim(claim)
            wire.to = free_port()  # it will not be back soon
            server.stop("immediate")
            server.start()
            async with store_at(url) as second:
                freed = [await second.rescue(NOW)]
                await asyncio.sleep(2 * TWICE)
                freed.append(await second.rescue(NOW))
                assert [held] == await second.find(Query())

    assert [0, 0] == freed


def beat(worker: str, now: datetime) -> Heartbeat:
    return Heartbeat(
        worker=worker, host="h", pid=7, queues=None, slots=5, running=0, version="1",
        started_at=now, seen_at=now,
    )  # fmt: skip  # a row


# What the server says is lost


def job(text: str) -> Job:
    """A job that says `text` when it goes over the wire."""
    return Job(
        id=new_id(NOW), task="t", payload=f'{{"text":"{text}"}}', due_at=NOW, free_at=NOW,
        added_at=NOW, key=text,
    )  # fmt: skip  # a row


@pytest.mark.parametrize(
    ("on_conflict", "word"), [("keep", b"cut-me"), ("raise", b"COMMIT"), ("replace", b"COMMIT")]
)
@pytest.mark.parametrize("cuts", [1, 2])
async def test_an_addition_whose_answer_is_lost_may_be_repeated(
    postgres: PostgresServer, on_conflict: OnConflict, word: bytes, cuts: int
) -> None:
    """By the store itself or by who added: there is one job, and each is answered with it."""
    url = postgres.new_url()
    with wired(postgres.port) as wire:
        async with store_at(url.replace(f":{postgres.port}", f":{wire.port}")) as store:
            await store.add([job("first")], on_conflict)
            wire.cuts += [word] * cuts
            mine, kept, refusals = job("cut-me"), list[Job](), 0
            while not kept:
                try:
                    kept = await store.add([mine], on_conflict)
                except StoreUnavailable:
                    refusals += 1
            found = await store.find(Query(key="cut-me"))

    assert (cuts, True) == (wire.lost, refusals <= cuts)
    assert [mine] == kept == found


async def test_a_save_whose_answer_is_lost_is_written_once(postgres: PostgresServer) -> None:
    """The repetition is told that it was."""
    url = postgres.new_url()
    claim = Claim(worker="w", queues=None, tasks=["t"], limit=9, now=NOW, lease=LEASE)
    with wired(postgres.port) as wire:
        async with store_at(url.replace(f":{postgres.port}", f":{wire.port}")) as store:
            await store.add([job("a")])
            await store.save([])  # so that there is a connection, and the store repeats once
            [running] = await store.claim(claim)
            wire.cuts += [b"cut-me", b"cut-me"]
            done = running.done('"cut-me"', NOW)
            with pytest.raises(StoreUnavailable):
                await store.save([done])
            assert {done.id} == await store.save([done])
            assert [done] == await store.find(Query())

    assert 2 == wire.lost


def test_jobs_start_although_no_news_is_heard(tmp_path: Path, postgres: PostgresServer) -> None:
    """A worker looks by itself once a second."""
    url = postgres.new_url()
    channel = f"errands_{fingerprint(url.partition('schema=')[2])}"
    with wired(postgres.port) as wire:
        wire.hushed.append(channel.encode())
        deaf = Anywhere(tmp_path, url.replace(f":{postgres.port}", f":{wire.port}"))
        near = Anywhere(tmp_path, url)
        waits = []
        with deaf.working(target=APP):
            for number in range(TRIES):
                near.add_all("step", [text := f"j{number}"])
                added_at = time.time()
                [[start]] = near.wait_until_started([text])
                waits.append(start.at - added_at)
                if waits[-1] < 1.2:
                    break

    assert wire.lost >= len(waits)
    assert min(waits) < 1.2, waits

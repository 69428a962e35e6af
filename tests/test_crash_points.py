"""What is promised holds though the store fails: before its effect, after it, slowly, cancelled.

Each scenario runs once for each seed and store. `SEEDS=200` runs more of them, and a failing one
is run again by its name: `pytest tests/test_crash_points.py -k "seed17 and memory"`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgi_driver import Peer
from crash_world import AWAY, LEASE, LONGEST, UNFINISHED, World, last_line
from unreliable_store import COMMON, FAULTS, Fault, Injected, UnreliableStore, Version, fault_of

from errands import (
    BackgroundTasks,
    Errands,
    Job,
    Outcome,
    Progress,
    Query,
    Retry,
    State,
    Store,
    progress,
)
from errands.asgi import App, ErrandsMiddleware, Receive, Scope, Send
from errands.errors import JobExists, JobFailed, StoreUnavailable
from errands.stores import store_at
from errands.testing import StoreContract

SEEDS = range(int(os.environ.get("SEEDS", "10")))

Scenario = Callable[[World], Awaitable[None]]


@pytest.fixture
async def world(url: str, seed: int) -> AsyncIterator[World]:
    """One world for each store and seed; its story is printed for whoever has to read it."""
    random.seed(seed)  # the jitter of those who wait
    world = World(url, seed)
    async with world.alive():
        yield world
    print(world.story())


def by_seeds(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Run a test once for each seed, and not without end."""

    @pytest.mark.parametrize("seed", SEEDS, ids="seed{}".format)
    @functools.wraps(test)
    async def bounded(world: World, **fixtures: Any) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                await test(world, **fixtures)
        except TimeoutError:
            raise AssertionError(f"seed {world.seed} has not ended in {LONGEST:g} s") from None

    marked: Callable[..., Awaitable[None]] = bounded
    return marked


async def visit(world: World, errands: Errands, serve: App, paths: list[str]) -> list[str]:
    """Ask for all the paths at once; answers with those whose response began."""
    app = ErrandsMiddleware(serve, errands)
    peers = {path: Peer() for path in paths}

    async def ask(path: str) -> None:
        with contextlib.suppress(ValueError):  # the handler's own
            await world.attempt(lambda: peers[path].get(app, path))

    async with world.serving(errands, app):
        await asyncio.gather(*map(ask, paths))
        await world.rest()
    return [path for path in paths if peers[path].status == 200]


async def idle(world: World, errands: Errands) -> None:
    """Wait until its worker waits for news."""
    while errands._engine._worker is None or not errands._engine._worker._is_idle:
        await world.quiet()


def has_lost_a_lease(job: Job) -> bool:
    """Whether it was taken over once."""
    return Outcome.LOST in {attempt.outcome for attempt in job.history}


# What is added is run


@by_seeds
async def test_every_job_that_was_acknowledged_is_done(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Coroutines and plain functions, added by many at once; and the log tells of the faults."""
    errands = world.errands()

    @errands.task
    async def think(n: int) -> int:
        with world.book.run():
            await asyncio.sleep(0)
            return n

    @errands.task
    def work(n: int) -> int:
        with world.book.run():
            return n

    async with world.working(errands):
        adds = [
            world.insist(lambda task=task, n=n: errands.add_task(task, n))  # type: ignore[misc]
            for n in range(4)
            for task in (think, work)
        ]
        await asyncio.gather(*adds)
        await world.rest()
    jobs = await world.audit()

    assert {State.DONE} == {job.state for job in jobs}
    world.check_log(caplog)


@by_seeds
async def test_many_calls_are_kept_all_or_none(world: World) -> None:
    """Also where nobody was told which."""
    errands = world.errands()

    @errands.task
    async def work(batch: int, n: int) -> str:
        with world.book.run():
            return f"{batch}:{n}"

    async with world.working(errands):
        for batch in range(4):
            await world.insist(lambda b=batch: errands.add_tasks((work, b, n) for n in range(5)))  # type: ignore[misc]
        await world.rest()
    jobs = await world.audit()

    results = Counter(str(job.result).strip('"') for job in jobs)
    for batch in range(4):
        assert 1 == len({results[f"{batch}:{n}"] for n in range(5)})
        assert results[f"{batch}:0"] > 0


@by_seeds
async def test_one_unfinished_job_has_a_key(world: World) -> None:
    """Whatever those who add ask for where there is one."""
    errands = world.errands()
    ran: list[int] = []

    @errands.task
    async def work(n: int) -> None:
        with world.book.run():
            ran.append(n)
            world.check_keys(await world.look.find(Query(states=UNFINISHED, limit=100)))

    async def add(n: int) -> None:
        conflict = ("keep", "replace", "raise")[n % 3]
        adding = errands.options(key=f"k{n % 2}", on_conflict=conflict, after=n % 4)  # type: ignore[arg-type]
        with contextlib.suppress(*[JobExists] * (conflict == "raise")):
            await world.insist(lambda: adding.add_task(work, n))
        world.check_keys(await world.look.find(Query(states=UNFINISHED, limit=100)))

    async with world.working(errands):
        await asyncio.gather(*map(add, range(12)))
        await world.rest()
    jobs = await world.audit()

    assert {State.DONE} == {job.state for job in jobs}
    assert ran


@by_seeds
async def test_no_job_starts_before_its_time(world: World) -> None:
    """And each one starts."""
    errands = world.errands()
    early: list[Job] = []

    @errands.task
    async def work() -> None:
        with world.book.run() as job:
            if world.clock.now() < job.due_at:
                early.append(job)

    async with world.working(errands):
        for after in (0, 0.05, 1, 30):
            adding = errands.options(after=after)
            job = await world.insist(lambda adding=adding: adding.add_task(work))  # type: ignore[misc]
            assert after == (job.due_at - job.added_at).total_seconds()
        await world.rest()
    await world.audit()

    assert [] == early


@by_seeds
async def test_a_job_that_fails_is_tried_until_it_succeeds(world: World) -> None:
    """A failure counts once, and no start is added but for one that was lost."""
    errands = world.errands()
    failures: Counter[str] = Counter()

    @errands.task(retry=Retry(attempts=30, wait=0))
    async def at_once() -> str:
        return fail_twice()

    @errands.task(retry=Retry(attempts=30, wait=3))
    def later() -> str:
        return fail_twice()

    def fail_twice() -> str:
        with world.book.run() as job:
            if failures[job.id] < 2:
                failures[job.id] += 1
                raise ConnectionError("not yet")
            return "well"

    async with world.working(errands):
        for task in (at_once, later, at_once, later):
            await world.insist(lambda task=task: errands.add_task(task))  # type: ignore[misc]
        await world.rest()
    jobs = await world.audit()

    for job in jobs:
        outcomes = Counter(attempt.outcome for attempt in job.history)
        lost = outcomes.pop(Outcome.LOST, 0)
        assert (State.DONE, '"well"', 3 + lost) == (job.state, job.result, job.attempt)
        assert {Outcome.FAILED: 2, Outcome.DONE: 1} == outcomes
        assert 3 <= len(world.book.by_job()[job.id]) <= 3 + lost


@by_seeds
async def test_a_job_that_keeps_failing_fails(world: World) -> None:
    """After as many attempts as its task allows, and with its last error."""
    errands = world.errands()

    @errands.task(retry=Retry(attempts=3, wait=0, lost=30))
    async def work() -> None:
        with world.book.run() as job:
            raise ValueError(f"try {job.attempt}")

    async with world.working(errands):
        for _ in range(4):
            await world.insist(lambda: errands.add_task(work))
        await world.rest()
    jobs = await world.audit(State.FAILED)

    for job in jobs:
        assert (State.FAILED, f"ValueError: try {job.attempt}") == (job.state, last_line(job))
        assert job.attempt == len(job.history) >= 3
        assert {Outcome.FAILED, Outcome.LOST} >= {attempt.outcome for attempt in job.history}


@by_seeds
async def test_a_job_that_takes_too_long_fails(world: World) -> None:
    """Its timeout is the end of it."""
    errands = world.errands()

    @errands.task(timeout=0.005)
    async def work() -> None:
        with world.book.run():
            await asyncio.Event().wait()

    async with world.working(errands):
        await asyncio.gather(*(world.insist(lambda: errands.add_task(work)) for _ in range(3)))
        await world.rest()
    jobs = await world.audit(State.FAILED)

    for job in jobs:
        assert (State.FAILED, True) == (job.state, "longer than its timeout" in last_line(job))


@by_seeds
async def test_the_higher_priority_starts_sooner(world: World) -> None:
    """Among those whose claim was answered."""
    errands = world.errands(slots=1)
    order: list[Job] = []

    @errands.task
    async def work() -> None:
        with world.book.run() as job:
            order.append(job)

    async with world.opened(errands):
        for priority in (0, 5, -3, 9, 0, 2):
            adding = errands.options(priority=priority)
            await world.insist(lambda adding=adding: adding.add_task(work))  # type: ignore[misc]
        async with world.working(errands):
            await world.rest()
    await world.audit()

    started = [job.priority for job in order if not job.history]
    assert sorted(started, reverse=True) == started


@by_seeds
async def test_progress_is_kept(world: World) -> None:
    """What was told last stands in the end."""
    errands = world.errands()

    @errands.task
    async def work(n: int) -> None:
        with world.book.run():
            for done in range(n + 1):
                progress(done, n, f"{done}")
                await world.quiet()

    async with world.working(errands):
        for n in (1, 3):
            await world.insist(lambda n=n: errands.add_task(work, n))  # type: ignore[misc]
        await world.rest()
    jobs = await world.audit()

    for job in jobs:
        n = json.loads(job.payload)["n"]
        assert Progress(n, n, str(n)) == job.progress


@by_seeds
async def test_a_result_is_what_was_returned(world: World) -> None:
    """For whoever asks until the store answers."""
    errands = world.errands()

    @errands.task(retry=Retry(attempts=2, wait=0.1, lost=30))
    async def work(n: int) -> dict[str, int]:
        with world.book.run() as job:
            if n == 2:
                raise ValueError("two")
            return {"n": n, "attempt": job.attempt}

    async def ask(n: int) -> object:
        job = await world.insist(lambda: errands.add_task(work, n))
        try:
            return (await world.insist(lambda: errands.result(job)))["n"]
        except JobFailed as failure:
            return str(failure).rpartition(": ")[2]

    async with world.working(errands):
        assert [0, 1, "two", 3] == await asyncio.gather(*map(ask, range(4)))
        await world.rest()
    await world.audit(State.DONE, State.FAILED)


# The request


@by_seeds
async def test_what_a_good_response_promised_is_done(world: World) -> None:
    """A durable job at least, a local task once; after a bad response no local task runs."""
    errands = world.errands()
    told: dict[str, list[Job]] = {}
    locally: Counter[str] = Counter()

    @errands.task
    async def work(path: str) -> str:
        with world.book.run():
            return path

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        background = BackgroundTasks.of()
        path = scope["path"]
        jobs = [background.add_task(work, path)]
        jobs.append(background.options(key=path, on_conflict="replace").add_task(work, path))
        background.add_task(locally.update, [path])
        told[path] = jobs
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    good = await visit(world, errands, serve, [f"/{n}" for n in range(8)])
    for path in good:
        for job in told[path]:
            world.acknowledged[job.id] = job
    await world.audit()

    assert dict.fromkeys(good, 1) == dict(locally)


@by_seeds
async def test_what_a_request_took_back_does_not_run(world: World) -> None:
    """It stored its jobs, and then it failed; what was added for that case runs."""
    errands = world.errands()
    sorry: Counter[str] = Counter()
    stored: set[str] = set()

    @errands.task
    async def work(path: str) -> str:
        with world.book.run():
            return path

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        background = BackgroundTasks.of()
        background.add_task(work, scope["path"])
        background.on_error(sorry.update, [scope["path"]])
        background.add_task(sorry.update, ["never"])
        stored.update(job.id for job in await background.flush())
        raise ValueError("no")

    paths = [f"/{n}" for n in range(8)]
    assert [] == await visit(world, errands, serve, paths)
    jobs = await world.audit()

    assert dict.fromkeys(paths, 1) == dict(sorry)
    lost = {job.id for job in jobs if has_lost_a_lease(job)}
    assert set() == stored & {job.id for job in jobs} - lost


# The end


@by_seeds
async def test_a_stop_hands_back_what_runs(world: World) -> None:
    """Without costing an attempt; whoever works next does the rest, by itself."""
    errands = world.errands(grace=0.01, slots=3)
    is_open = asyncio.Event()

    @errands.task
    async def work() -> None:
        with world.book.run():
            await is_open.wait()

    async with world.opened(errands):
        async with world.working(errands):
            for _ in range(5):
                await world.insist(lambda: errands.add_task(work))
            while world.book.running < 2:
                await world.quiet()
        assert 0 == world.book.running
        is_open.set()
        async with world.working(errands):
            await world.rest()
    jobs = await world.audit()

    for job in jobs:
        lost = [attempt for attempt in job.history if attempt.outcome is Outcome.LOST]
        assert (State.DONE, 1 + len(lost)) == (job.state, job.attempt)


@by_seeds
async def test_two_who_share_a_store_share_its_jobs(world: World) -> None:
    """Neither does what the other does."""
    both = [world.errands(slots=2), world.errands(slots=2)]
    adders = []
    for errands in both:

        @errands.task(name="work", retry=Retry(attempts=5, wait=1, lost=30))
        async def work(n: int) -> int:
            with world.book.run() as job:
                await asyncio.sleep(0)
                if n == 3 and job.attempt == 1:
                    raise ValueError("once more")
                return n

        adders += [functools.partial(errands.add_task, work, n) for n in range(5)]

    async with world.working(both[0]), world.working(both[1]):
        await asyncio.gather(*map(world.insist, adders))
        await world.rest()
    jobs = await world.audit()

    assert {State.DONE} == {job.state for job in jobs}


# What the seeds do not say


@pytest.fixture
async def quiet_world(url: str) -> AsyncIterator[World]:
    """A world in which nothing befalls anybody, but for what a test plans."""
    world = World(url, 0)
    world.rate = 0.0
    async with world.alive(), asyncio.timeout(LONGEST):
        yield world


async def test_a_store_that_is_away_is_named_once(
    quiet_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for all who ask, though a job runs and the store is away for a minute."""
    world = quiet_world
    errands = world.errands()
    gate = asyncio.Event()

    @errands.task
    async def work() -> None:
        with world.book.run():
            await gate.wait()

    async with world.working(errands):
        await world.insist(lambda: errands.add_task(work))
        world.stores[0].is_away = True
        back = world.clock.now() + timedelta(minutes=1)
        while world.clock.now() < back:
            await world.quiet()
        gate.set()
        await world.rest()
    await world.audit()

    assert 1 == len([r for r in caplog.records if r.getMessage().startswith(AWAY)])
    assert 2 >= len([r for r in caplog.records if r.levelno >= logging.WARNING])


async def test_a_job_that_is_tried_again_keeps_its_lease(quiet_world: World) -> None:
    """Although nobody was told that its first outcome is stored, when it was claimed again."""
    world = quiet_world
    errands = world.errands()
    world.stores[0].plan[("save", 1)] = Fault.AFTER
    gate = asyncio.Event()

    @errands.task(retry=Retry(attempts=3, wait=0))
    async def work() -> None:
        with world.book.run() as job:
            if job.attempt == 1:
                raise ValueError("once more")
            await gate.wait()

    async with world.working(errands):
        await world.insist(lambda: errands.add_task(work))
        while len(world.book.entries) < 2:
            await world.quiet()
        long = world.clock.now() + timedelta(seconds=2.5 * LEASE)
        while world.clock.now() < long:
            await world.quiet()
        gate.set()
        await world.rest()
    [job] = await world.audit()

    assert [1, 2] == [entry.job.attempt for entry in world.book.entries]
    assert [Outcome.FAILED, Outcome.DONE] == [attempt.outcome for attempt in job.history]


async def test_a_held_job_that_was_taken_over_is_not_started(quiet_world: World) -> None:
    """The request took longer than the store was willing to wait."""
    world = quiet_world
    errands, other = world.errands(), world.errands()

    async def work() -> None:
        with world.book.run():
            pass

    for each in (errands, other):
        each.task(name="work")(work)

    async with world.working(errands), world.working(other):
        background = errands.background()
        background.add_task(work)
        [held] = await background.flush()
        worker = errands._engine._worker
        assert worker is not None
        assert held.id in worker._renewer._held()
        world.stores[0].is_away = True
        while not world.book.entries:
            await world.quiet()
        world.stores[0].is_away = False
        while worker.is_busy:
            await world.quiet()
        await background.close(wait=False)
        await world.rest()
    [job] = await world.audit()

    [entry] = world.book.entries
    assert job.worker == entry.job.worker != worker.name


async def test_a_start_that_failed_leaves_no_worker_behind(quiet_world: World) -> None:
    """What is added then waits for one that lives."""
    world = quiet_world
    errands = world.errands()
    world.stores[0].plan[("enlist", 1)] = Fault.BEFORE

    @errands.task
    async def work() -> None:
        with world.book.run():
            pass

    with pytest.raises(StoreUnavailable, match="enlist"):
        async with errands.working():
            pass
    async with errands:
        background = errands.background()
        background.add_task(work)
        [job] = await background.flush()
        await background.close(wait=False)
        assert (State.QUEUED, None) == (job.state, job.worker)
        async with world.working(errands):
            await world.rest()
    await world.audit()

    assert 1 == len(world.book.entries)


async def test_an_addition_that_outlasts_the_worker_is_left_for_another(
    quiet_world: World,
) -> None:
    """Nobody would save the outcome of a run that starts now."""
    world = quiet_world
    errands = world.errands(grace=0.01)
    store = world.stores[0]
    store.plan[("add", 1)] = Fault.HANGS

    @errands.task
    async def work() -> None:
        with world.book.run():
            pass

    async with errands:
        async with world.working(errands):
            await idle(world, errands)
            adding = asyncio.create_task(errands.add_task(work))
            await store.hangs.wait()
        store.goes_on.set()
        job = await adding
        world.acknowledge(job)
        world.ledger.unanswered.add(Version(job.id, job.version))  # its worker was gone by then
        await world.quiet()
        assert [] == world.book.entries
        async with world.working(errands):
            await world.rest()
    await world.audit()

    assert 1 == len(world.book.entries)


async def test_a_job_that_is_born_while_others_go_back_goes_back_too(quiet_world: World) -> None:
    """The store answers only when the worker has begun to cancel what runs."""
    world = quiet_world
    errands = world.errands(grace=0.01)
    store = world.stores[0]
    store.plan[("add", 2)] = Fault.HANGS
    is_open = asyncio.Event()

    @errands.task
    async def work() -> None:
        with world.book.run():
            try:
                await is_open.wait()
            except asyncio.CancelledError:
                store.goes_on.set()
                raise

    async with world.opened(errands):
        async with world.working(errands):
            await idle(world, errands)
            await world.insist(lambda: errands.add_task(work))
            while not world.book.running:
                await world.quiet()
            await idle(world, errands)
            adding = asyncio.create_task(errands.add_task(work))
            await store.hangs.wait()
        job = await adding
        world.acknowledge(job)
        world.ledger.unanswered.add(Version(job.id, job.version))  # too late for its worker
        assert 0 == world.book.running
        is_open.set()
        async with world.working(errands):
            await world.rest()
    await world.audit()


async def test_an_addition_without_an_answer_ends_with_the_store(quiet_world: World) -> None:
    """Whoever added was cancelled, and the store stays away until everything is closed."""
    world = quiet_world
    errands = world.errands(grace=0.01)
    store = world.stores[0]
    store.plan[("add", 1)] = Fault.HANGS

    @errands.task
    async def work() -> None:
        with world.book.run():
            pass

    async with world.working(errands):
        await idle(world, errands)
        adding = asyncio.create_task(errands.add_task(work))
        await store.hangs.wait()
        store.is_away = True
        adding.cancel()
        await asyncio.wait([adding])
    store.calm()
    assert [] == [task for task in asyncio.all_tasks() if task.get_name() == "errands late task"]

    async with world.working(errands):
        await world.rest()
    await world.audit()


# The seeds


@pytest.mark.parametrize("seed", range(3))
async def test_a_seed_fails_in_the_same_places_again(seed: int) -> None:
    """All of it: the same calls, in the same order, with the same faults."""
    first, second = [await _faults_of(seed) for _ in range(2)]

    assert first == second
    assert {Fault.BEFORE, Fault.AFTER} <= {fault for _, _, fault in first}


async def _faults_of(seed: int) -> list[Injected]:
    random.seed(seed)
    world = World("memory:", seed)
    world.rate = 0.5
    async with world.alive():
        errands = world.errands()

        @errands.task(retry=Retry(attempts=9, wait=1))
        async def work(n: int) -> None:
            with world.book.run() as job:
                if job.attempt == n:
                    raise ValueError("once more")

        async with world.working(errands):
            for n in range(5):
                await world.insist(lambda n=n: errands.add_task(work, n))  # type: ignore[misc]
            await world.rest()
        await world.audit()
    return world.stores[0].injected


def test_a_fault_is_a_function_of_seed_method_and_number() -> None:
    """In every process, whatever else was drawn: these were drawn in another one."""
    drawn = [fault_of(7, "add", number, 0.5) for number in range(1, 9)]

    expected = [
        Fault.NONE, Fault.CANCELLED_BEFORE, Fault.AFTER, Fault.AFTER,
        Fault.NONE, Fault.CANCELLED_AFTER, Fault.NONE, Fault.NONE,
    ]  # fmt: skip  # a row
    assert expected == drawn
    assert drawn != [fault_of(8, "add", number, 0.5) for number in range(1, 9)]
    assert drawn != [fault_of(7, "save", number, 0.5) for number in range(1, 9)]
    assert {Fault.NONE} == {fault_of(7, "add", number, 0.0) for number in range(99)}


@pytest.mark.parametrize("method", ["add", "claim", "extend", "open", "ring"])
def test_every_fault_comes_up(method: str) -> None:
    """In its share of the calls."""
    drawn = Counter(fault_of(1, method, number, 0.4) for number in range(2000))

    assert {*FAULTS.get(method, COMMON), Fault.NONE} == set(drawn)
    assert 0.35 < 1 - drawn[Fault.NONE] / 2000 < 0.45


class TestUnreliableStore(StoreContract):
    """It is a store like any other, as long as nothing befalls it."""

    @pytest.fixture
    async def store(self, url: str) -> AsyncIterator[Store]:
        async with UnreliableStore(store_at(url)) as store:
            yield store
            assert [] == store.injected

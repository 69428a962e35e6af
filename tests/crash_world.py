"""A world in which the store fails: a clock that keeps nobody waiting, books, and an audit.

The tasks write into a `Book` when they begin and when they end; the stores into a `Ledger` what
was written. `World.audit` compares both with what was acknowledged.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count, pairwise
from typing import Any, TypeVar

import pytest
from asgi_driver import alive
from unreliable_store import FAILS, Ledger, UnreliableStore, Version, as_user

from errands import Errands, Job, Query, State, Store, current_job
from errands.asgi import App
from errands.errors import StoreUnavailable
from errands.stores import store_at
from errands.testing import JumpingClock

T = TypeVar("T")

LEASE = 15.0  # seconds of the world's clock
LONGEST = 20.0  # real seconds that a scenario may take; never reached
OWED = timedelta(minutes=10)  # of that clock, in which a world comes to rest; it runs fast
UNFINISHED = (State.QUEUED, State.RUNNING)
LOOPS = (  # what only workers call
    "claim", "next_free", "save", "report", "rescue", "prune", "beat", "prune_workers",
)  # fmt: skip  # a row
AWAY = "the store is unavailable"  # so the log begins to say it


class RestlessClock(JumpingClock):
    """Can pass to its next timer, so that whoever waits need not wait."""

    def jump_on(self) -> None:
        """Show the next instant for which anybody waits."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._timers:
            self.jump(self._timers[0][0] - self.now())


@dataclass
class Entry:
    """One run of a job, as its function saw it."""

    job: Job
    began: int
    ended: int | None = None


@dataclass
class Book:
    """Where the tasks themselves note that they run."""

    entries: list[Entry] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)

    @contextmanager
    def run(self) -> Iterator[Job]:
        """Note one run from its beginning to its end, in whatever thread."""
        entry = Entry(current_job(), next(self._order))
        self.entries.append(entry)
        try:
            yield entry.job
        finally:
            entry.ended = next(self._order)

    @property
    def running(self) -> int:
        """How many have begun and not ended."""
        return sum(entry.ended is None for entry in self.entries)

    def by_job(self) -> dict[str, list[Entry]]:
        """The runs of each job, in the order of its versions."""
        runs: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in sorted(self.entries, key=lambda entry: entry.job.version):
            runs[entry.job.id].append(entry)
        return runs


class World:
    """One store, those who work on it, and what they have promised.

    Attributes:
        look: The store beneath, to see what is there.
        acknowledged: The jobs of which somebody was told that they are kept, by id.
    """

    def __init__(self, url: str, seed: int) -> None:
        """Nobody works yet."""
        self.url, self.seed = url, seed
        self.rate = random.Random(f"{seed} rate").choice((0.1, 0.3, 0.5))
        self.clock, self.book, self.ledger = RestlessClock(), Book(), Ledger()
        self.look: Store = store_at(url)
        self.stores: list[UnreliableStore] = []
        self.acknowledged: dict[str, Job] = {}
        self._all: list[Errands] = []
        self._at_work: list[Errands] = []
        self._quiet = asyncio.Event()
        self._is_renewing = False
        self._before: tuple[set[asyncio.Task[Any]], set[threading.Thread]] | None = None

    # Those who live in it

    def errands(self, **settings: Any) -> Errands:
        """One more process, as it were, with its own way to the store."""
        inner = self.look if self.url == "memory:" else store_at(self.url)
        seed = f"{self.seed}.{len(self.stores)}"
        store = UnreliableStore(inner, seed, rate=self.rate, ledger=self.ledger)
        self._before = self._before or (asyncio.all_tasks(), _threads())
        self.stores.append(store)
        settings = {"grace": 5, "lease": LEASE, "slots": 5} | settings
        self._all.append(Errands(store, clock=self.clock, **settings))
        return self._all[-1]

    @asynccontextmanager
    async def working(self, errands: Errands) -> AsyncIterator[None]:
        """Start it, as often as that takes."""
        async with AsyncExitStack() as stack:
            stack.callback(self._leave, errands)
            await self._enter(stack, errands.working)
            self.serves(errands)
            yield

    @asynccontextmanager
    async def opened(self, errands: Errands) -> AsyncIterator[None]:
        """Open it, to add and to look, as often as that takes."""
        async with AsyncExitStack() as stack:
            await self._enter(stack, lambda: errands)
            yield

    @asynccontextmanager
    async def serving(self, errands: Errands, app: App) -> AsyncIterator[None]:
        """Take an application through its lifespan, as often as its start takes."""
        async with AsyncExitStack() as stack:
            stack.callback(self._leave, errands)
            await self._enter(stack, lambda: alive(app))
            self.serves(errands)
            yield

    def serves(self, errands: Errands) -> None:
        """Count this one among those at work: its leases are renewed."""
        self._at_work.append(errands)

    async def _enter(
        self, stack: AsyncExitStack, start: Callable[[], AbstractAsyncContextManager[object]]
    ) -> None:
        while True:
            with suppress(StoreUnavailable):
                await stack.enter_async_context(start())
                return

    def _leave(self, errands: Errands) -> None:
        self._at_work = [other for other in self._at_work if other is not errands]

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Call as a user; `None` if the store failed, or the user was cancelled."""
        try:
            return await as_user(call)
        except StoreUnavailable:
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call as a user until there is an answer, and keep the jobs in it as acknowledged."""
        answer = None
        while answer is None:
            answer = await self.attempt(call)
        self.acknowledge(answer)
        return answer

    def acknowledge(self, answer: object) -> None:
        """Remember that these jobs were promised."""
        for job in answer if isinstance(answer, list) else [answer]:
            if isinstance(job, Job):
                self.acknowledged[job.id] = job

    # Time

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[World]:
        """Open the store beneath and let time pass."""
        async with self.look:
            passing = asyncio.create_task(self._pass_time(), name="time")
            renewing = asyncio.create_task(self._renew(), name="renewals")
            try:
                yield self
            finally:
                for task in (passing, renewing):
                    task.cancel()
                await asyncio.wait([passing, renewing])

    async def quiet(self) -> None:
        """Wait until nothing happens before the clock moves on."""
        await self._quiet.wait()

    async def _pass_time(self) -> None:
        while True:
            seen = self._activity()
            for _ in range(4):
                await asyncio.sleep(0)
            if self._is_renewing or any(store.under_way for store in self.stores):
                await asyncio.sleep(0.0005)  # for a thread
                continue
            if self.book.running:
                await asyncio.sleep(0.0005)
            if seen != self._activity():
                continue
            self._quiet.set()
            self._quiet = asyncio.Event()
            await asyncio.sleep(0)
            if seen == self._activity():
                self.clock.jump_on()

    def _activity(self) -> tuple[int, ...]:
        calls = (sum(store.calls.values()) for store in self.stores)
        return len(self.book.entries), self.book.running, *calls

    async def _renew(self) -> None:
        """Do by this clock what the renewers' threads do by the real one."""
        while True:
            await self.clock.sleep(LEASE / 3)
            for errands in list(self._at_work):
                worker = errands._engine._worker
                held = worker._renewer._held() if worker is not None else ()
                if worker is not None and held:
                    self._is_renewing = True
                    await asyncio.to_thread(worker._renewer._renew, held)
                    self._is_renewing = False

    # The audit

    async def rest(self) -> None:
        """Let the faults stop; then all that is owed is done, by itself, and slots are free."""
        for store in self.stores:
            store.calm()
        end = self.clock.now() + OWED
        while unrest := await self.unrest():
            assert self.clock.now() < end, f"seed {self.seed} comes to no rest: {unrest}"
            await self.quiet()

    async def unrest(self) -> list[str]:
        """What is not at rest, in words."""
        jobs = await self.look.find(Query(states=UNFINISHED, limit=1000))
        found = [f"{job.task} {job.id} is {job.state}" for job in jobs]
        for errands in self._all:
            worker, engine = errands._engine._worker, errands._engine
            found += [f"{errands.pending} local tasks are pending"] * bool(errands.pending)
            found += [f"{len(engine._strays)} additions go on"] * bool(engine._strays)
            if worker is not None and worker.is_busy:
                found.append(f"{worker.name} holds {worker._runs.held()}")
            if worker is not None and worker._runs.free != engine._settings.slots:
                found.append(f"{worker.name} has {worker._runs.free} free slots")
        return found

    async def audit(self, *states: State) -> list[Job]:
        """Check what was promised, once everybody has left; answers with all jobs, oldest first.

        Args:
            states: In which acknowledged jobs may have ended; done by default.
        """
        jobs = (await self.look.find(Query(limit=10_000)))[::-1]
        there = {job.id: job for job in jobs}
        self._check_acknowledged(there, states or (State.DONE,))
        self._check_removed(there)
        self._check_outcomes(there)
        self._check_losses()
        self._check_starts()
        tasks, threads = self._before or (set(), set())
        equal([], await self.unrest(), "at the end nothing is left to do")
        left = [task for task in asyncio.all_tasks() - tasks if not task.done()]
        equal([], left, "no task is left behind")
        equal(set(), _threads() - threads, "no thread is left behind")
        return jobs

    def _check_acknowledged(self, there: dict[str, Job], states: tuple[State, ...]) -> None:
        known = self.acknowledged.keys() - self.ledger.removed
        equal(set(), known - there.keys(), "what was acknowledged is kept")
        ended = {job_id: there[job_id].state for job_id in known}
        wrong = {job_id: state for job_id, state in ended.items() if state not in states}
        equal({}, wrong, "what was acknowledged comes to its end")
        equal(set(), known - self.book.by_job().keys(), "what was acknowledged is run")

    def _check_removed(self, there: dict[str, Job]) -> None:
        equal(set(), self.ledger.removed & there.keys(), "what was dropped is gone")
        ran = self.ledger.removed & self.book.by_job().keys()
        equal(set(), ran, "what was dropped does not run")

    def _check_outcomes(self, there: dict[str, Job]) -> None:
        finals: Counter[str] = Counter()
        for version, written in self.ledger.writes.items():
            one = written[0]
            equal({_essence(one)}, set(map(_essence, written)), f"{version} is written once")
            if one.is_final:
                finals[version.id] += 1
                before = self.ledger.writes[Version(version.id, version.version - 1)][0]
                owner = before.state, before.worker
                equal((State.RUNNING, one.worker), owner, f"{version} is written by its owner")
                equal(_essence(one), _essence(there[version.id]), f"{version} stays")
        expected = {job.id: 1 for job in there.values() if job.is_final}
        equal(expected, dict(finals), "a job ends once")

    def _check_losses(self) -> None:
        for version, written in self.ledger.writes.items():
            following = self.ledger.writes.get(Version(version.id, version.version + 1))
            if following and State.RUNNING == written[0].state == following[0].state:
                excused = version in self.ledger.unanswered or version.id in self.ledger.refused
                equal(True, excused, f"{version} is lost for a reason")

    def _check_starts(self) -> None:
        for runs in self.book.by_job().values():
            for one, two in pairwise(runs):
                version = Version(one.job.id, one.job.version)
                equal(True, one.job.version < two.job.version, f"{version} is started once")
                handed = self.ledger.writes[Version(version.id, version.version + 1)][0]
                was_over = one.ended is not None and one.ended < two.began
                is_lost = handed.state is State.RUNNING
                equal(True, was_over or is_lost, f"{version} runs once at a time")

    def check_keys(self, unfinished: list[Job]) -> None:
        """No two unfinished jobs have one key."""
        keys = Counter(job.key for job in unfinished if job.key is not None)
        equal([], [key for key, jobs in keys.items() if jobs > 1], "a key is had by one")

    def check_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """What befell the workers is in the log."""
        befell = {
            entry.method
            for store in self.stores
            for entry in store.injected
            if entry.fault in FAILS and entry.method in LOOPS
        }
        lines = [record for record in caplog.records if record.getMessage().startswith(AWAY)]
        equal(bool(befell), bool(lines), f"the log tells of {befell}")
        equal(set(), {record.levelno for record in lines} - {logging.WARNING}, "it warns")

    def story(self) -> str:
        """What happened, to be read when a test has failed."""
        lines = [f"seed {self.seed}, rate {self.rate}"]
        for store in self.stores:
            lines += [
                f"  {store.seed}: {method} {n} {fault}" for method, n, fault in store.injected
            ]
        for version, jobs in sorted(self.ledger.writes.items()):
            lines.append(f"  {version.id} {version.version}: {_essence(jobs[0])} x{len(jobs)}")
        for entry in self.book.entries:
            job = entry.job
            lines.append(f"  ran {job.id} {job.version}: {entry.began} to {entry.ended}")
        return "\n".join(lines)


def equal(expected: object, actual: object, claim: str) -> None:
    """Fail unless both are the same; pytest rewrites the assertions of tests alone."""
    assert expected == actual, f"{claim}: {actual!r}, not {expected!r}"


def last_line(job: Job) -> str:
    """Of what the last attempt had to say."""
    return (job.error or "").rpartition("\n")[2]


def _essence(job: Job) -> tuple[object, ...]:
    return job.state, job.worker, job.attempt, job.result, job.finished_at


def _threads() -> set[threading.Thread]:
    """Those of stores and workers; idle ones of tasks may stay for a while."""
    names = ("errands renewer", "errands sqlite")
    return {thread for thread in threading.enumerate() if thread.name in names}

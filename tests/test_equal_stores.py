"""Whatever is asked of them, all stores give the same answers and hold the same jobs."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from postgres_server import PostgresServer

from errands import (
    Claim,
    Job,
    Limit,
    Limits,
    OnConflict,
    Order,
    OrderKind,
    Progress,
    Query,
    Rate,
    State,
    Store,
)
from errands._job import NEVER, WAITING
from errands.errors import JobExists, UnknownJob
from errands.stores import store_at
from errands.stores.memory import MemoryStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MOST = 8  # jobs that one sequence may know

Step = tuple[Any, ...]

LIMITS = {
    "t": Limits(concurrency=Limit(1, per="c"), rate=Rate("2/s")),
    "u": Limits(concurrency=Limit(2, per="c"), rate=Rate("1/2s")),
}
OTHERS = {"t": Limits(concurrency=Limit(3, per="c"))}

numbers = st.integers(0, MOST - 1)
new_jobs = st.lists(
    st.tuples(
        st.sampled_from([None, "k", "k", "l"]),  # key
        st.sampled_from(["q", "r"]),
        st.integers(-1, 1),  # priority
        st.sampled_from(["t", "u"]),
        st.integers(0, 3),  # seconds until it is due
        st.sampled_from(
            [(None, None), ("c", None), ("d", None), (None, "r"), ("c", "r")]
        ),  # limits
        st.sampled_from([None, "g"]),  # group
        st.lists(numbers, max_size=2),  # whom it waits for, of those that were made before
    ),
    min_size=1,
    max_size=3,
)
additions = st.tuples(
    st.just("add"), new_jobs, st.sampled_from(["keep", "replace", "replace", "raise"])
)
steps = st.one_of(
    additions,
    additions,
    st.tuples(st.just("add_again"), numbers),
    st.tuples(
        st.just("claim"),
        st.sampled_from(["v", "w"]),
        st.sampled_from([None, ("q",), ("q", "r"), ()]),
        st.sampled_from([("t",), ("t", "u")]),
        st.integers(1, 4),
        st.sampled_from([{}, LIMITS, LIMITS, OTHERS]),
    ),
    st.tuples(st.just("unblock"), st.sampled_from([{}, LIMITS, OTHERS])),
    st.tuples(st.just("next_free"), st.sampled_from([None, ("q",)])),
    st.tuples(
        st.just("save"),
        st.lists(
            st.tuples(
                numbers,
                st.sampled_from(["done", "failed", "again", "cancelled", "released", "retried"]),
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    st.tuples(st.just("save_again"), numbers),
    st.tuples(st.just("report"), numbers),
    st.tuples(st.just("extend"), st.lists(numbers, max_size=4), st.sampled_from(["v", "w"])),
    st.tuples(st.just("remove"), st.lists(numbers, min_size=1, max_size=2, unique=True)),
    st.tuples(st.just("prune"), st.just(MOST)),  # which of many go first is the store's own affair
    st.tuples(st.just("find"), st.sampled_from(list(State)), st.sampled_from([None, "k"])),
    st.tuples(st.just("cancel"), st.lists(numbers, min_size=1, max_size=2)),
    st.tuples(st.just("cancelling"), st.sampled_from(["v", "w"])),
    st.tuples(
        st.just("order"),
        st.sampled_from([("queue", "q"), ("queue", "r"), ("task", "t"), ("key", "k")]),
        st.booleans(),
    ),
    st.tuples(st.just("backlog"), st.sampled_from(["q", "r"]), st.integers(1, MOST)),
    st.tuples(st.just("places")),
    st.tuples(st.just("wait")),
)

START: list[Step] = [  # so that there is something to change from the beginning
    (
        "add",
        [
            ("k", "q", 0, "t", 0, (None, None), "g", []),
            (None, "q", 0, "t", 0, (None, None), None, []),
        ],
        "keep",
    ),
    (
        "add",
        [
            (None, "r", 1, "t", 0, ("c", None), "g", []),
            (None, "q", 0, "t", 0, (None, None), "g", [0]),
        ],
        "keep",
    ),
    ("claim", "v", None, ("t", "u"), 3, LIMITS),
]


class World:
    """One store, and what a process that uses it remembers of its jobs.

    Both worlds of a test take the same steps; the second would notice if it remembered
    anything else than the first.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.now = store, NOW
        self.seen: list[Job] = []  # each as it was seen last, in the order of their making
        self.made: list[Job] = []  # each as it was added first
        self.saved: list[Job] = []

    async def take(self, step: Step) -> Any:
        """The store's answer to one step."""
        name, *arguments = step
        return await getattr(self, name)(*arguments)

    async def add(self, rows: list[Step], on_conflict: OnConflict) -> Any:
        jobs = []
        for key, queue, priority, task, wait, limits, group, parents in rows:
            concurrency_key, rate_key = limits
            if len(self.seen) == MOST:
                break
            due = self.now + wait * SECOND
            new = Job(
                id=f"{len(self.seen):02}", task=task, payload="{}", queue=queue, key=key,
                priority=priority, due_at=due, free_at=due, added_at=self.now, group=group,
                concurrency_key=concurrency_key, rate_key=rate_key,
            )  # fmt: skip  # a row
            if ids := tuple(f"{number:02}" for number in parents if number < len(self.seen)):
                new = replace(new, waits_for=ids, blocked_by=WAITING, free_at=NEVER)
            self.seen.append(new)
            self.made.append(new)
            jobs.append(new)
        try:
            return self.look(await self.store.add(jobs, on_conflict))
        except JobExists as error:
            return "JobExists", error.job
        except (UnknownJob, ValueError) as error:
            return type(error), str(error)

    async def add_again(self, number: int) -> Any:
        try:
            return self.look(await self.store.add(self.made[number : number + 1]))
        except UnknownJob as error:
            return str(error)

    async def claim(self, worker: str, queues: Any, tasks: Any, limit: int, limits: Any) -> Any:
        claim = self.wanted(worker, queues, tasks, limit, limits)
        return self.look(await self.store.claim(claim))

    async def unblock(self, limits: Any) -> Any:
        return await self.store.unblock(self.wanted("v", None, ("t", "u"), 1, limits))

    async def next_free(self, queues: Any) -> Any:
        return await self.store.next_free(self.wanted("v", queues, ("t",), 1))

    async def save(self, changes: list[tuple[int, str]]) -> Any:
        once = {job.id: (job, how) for number, how in changes for job in self.known([number])}
        jobs = [self.changed(job, how) for job, how in once.values()]
        self.saved += jobs
        written = await self.store.save(jobs)
        for job in jobs:
            if job.id in written:
                self.look([job])
        return sorted(written)

    async def save_again(self, number: int) -> Any:
        return await self.store.save(self.saved[-1 - number % 3 :][:1])

    async def report(self, number: int) -> None:
        await self.store.report(
            [job.progressed(Progress(number, MOST, "so far")) for job in self.known([number])]
        )

    async def extend(self, numbers: list[int], worker: str) -> Any:
        ids = [job.id for job in self.known(numbers)]
        until = self.now + 5 * SECOND
        return sorted(await asyncio.to_thread(self.store.extend, ids, worker, until))

    async def remove(self, numbers: list[int]) -> Any:
        return sorted(await self.store.remove(self.known(numbers)))

    async def prune(self, limit: int) -> Any:
        return await self.store.prune(self.now - SECOND, limit)

    async def find(self, state: State, key: str | None) -> Any:
        return await self.store.find(Query(states=[state], key=key, limit=5))

    async def cancel(self, numbers: list[int]) -> Any:
        return sorted(await self.store.request_cancel([job.id for job in self.known(numbers)]))

    async def cancelling(self, worker: str) -> Any:
        return sorted(await self.store.cancelling(worker))

    async def order(self, order: tuple[OrderKind, str], is_given: bool) -> Any:
        kind, name = order
        if is_given:
            await self.store.put_orders([Order(kind=kind, name=name, since=self.now)])
        else:
            await self.store.remove_orders([order])
        return await self.store.orders()

    async def backlog(self, queue: str, most: int) -> Any:
        return await self.store.backlog(queue, most)

    async def places(self) -> Any:
        return sorted(await self.store.places(self.now))

    async def wait(self) -> None:
        self.now += SECOND

    async def contents(self) -> Any:
        """Everything that is kept."""
        counts = {pair: number for pair, number in (await self.store.count()).items() if number}
        states = await self.store.states([job.id for job in self.seen])
        return await self.store.find(Query(limit=1000)), counts, states, await self.store.group("g")

    def wanted(
        self, worker: str, queues: Any, tasks: Any, limit: int, limits: Any = MappingProxyType({})
    ) -> Claim:
        return Claim(
            worker=worker, queues=queues, tasks=tasks, limit=limit, now=self.now,
            lease=2 * SECOND, limits=limits,
        )  # fmt: skip  # a row

    def known(self, numbers: list[int]) -> list[Job]:
        """Jobs as they were seen last, which may be long ago."""
        if not self.seen:
            return []
        return [self.seen[number] for number in {number % len(self.seen) for number in numbers}]

    def look(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            self.seen[int(job.id)] = job
        return jobs

    def changed(self, job: Job, how: str) -> Job:
        if how == "done":
            return job.done('{"a":1}', self.now)
        if how == "failed":
            return job.failed("boom", self.now)
        if how == "again":
            return job.failed("boom", self.now, 1.5)
        if how == "cancelled":
            return job.cancelled(self.now)
        return job.released(self.now) if how == "released" else job.retried(self.now)


@pytest.mark.slow
@settings(
    max_examples=100,
    deadline=None,  # the machine may be busy
    derandomize=True,  # the same everywhere; more examples, when a store is changed
    phases=[Phase.generate],  # to make a failing sequence shorter takes minutes
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
@given(sequence=st.lists(steps, min_size=10, max_size=40))
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_all_stores_answer_alike(postgres: PostgresServer, kind: str, sequence: list[Step]) -> None:
    """After each step the answers are equal, and so is everything that is kept."""

    async def compare() -> None:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder)}/errands.db?synchronous=normal"
            if kind == "postgres":
                url = postgres.new_url()
            async with MemoryStore() as memory, store_at(url) as stored:
                one, other = World(memory), World(stored)
                for number, step in enumerate(START + sequence):
                    assert await one.take(step) == await other.take(step), (number, step)
                    assert await one.contents() == await other.contents(), (number, step)

    asyncio.run(compare())


async def test_a_key_that_is_taken_does_not_come_back_with_an_old_job(store: Store) -> None:
    """A finished job that is asked for again meets another one that has its key by now."""
    first, second = (
        Job(id=id, task="t", payload="{}", due_at=NOW, free_at=NOW, added_at=NOW, key="k")
        for id in ("1", "2")
    )
    failed = first.cancelled(NOW)
    await store.add([first])
    await store.save([failed])
    await store.add([second])
    await store.save([failed.retried(NOW)])

    waiting = await store.find(Query(states=[State.QUEUED], key="k"))
    assert [second] == waiting


def test_a_world_remembers_what_it_saw() -> None:
    """The test above would be worth little if its saves were all refused."""

    async def live() -> None:
        world = World(MemoryStore())
        await world.take(("add", [(None, "q", 0, "t", 0, (None, None), None, [])], "keep"))
        await world.take(("claim", "v", None, ("t",), 1, {}))
        assert ["00"] == await world.take(("save", [(0, "done")]))
        assert {"00"} == await world.take(("save_again", 0))
        assert replace(world.seen[0], result='{"a":1}') == world.seen[0]
        assert State.DONE is world.seen[0].state

    asyncio.run(live())

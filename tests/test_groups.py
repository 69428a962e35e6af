"""Jobs that wait for others, that are counted together, and that are shards of one work."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import eventually, soon

from errands import BackgroundTasks, Errands, Job, Query, Retry, State, current_job
from errands.errors import JobCancelled, JobFailed, UnknownJob, UnknownTask
from errands.testing import drain


async def stored(errands: Errands, *jobs: Job) -> list[Job]:
    """The jobs as they are now."""
    there = [await errands.job(job.id) for job in jobs]
    return [job for job in there if job is not None]


async def states(errands: Errands, *jobs: Job) -> list[State]:
    """What became of jobs."""
    return [job.state for job in await stored(errands, *jobs)]


# Order


async def test_each_link_of_a_chain_gets_what_the_one_before_it_returned(errands: Errands) -> None:
    """And the last one's result is the chain's."""

    @errands.task
    async def first(n: int) -> int:
        return n

    @errands.task
    async def double() -> int:
        [n] = await current_job().parents()
        return int(n) * 2

    async with errands.working():
        jobs = await errands.chain((first, 3), (double,), (double,))
        assert 12 == await errands.result(jobs[-1], timeout=10)
        assert [jobs[0].id] == list(jobs[1].waits_for)
        assert [3, 6, 12] == [await errands.result(job) for job in jobs]


async def test_a_job_gets_what_all_of_its_parents_returned(errands: Errands) -> None:
    """In the order of `waits_for`, as their return annotations say."""
    found: list[Any] = []

    @errands.task
    async def day(n: int) -> date:
        await asyncio.sleep(0.002 * (3 - n))
        return date(2026, 1, n)

    @errands.task
    async def collect() -> None:
        found.extend(await current_job().parents())

    async with errands.working():
        *_, last = await errands.gather(*((day, n) for n in (1, 2, 3)), then=(collect,))
        await errands.result(last, timeout=10)

    assert [date(2026, 1, n) for n in (1, 2, 3)] == found


async def test_gathering_nothing_runs_what_comes_then(errands: Errands) -> None:
    """It has nobody to wait for. A chain of nothing is nothing."""

    @errands.task
    async def count() -> int:
        return len(await current_job().parents())

    async with errands.working():
        [only] = await errands.gather(then=(count,))
        assert 0 == await errands.result(only, timeout=10)
        assert [] == await errands.chain()


async def test_what_waits_for_a_failed_job_is_cancelled(errands: Errands) -> None:
    """With the reason; and what waits for that, too. What failed once and is run again has not."""

    @errands.task
    async def fail() -> None:
        raise ValueError("boom")

    @errands.task(retry=Retry(attempts=2, wait=0))
    async def stumble() -> None:
        if current_job().attempt == 1:
            raise ValueError("once")

    @errands.task
    async def follow() -> None: ...

    async with errands.working():
        bad, second, third = await errands.chain((fail,), (follow,), (follow,))
        *_, good = await errands.chain((stumble,), (follow,))
        with pytest.raises(JobCancelled):
            await errands.result(third, timeout=10)
        await errands.result(good, timeout=10)
        await drain(errands)
        jobs = await stored(errands, bad, second, third)

    assert [State.FAILED, State.CANCELLED, State.CANCELLED] == [job.state for job in jobs]
    assert [
        f"It waited for job {bad.id}, which failed.",
        f"It waited for job {second.id}, which was cancelled.",
    ] == [job.error for job in jobs[1:]]


async def test_a_job_may_run_although_its_parents_failed(errands: Errands) -> None:
    """It gets an error in the place of each value that there is not."""
    found: list[Any] = []

    @errands.task
    async def fail() -> None:
        raise ValueError("boom")

    @errands.task
    async def work() -> str:
        return "fine"

    @errands.task
    async def collect() -> None:
        found.extend(await current_job().parents())

    async with errands.working():
        parents = [await errands.add_task(fail), await errands.add_task(work)]
        parents.append(await errands.options(after=60).add_task(work))
        await errands.cancel(parents[-1])
        adding = errands.options(waits_for=[*parents[:2], parents[2].id], if_failed="run")
        await errands.result(await adding.add_task(collect), timeout=10)

    assert [JobFailed, str, JobCancelled] == [type(each) for each in found]
    assert "boom" in str(found[0])


async def test_a_cancelled_parent_cancels_whatever_waits_for_it(errands: Errands) -> None:
    """Also if nobody was at work by then."""

    @errands.task
    async def work() -> None: ...

    async with errands:
        parent = await errands.options(after=60).add_task(work)
        jobs = [parent, *await errands.options(waits_for=[parent]).chain((work,), (work,))]
        await errands.cancel(parent)
        assert [State.CANCELLED, State.QUEUED, State.QUEUED] == await states(errands, *jobs)
    errands = Errands(errands._engine._store)
    errands.task(name=jobs[0].task)(work)
    async with errands.working():
        await eventually([State.CANCELLED] * 3, lambda: states(errands, *jobs), 10)


async def test_a_waiting_job_starts_when_it_is_due_at_the_earliest(errands: Errands) -> None:
    """A delay is not shortened by parents that are quick."""

    @errands.task
    async def work() -> None: ...

    async with errands.working():
        parent = await errands.add_task(work)
        child = await errands.options(waits_for=[parent], after=60).add_task(work)
        await errands.result(parent, timeout=10)
        [there] = await stored(errands, child)

    assert (State.QUEUED, None, child.due_at) == (there.state, there.blocked_by, there.free_at)


async def test_a_group_that_failed_can_be_asked_for_again(errands: Errands) -> None:
    """Its jobs wait for each other once more."""
    runs: list[str] = []

    @errands.task
    async def work(name: str) -> None:
        runs.append(name)
        if runs == ["a"]:
            raise ValueError("boom")

    async with errands.working():
        jobs = await errands.options(group="g").chain((work, "a"), (work, "b"), (work, "c"))
        await eventually(3, lambda: ended(errands, "g"))
        assert ["a"] == runs
        assert 3 == await errands.retry(Query(group="g"))
        await eventually([State.DONE] * 3, lambda: states(errands, *jobs))

    assert ["a", "a", "b", "c"] == runs


async def test_a_big_group_is_asked_for_again_from_its_beginning(errands: Errands) -> None:
    """Those that waited for a failed job wait for it again, be they many pages newer."""
    is_bad = True

    @errands.task
    async def first() -> None:
        if is_bad:
            raise ValueError("boom")

    @errands.task
    async def follow(n: int) -> None: ...

    async with errands.working():
        parent = await errands.options(group="g").add_task(first)
        adding = errands.options(group="g", waits_for=[parent])
        await adding.add_tasks((follow, n) for n in range(1100))
        await eventually(1101, lambda: ended(errands, "g"), 30)
    is_bad = False
    async with errands:
        assert 1101 == await errands.retry(Query(group="g"))
        jobs = await errands.jobs(group="g", limit=2000)
        assert [parent.id] == [job.id for job in jobs if job.blocked_by is None]
    async with errands.working():
        await eventually(1101, lambda: ended(errands, "g"), 30)
        assert {State.DONE: 1101} == (await errands.group("g")).counts


async def test_what_waits_for_a_forgotten_job_is_cancelled(errands: Errands) -> None:
    """It cannot have what it waited for; unless it is to run anyway."""
    found: list[Any] = []

    @errands.task
    async def work() -> None: ...

    @errands.task
    async def collect() -> None:
        found.extend(await current_job().parents())

    async with errands.working():
        parent = await errands.options(after=60).add_task(work)
        child = await errands.options(waits_for=[parent]).add_task(work)
        adding = errands.options(waits_for=[parent], if_failed="run")
        other = await adding.add_task(collect)
        await errands.delete(parent)
        with pytest.raises(JobCancelled):
            await errands.result(child, timeout=10)
        await errands.result(other, timeout=10)
        [there] = await stored(errands, child)

    assert f"It waited for job {parent.id}, which is no longer kept." == there.error
    assert [LookupError] == [type(each) for each in found]


async def test_a_child_waits_for_a_parent_that_is_asked_for_once_more(errands: Errands) -> None:
    """Though it had been free by then."""
    gate, order = asyncio.Event(), list[str]()

    @errands.task(name="parent")
    async def parent() -> None:
        order.append("parent")
        if len(order) > 1:
            await gate.wait()
            order.append("parent again")

    async def child() -> None:
        order.append("child")

    async with errands.working():  # which does not know the child's task yet
        first = await errands.add_task(parent)
        await errands.result(first, timeout=10)
        errands.task(name="child")(child)
        second = await errands.options(waits_for=[first], after=0.2).add_task(child)
        await errands.retry(first)
        await eventually("jobs", lambda: blocked_by(errands, second))
        gate.set()
        await errands.result(second, timeout=10)

    assert ["parent", "parent", "parent again", "child"] == order


async def blocked_by(errands: Errands, job: Job) -> str | None:
    [there] = await stored(errands, job)
    return there.blocked_by


async def ended(errands: Errands, group: str) -> int:
    return (await errands.group(group)).ended


async def test_parents_are_read_in_the_task_alone(errands: Errands) -> None:
    """A copy that was taken out knows nothing."""
    taken = []

    @errands.task
    async def work() -> None:
        taken.append(current_job())
        assert [] == await current_job().parents()

    async with errands.working():
        await errands.result(await errands.add_task(work), timeout=10)
        with pytest.raises(LookupError, match="belongs in its task"):
            await taken[0].parents()


async def test_nobody_waits_for_a_job_of_another_store(errands: Errands) -> None:
    """Nor for one that is forgotten; and then nothing is kept."""
    other = Errands("memory:")
    for each in (errands, other):
        each.task(name="work")(print)
    async with errands, other:
        stranger = await other.add_task(print)
        with pytest.raises(UnknownJob, match=f"work was to wait for job '{stranger.id}'"):
            await errands.options(waits_for=[stranger]).chain((print,), (print,))
        assert [] == await errands.jobs()


async def test_a_replacement_does_not_wait_for_itself(errands: Errands) -> None:
    """It would take the place of the job that it waits for."""
    errands.task(name="work")(print)
    async with errands:
        first = await errands.options(key="k", after=60).add_task(print)
        adding = errands.options(key="k", on_conflict="replace", waits_for=[first])
        with pytest.raises(ValueError, match=f"job {first.id} .* would wait for itself"):
            await adding.add_task(print)
        assert [first] == await errands.jobs()


async def test_the_last_of_many_is_what_runs_when_they_are_debounced(errands: Errands) -> None:
    """One job, with the last arguments, due when the last one says."""

    @errands.task
    async def index(n: int) -> int:
        return n

    async with errands.working():
        jobs = []
        for n, wait in enumerate([60, 60, 60, 60, 0]):
            adding = errands.options(key="index", after=wait, on_conflict="replace")
            jobs.append(await adding.add_task(index, n))
        assert {jobs[0].id} == {job.id for job in jobs}
        assert 4 == await errands.result(jobs[0], timeout=10)
        assert 1 == len(await errands.jobs())


async def test_what_a_request_adds_may_wait_for_what_it_added(errands: Errands) -> None:
    """Also where another job has the key of what it added."""
    order: list[str] = []

    @errands.task
    async def work(name: str) -> None:
        order.append(name)

    async with errands.working():
        rival = await errands.options(key="k", after=60).add_task(work, "rival")
        background = BackgroundTasks(errands._engine)
        first = background.add_task(work, "first")
        keyed = background.options(key="k").add_task(work, "never")
        background.options(waits_for=[first, keyed]).add_task(work, "last")
        *_, last = await background.flush()
        assert (first.id, rival.id) == last.waits_for
        await background.close(wait=False)
        await errands.retry(rival)  # it is due now
        await errands.result(last, timeout=10)

    assert ["first", "rival", "last"] == order


async def test_what_could_never_be_meant_is_refused() -> None:
    """Where it is written."""
    errands, job = Errands("memory:"), Job.of(id="a")
    for waits_for, told in (
        ("a", "expected a list"),
        (job, "expected a list"),
        ([""], r"\[''\]\): expected a job"),
        (["a\0"], "expected a job"),
        ([None], r"\[None\]"),
    ):
        for options in (errands.options, errands.background().options):
            with pytest.raises(ValueError, match=told):
                options(waits_for=waits_for)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match=r"if_failed='stop'\): expected cancel, run"):
        errands.options(if_failed="stop")  # type: ignore[arg-type]  # as above


async def test_what_is_no_call_is_refused_by_its_name(errands: Errands) -> None:
    """A function alone, or all calls in one list; nothing is kept."""

    @errands.task
    async def work() -> None: ...

    for wrong in (work, (), [(work,), (work,)]):
        for adding in (
            errands.chain(wrong),  # type: ignore[arg-type]  # that is the point
            errands.gather((work,), then=wrong),  # type: ignore[arg-type]  # as above
            errands.add_tasks([wrong]),  # type: ignore[list-item]  # as above
        ):
            with pytest.raises(TypeError, match="is no call: write each as a function"):
                await adding
    async with errands:
        assert {} == await errands.count()


async def test_one_key_is_not_for_many(errands: Errands) -> None:
    """Each of a chain's jobs would be the same."""
    errands.task(print)
    adding = errands.options(key="k")
    async with errands:
        for many in (
            adding.chain((print,)), adding.gather(then=(print,)), adding.map(print, [1]),
        ):  # fmt: skip  # a row
            with pytest.raises(ValueError, match="a key is of one job"):
                await many


# Shards


@pytest.fixture
def summing(errands: Errands) -> Callable[[Any], int]:
    @errands.task(name="sum")
    def add(numbers: Any) -> int:
        return sum(numbers) if isinstance(numbers, list) else int(numbers)

    return add


async def shards(errands: Errands, group: str) -> list[Any]:
    """What the jobs of a group returned, in the order in which they were added."""
    jobs = await errands.jobs(group=group, limit=10_000)
    return [await errands.result(job, timeout=10) for job in reversed(jobs)]


async def test_big_work_is_split_into_jobs(errands: Errands, summing: Any) -> None:
    """Of so many items each, and the rest; or of one item."""
    async with errands.working():
        assert "g" == await errands.map(summing, range(7), chunk=3, group="g")
        name = await errands.map(summing, range(3))

        assert [0 + 1 + 2, 3 + 4 + 5, 6] == await shards(errands, "g")
        assert [0, 1, 2] == await shards(errands, name)
        assert name.startswith("sum ")
        assert 0 == (await errands.group(await errands.map(summing, []))).total


async def test_each_map_has_a_group_of_its_own(errands: Errands, summing: Any) -> None:
    """Unless it is told one, by itself or by the options, which hold for each job."""
    async with errands:
        names = {await errands.map(summing, [1]) for _ in range(2)}
        adding = errands.options(group="g", priority=3)
        assert 2 == len(names)
        assert ["g", "h"] == [
            await adding.map(summing, [1]), await adding.map(summing, [1], group="h"),
        ]  # fmt: skip  # a row
        assert {3} == {job.priority for job in await errands.jobs(group="h")}


async def test_a_generator_is_read_bit_by_bit(errands: Errands, summing: Any) -> None:
    """Be it asynchronous; if it fails, what was added stays."""
    seen: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        for n in range(2500):
            if n % 1000 == 0:
                seen.append((await errands.group("g")).total)
            yield n
        raise ValueError("no more")

    def plain() -> Iterator[int]:
        yield from range(25)

    async with errands:
        with pytest.raises(ValueError, match="no more"):
            await errands.map(summing, numbers(), group="g")
        await errands.map(summing, plain(), chunk=10, group="h")

        assert [0, 1000, 2000] == seen
        assert 2000 == (await errands.group("g")).total
        assert 3 == (await errands.group("h")).total


async def test_few_items_are_held_at_once(errands: Errands, summing: Any) -> None:
    """Of big shards as of small ones: what was read is added before more is read."""
    seen: list[tuple[int, int]] = []

    async def numbers() -> AsyncIterator[int]:
        for n in range(25_001):
            if n % 10_000 == 0:
                seen.append((n, (await errands.group("g")).total))
            yield n

    async with errands:
        await errands.map(summing, numbers(), chunk=5000, group="g")

        assert [(0, 0), (10_000, 2), (20_000, 4)] == seen
        assert 6 == (await errands.group("g")).total


@pytest.mark.parametrize("chunk", [0, -1, 1.5, "many"])
async def test_a_shard_has_one_item_at_least(chunk: Any) -> None:
    """And a whole number of them; and its function is a task."""
    errands = Errands("memory:")
    errands.task(print)
    async with errands:
        with pytest.raises(ValueError, match=r"map\(chunk=.*expected 1 item"):
            await errands.map(print, [1], chunk=chunk)
        with pytest.raises(UnknownTask):
            await errands.map(repr, [1])
        with pytest.raises(ValueError, match="expected text of 1 to 2000 bytes"):
            await errands.map(print, [1], group="")


async def test_a_group_tells_how_far_it_is(errands: Errands) -> None:
    """While it runs, and when it has ended."""
    gate = asyncio.Event()

    @errands.task
    async def work(n: int) -> None:
        if n >= 6:
            await gate.wait()
        if n == 9:
            raise ValueError("boom")

    async with errands.working():
        await errands.map(work, range(10), group="g")
        await eventually(6, lambda: ended(errands, "g"))
        group = await errands.group("g")
        assert (0.6, 10, 6, False, None) == (
            group.fraction, group.total, group.done, group.is_final, group.finished_at,
        )  # fmt: skip  # a row
        gate.set()
        await drain(errands)
        group = await errands.group("g")

    assert (1.0, 9, 1, True) == (group.fraction, group.done, group.failed, group.is_final)
    assert group.started_at is not None
    assert group.finished_at is not None
    assert timedelta(0) <= group.finished_at - group.started_at < timedelta(seconds=20)


async def test_the_children_of_a_job_are_told(errands: Errands, summing: Any) -> None:
    """Those that wait for it, oldest first; of a job or of its id."""
    async with errands:
        *first, last = await errands.gather((summing, 1), (summing, 2), then=(summing, 3))
        others = await errands.options(waits_for=first[:1]).add_tasks(
            [(summing, n) for n in (4, 5)]
        )

        expected = {job.id: State.QUEUED for job in (last, *others)}
        assert expected == await errands.children(first[0])
        assert {last.id: State.QUEUED} == await errands.children(first[1].id)
        assert [others[0].id] == list(await errands.children(first[0], after=last.id, limit=1))
        assert {} == await errands.children(last)
        with pytest.raises(ValueError, match="limit=0"):
            await errands.children(last, limit=0)


async def test_groups_are_named(errands: Errands, summing: Any) -> None:
    """Those of one work stand together, the newest first."""
    async with errands:
        names = [await errands.map(summing, range(3)) for _ in range(3)]
        await errands.map(summing, [1], group="!")

        assert [*names[::-1], "!"] == await errands.groups()
        assert names[:1] == await errands.groups(before=names[1], limit=1)
        with pytest.raises(ValueError, match="limit=0"):
            await errands.groups(limit=0)


async def test_a_group_is_cancelled_as_a_whole(errands: Errands, summing: Any) -> None:
    """Those that wait, too."""
    async with errands:
        await errands.options(after=60).map(summing, range(3), group="g")
        await errands.options(group="g", after=60).chain((summing, 1), (summing, 2))

        assert 5 == await errands.cancel(Query(group="g"))
        assert 5 == (await errands.group("g")).cancelled


# Any order there is

nodes = st.lists(
    st.tuples(
        st.sets(st.integers(0, 7), max_size=4),  # parents, of those that were before
        st.sampled_from([False, False, False, True]),  # whether it fails
        st.booleans(),  # whether it runs anyway
    ),
    min_size=1,
    max_size=8,
)
Node = tuple[set[int], bool, bool]


def foreseen(graph: list[Node]) -> list[State]:
    """What is to become of each node."""
    fates: list[State] = []
    for parents, fails, anyway in graph:
        above = {fates[each] for each in parents if each < len(fates)}
        if not anyway and above - {State.DONE}:
            fates.append(State.CANCELLED)
        else:
            fates.append(State.FAILED if fails else State.DONE)
    return fates


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,  # the machine may be busy
    derandomize=True,  # the same everywhere
    suppress_health_check=list(HealthCheck),
)
@given(graph=nodes, together=st.booleans())
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_in_any_order_each_job_ends_after_its_parents(
    kind: str, graph: list[Node], together: bool
) -> None:
    """Well, badly or not at all, as its parents and its policy say; added at once or by and by."""

    async def live(url: str) -> None:
        errands, told = Errands(url), list[tuple[str, int]]()

        @errands.task
        async def node(number: int) -> None:
            told.append(("start", number))
            await asyncio.sleep(0)
            told.append(("end", number))
            if graph[number][1]:
                raise ValueError("boom")

        async with errands.working():
            jobs: list[Job] = []
            for number, (parents, _, anyway) in enumerate(graph):
                waits_for = [jobs[each] for each in sorted(parents) if each < number]
                adding = errands.options(
                    waits_for=waits_for, if_failed="run" if anyway else "cancel"
                )
                if together:
                    jobs.append(errands._engine.make(adding._options, node, (number,), {}))
                else:
                    jobs.append(await adding.add_task(node, number))
            if together:
                await errands._engine.add(jobs[::-1])
            await eventually(foreseen(graph), lambda: states(errands, *jobs))

        for number, (parents, _, _) in enumerate(graph):
            if ("start", number) in told:
                before = told[: told.index(("start", number))]
                ran = [each for each in parents if each < number and ("start", each) in told]
                assert {("end", each) for each in ran} <= set(before)
        assert len(told) == len(set(told))

    with tempfile.TemporaryDirectory() as folder:
        file = f"sqlite:///{Path(folder)}/errands.db?synchronous=normal"
        asyncio.run(soon(live("memory:" if kind == "memory" else file), timeout=20))

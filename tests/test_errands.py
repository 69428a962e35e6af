"""The one object: adding, options, batches, results, and what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from patience import eventually, soon
from pydantic import BaseModel

from errands import BackgroundTasks, Errands, Job, OnConflict, Retry, State, Store
from errands._codec import Codec
from errands.errors import (
    JobCancelled,
    JobExists,
    JobFailed,
    NoRequest,
    NotOpen,
    NotSerializable,
    PayloadTooLarge,
    SetupError,
    UnknownTask,
)
from errands.stores.memory import MemoryStore
from errands.testing import JumpingClock, drain

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)


@dataclass
class Order:
    id: UUID
    prices: list[Decimal]


class Person(BaseModel):
    name: str
    born: date


def stored(errands: Errands) -> Store:
    """The store beneath: to see, and to put there, what another process would."""
    return errands._engine.store


async def put(errands: Errands, task: str, payload: str = "{}") -> Job:
    """A job that another process has added."""
    now = errands.now()
    job = Job(
        id=f"0-{task}-{payload}", task=task, payload=payload, due_at=now, free_at=now, added_at=now
    )
    await stored(errands).add([job])
    return job


async def states(errands: Errands) -> dict[State, int]:
    """How many jobs are in each state."""
    return {state: number for (_, state), number in (await errands.count()).items() if number}


# Adding


async def test_a_job_is_stored_when_add_task_returns(errands: Errands) -> None:
    """It waits there, with its arguments, until somebody works."""

    @errands.task(queue="post", priority=4)
    def mail(to: str, size: int = 1) -> None: ...

    async with errands:
        job = await errands.add_task(mail, "ann", size=2)
        assert job == await errands.job(job.id)
        assert (State.QUEUED, "post", 4) == (job.state, job.queue, job.priority)
        assert {"to": "ann", "size": 2} == json.loads(job.payload)
        assert job.task.endswith("mail")


async def test_rich_arguments_and_results_arrive_as_annotated(errands: Errands) -> None:
    """From add_task through the store and the function to `result`."""
    seen: list[Any] = []

    @errands.task
    async def ship(
        order: Order, /, person: Person, *files: Path, when: datetime, **notes: date
    ) -> Order:
        seen.extend([order, person, files, when, notes])
        return order

    order, day = Order(UUID(int=1), [Decimal("1.10")]), date(2026, 1, 1)
    person = Person(name="Ann", born=day)
    async with errands.working():
        job = await errands.add_task(
            ship, order, person, Path("a"), Path("b"), when=MOMENT, due=day
        )
        assert order == await errands.result(job, timeout=5)

    assert [order, person, (Path("a"), Path("b")), MOMENT, {"due": day}] == seen


async def test_a_plain_function_runs_in_a_thread_and_gives_its_result(errands: Errands) -> None:
    """As an async one does."""

    @errands.task
    def double(n: int) -> int:
        return 2 * n

    async with errands.working():
        job = await errands.add_task(double, 21)
        assert 42 == await errands.result(job, timeout=5)
        assert 42 == await errands.result(job.id)


async def test_many_jobs_are_added_in_one_batch(errands: Errands) -> None:
    """In their order, and each with its id."""

    @errands.task
    async def double(n: int) -> int:
        return 2 * n

    async with errands.working():
        jobs = await errands.add_tasks((double, n) for n in range(200))
        assert [2 * n for n in range(200)] == [await errands.result(job, 5) for job in jobs]
        assert 200 == len({job.id for job in jobs})
        assert [] == await errands.add_tasks([])


async def test_a_batch_is_kept_whole_or_not_at_all(errands: Errands) -> None:
    """One call that does not fit keeps all of them out."""

    @errands.task
    def work(n: int) -> None: ...

    def stranger() -> None: ...

    async with errands:
        for spoilt in ((work, "x"), (work,), (work, math.nan), (stranger,)):
            with pytest.raises((TypeError, UnknownTask)):
                await errands.add_tasks([(work, 1), spoilt, (work, 2)])
        assert {} == await states(errands)


async def test_a_batch_with_a_key_that_is_taken_is_refused_whole(errands: Errands) -> None:
    """With `raise`."""

    @errands.task
    def work(n: int) -> None: ...

    async with errands:
        first = await errands.options(key="k").add_task(work, 0)
        with pytest.raises(JobExists) as refusal:
            await errands.options(key="k", on_conflict="raise").add_tasks([(work, 1), (work, 2)])
        assert first == refusal.value.job
        assert [first] == await errands.jobs()


# Options


async def test_options_may_go_beside_the_policy_of_the_task(errands: Errands) -> None:
    """For this one job."""

    @errands.task(queue="a", priority=1)
    def work() -> None: ...

    async with errands:
        job = await errands.options(queue="b", priority=9, key="k").add_task(work)
        assert ("b", 9, "k") == (job.queue, job.priority, job.key)
        assert ("a", 1, None) == ((await errands.add_task(work)).queue, 1, None)


@pytest.mark.parametrize("how", ["after", "at"])
async def test_a_job_starts_when_its_time_has_come(url: str, clock: JumpingClock, how: str) -> None:
    """Not before, and then at once."""
    errands = Errands(url, clock=clock)
    ran: list[datetime] = []

    @errands.task
    async def work() -> None:
        ran.append(clock.now())

    due = clock.now() + timedelta(seconds=60)
    options = {"after": 60} if how == "after" else {"at": due}
    async with errands.working():
        job = await errands.options(**options).add_task(work)
        assert (State.QUEUED, due) == (job.state, job.due_at)
        for _ in range(59):
            clock.jump(1)
            await asyncio.sleep(0)
        await drain(errands)
        assert [] == ran
        clock.jump(1.5)
        await errands.result(job, timeout=5)

    assert [True] == [due <= instant for instant in ran]


async def test_a_time_that_is_past_is_now(errands: Errands) -> None:
    """The job keeps what was asked for."""

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        job = await errands.options(at=MOMENT - timedelta(days=5000)).add_task(work)
        assert 1 == await errands.result(job, timeout=5)
        assert MOMENT - timedelta(days=5000) == job.due_at


async def test_a_key_keeps_one_job(errands: Errands) -> None:
    """By default the one that is there is the answer."""

    @errands.task
    def work(n: int) -> None: ...

    async with errands:
        first = await errands.options(key="k").add_task(work, 1)
        assert first == await errands.options(key="k").add_task(work, 2)
        assert first != await errands.options(key="other").add_task(work, 2)


async def test_a_key_may_replace_the_job_that_waits(errands: Errands) -> None:
    """Debouncing: the last call counts, under the first one's id."""
    ran: list[int] = []

    @errands.task
    async def work(n: int) -> None:
        ran.append(n)

    async with errands:
        first = await errands.options(key="k").add_task(work, 1)
        last = await errands.options(key="k", on_conflict="replace").add_task(work, 2)
        assert (first.id, '{"n":2}') == (last.id, last.payload)
        async with errands.working():
            await errands.result(last, timeout=5)

    assert [2] == ran


async def test_beside_a_job_that_runs_its_replacement_is_kept(errands: Errands) -> None:
    """Both run to their end."""
    started, gate = asyncio.Event(), asyncio.Event()

    @errands.task
    async def work(n: int) -> int:
        started.set()
        await gate.wait()
        return n

    async with errands.working():
        first = await errands.options(key="k").add_task(work, 1)
        await soon(started.wait())
        second = await errands.options(key="k", on_conflict="replace").add_task(work, 2)
        assert first.id != second.id
        gate.set()
        assert [1, 2] == [await errands.result(job, 5) for job in (first, second)]


async def test_a_key_that_is_taken_may_be_refused(errands: Errands) -> None:
    """The error has the job that holds it, and names it."""

    @errands.task
    def work(n: int) -> None: ...

    async with errands:
        first = await errands.options(key="k").add_task(work, 1)
        with pytest.raises(JobExists, match=f"'k'.*{first.id}") as refusal:
            await errands.options(key="k", on_conflict="raise").add_task(work, 2)
        assert first == refusal.value.job


@pytest.mark.parametrize("on_conflict", ["keep", "replace", "raise"])
async def test_a_key_is_free_again_when_its_job_has_ended(
    errands: Errands, on_conflict: OnConflict
) -> None:
    """Also in the process that ran it."""

    @errands.task
    async def work(n: int) -> int:
        return n

    async with errands.working():
        for n in range(5):
            options = errands.options(key="k", on_conflict=on_conflict)
            assert n == await errands.result(await options.add_task(work, n), timeout=5)


async def test_slots_are_not_lost_to_keys_that_are_taken(url: str) -> None:
    """An addition that was answered with another job frees the slot that it had kept."""
    errands, gate, started = Errands(url, slots=2), asyncio.Event(), asyncio.Event()

    @errands.task
    async def hold() -> None:
        started.set()
        await gate.wait()

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        held = await errands.options(key="k").add_task(hold)
        await soon(started.wait())
        for _ in range(10):
            assert held.id == (await errands.options(key="k").add_task(hold)).id
            with pytest.raises(JobExists):
                await errands.options(key="k", on_conflict="raise").add_task(hold)
        assert 1 == await errands.result(await errands.add_task(work), timeout=5)
        gate.set()


# Looking


async def test_jobs_are_found_by_what_they_are(errands: Errands) -> None:
    """State, queue, task, key, text; page by page."""

    @errands.task
    def work(to: str) -> None: ...

    async with errands:
        ann = await errands.options(key="k", queue="a").add_task(work, "ann")
        bob = await errands.options(queue="b").add_task(work, "bob")
        everyone = sorted([ann, bob], key=lambda job: job.id, reverse=True)
        assert everyone == await errands.jobs()
        assert everyone[1:] == await errands.jobs(before=everyone[0].id)
        assert [ann] == await errands.jobs(key="k", states=[State.QUEUED], text="nn")
        assert [bob] == await errands.jobs(queue="b", task=bob.task)
        assert everyone[:1] == await errands.jobs(limit=1)
        assert everyone == await errands.jobs(states="queued")  # type: ignore[arg-type]  # as one may write it
        assert {("a", State.QUEUED): 1, ("b", State.QUEUED): 1} == dict(await errands.count())


async def test_what_cannot_be_looked_for_is_refused(errands: Errands) -> None:
    """A state that there is not, a page without rows."""
    async with errands:
        with pytest.raises(ValueError, match="limit=0"):
            await errands.jobs(limit=0)
        with pytest.raises(ValueError, match="finished"):
            await errands.jobs(states=["finished"])  # type: ignore[list-item]  # the case


# Results


async def test_who_forgets_to_await_a_job_is_told(errands: Errands) -> None:
    """Where the job is asked for."""

    @errands.task
    async def work() -> None: ...

    async with errands:
        job: Any = errands.add_task(work)
        for act in (errands.result, errands.cancel, errands.why):
            with pytest.raises(TypeError, match=r"not <coroutine .*: is an `await` missing"):
                await act(job)
        job.close()  # else Python warns as well


async def test_a_result_is_waited_for(errands: Errands) -> None:
    """However long it takes, or as long as was said."""
    gate = asyncio.Event()

    @errands.task
    async def work() -> int:
        await gate.wait()
        return 1

    async with errands.working():
        job = await errands.add_task(work)
        with pytest.raises(TimeoutError, match=rf"{job.id} has not ended within 0\.05 s"):
            await errands.result(job, timeout=0.05)
        with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
            await errands.result(job, timeout=timedelta(milliseconds=50))
        waiting = [asyncio.create_task(errands.result(job)) for _ in range(3)]
        await asyncio.sleep(0)
        gate.set()
        assert [1, 1, 1] == await soon(asyncio.gather(*waiting))


async def test_a_task_that_raises_timeout_error_is_a_job_that_failed(errands: Errands) -> None:
    """And not a result that has not come in time."""

    @errands.task
    async def work() -> None:
        raise TimeoutError("no answer from the bank")

    async with errands.working():
        job = await errands.add_task(work)
        with pytest.raises(JobFailed, match="no answer from the bank"):
            await errands.result(job, timeout=5)


async def test_the_result_of_a_failed_job_is_its_error(errands: Errands) -> None:
    """With the job and its traceback."""

    @errands.task
    def work() -> None:
        raise ValueError("no such cat")

    async with errands.working():
        job = await errands.add_task(work)
        with pytest.raises(JobFailed, match=rf"{job.id}.*ValueError: no such cat") as failure:
            await errands.result(job, timeout=5)
        assert State.FAILED is failure.value.job.state
        assert "Traceback" in (failure.value.job.error or "")


async def test_a_cancelled_job_has_no_result(errands: Errands) -> None:
    """And says so."""

    @errands.task
    def work() -> None: ...

    async with errands:
        job = await errands.add_task(work)
        await stored(errands).save([job.cancelled(errands.now())])
        with pytest.raises(JobCancelled, match=job.id) as cancellation:
            await errands.result(job)
        assert job.id == cancellation.value.job.id


async def test_a_job_that_is_not_there_has_no_result(errands: Errands) -> None:
    """It never was, or was forgotten."""
    async with errands:
        assert None is await errands.job("nobody")
        with pytest.raises(LookupError, match="no job 'nobody'"):
            await errands.result("nobody")


async def test_a_job_that_vanishes_while_it_is_waited_for_is_no_longer_there(
    errands: Errands,
) -> None:
    """Somebody removed it."""

    @errands.task
    def work() -> None: ...

    async with errands:
        job = await errands.add_task(work)
        waiting = asyncio.create_task(errands.result(job))
        await asyncio.sleep(0)
        await stored(errands).remove([job])
        with pytest.raises(LookupError, match=job.id):
            await soon(waiting)


@pytest.mark.parametrize("result", [object(), math.nan, {1j}])
async def test_a_result_that_cannot_be_kept_leaves_the_job_done(
    errands: Errands, result: Any
) -> None:
    """What it did it has done: it is not tried again; who asks is told why."""
    runs: list[int] = []

    @errands.task(retry=Retry(attempts=3, wait=0))
    async def work():  # type: ignore[no-untyped-def]  # no annotation helps here
        runs.append(1)
        return result

    async with errands.working():
        job = await errands.add_task(work)
        with pytest.raises(NotSerializable, match=r"result of .*work cannot be kept"):
            await errands.result(job, timeout=5)
        ended = await errands.job(job.id)
        assert ended is not None
        assert (State.DONE, 1, None) == (ended.state, ended.attempt, ended.result)
        assert "cannot be kept" in (ended.error or "")

    assert [1] == runs


async def test_a_done_job_after_a_failure_has_its_result(errands: Errands) -> None:
    """Also where that is None: an old error is no reason to raise."""
    runs: list[int] = []

    @errands.task(retry=Retry(attempts=2, wait=0))
    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("once")

    async with errands.working():
        job = await errands.add_task(work)
        assert None is await errands.result(job, timeout=5)

    assert [1, 1] == runs


async def test_the_result_of_a_task_that_is_not_declared_here_is_plain_json(
    errands: Errands,
) -> None:
    """Another process ran it."""
    async with errands:
        job = await put(errands, "elsewhere")
        claimed = job.claimed("w", errands.now(), timedelta(seconds=9))
        await stored(errands).save([claimed])
        await stored(errands).save([claimed.done('{"a":[1]}', errands.now())])
        assert {"a": [1]} == await errands.result(job.id)


# Arguments that are refused


async def test_arguments_that_cannot_be_kept_are_refused_and_nothing_is_stored(
    errands: Errands,
) -> None:
    """At add_task, with the name of the parameter, and not when the job runs."""
    loose: Any = errands

    @errands.task
    def typed(n: int, when: datetime | None = None) -> None: ...

    @errands.task
    def untyped(first, value=None): ...  # type: ignore[no-untyped-def]  # the case

    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    refused: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
        (typed, ("1",), {}, "n='1'"),
        (typed, (1,), {"when": "soon"}, "when='soon'"),
        (typed, (1.5,), {}, "n=1.5"),
        (typed, (), {}, "'n'"),
        (typed, (1, None, 3), {}, "too many"),
        (typed, (1,), {"colour": 2}, "'colour'"),
        (untyped, (1, MOMENT), {}, "value="),
        (untyped, ((1, 2),), {}, "first="),
        (untyped, ({1, 2},), {}, "first="),
        (untyped, (1,), {"value": Decimal(1)}, "value="),
        (untyped, (1, object()), {}, "value="),
        (untyped, (1, math.nan), {}, "value="),
        (untyped, (1, {1: "a"}), {}, "value="),
        (untyped, (1, [math.inf]), {}, "value="),
        (untyped, (1, 10**5000), {}, "value="),
        (untyped, (1, deep), {}, "value="),
    ]
    async with errands.working():
        for function, args, kwargs, words in refused:
            with pytest.raises(TypeError) as refusal:
                await loose.add_task(function, *args, **kwargs)
            assert words in str(refusal.value)
            assert function.__name__ in str(refusal.value)
        assert {} == await states(errands)


async def test_a_payload_that_is_too_big_is_refused(url: str) -> None:
    """Nothing is stored; 0 means that there is no limit."""
    errands, boundless = Errands(url, max_payload=100), Errands("memory:", max_payload=0)

    def work(text: str) -> None: ...

    errands.task(work)
    boundless.task(work)
    async with errands, boundless:
        await errands.add_task(work, "x" * 80)
        with pytest.raises(PayloadTooLarge, match=r"work take .* 100\. Pass an id") as refusal:
            await errands.add_task(work, "x" * 1000)
        assert (1000 + len('{"text":""}'), 100) == (refusal.value.size, refusal.value.limit)
        assert {State.QUEUED: 1} == await states(errands)
        await boundless.add_task(work, "x" * 2**21)


async def test_a_function_that_was_not_declared_is_refused(errands: Errands) -> None:
    """The message says what to write."""

    def stranger() -> None: ...

    async with errands:
        with pytest.raises(UnknownTask, match=r"stranger is not a task\. Write @errands\.task"):
            await errands.add_task(stranger)
        with pytest.raises(UnknownTask, match="BackgroundTasks"):
            await errands.add_task(print, "hello")
        assert {} == await states(errands)


async def test_a_task_of_another_errands_is_refused(errands: Errands) -> None:
    """Each object knows its own tasks."""
    other = Errands("memory:")

    @other.task
    def work() -> None: ...

    async with errands:
        with pytest.raises(UnknownTask):
            await errands.add_task(work)


async def test_a_function_that_was_called_already_is_refused(errands: Errands) -> None:
    """`add_task(work())`: said in words, and without a warning that nobody awaited it."""
    loose: Any = errands

    @errands.task
    async def work() -> None: ...

    async with errands:
        with pytest.raises(TypeError, match=r"add_task\(work\(…\)\).*write add_task\(work, …\)"):
            await loose.add_task(work())
        with pytest.raises(TypeError, match="expected a function"):
            await loose.add_task("work")
        with pytest.raises(TypeError, match="expected a function"):
            await loose.add_task(None)


async def test_a_coroutine_in_a_batch_is_refused(errands: Errands) -> None:
    """In the same words."""

    @errands.task
    async def work() -> None: ...

    async with errands:
        with pytest.raises(TypeError, match=r"write add_task\(work, …\)"):
            await errands.add_tasks([(work(),)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"slots": 0},
        {"threads": 0},
        {"max_payload": -1},
        {"max_pending": 0},
        {"lease": 0},
        {"lease": math.nan},
        {"grace": -1},
        {"keep": -1},
        {"lease": math.inf},
    ],
)
def test_a_setting_out_of_its_range_is_refused(wrong: dict[str, Any]) -> None:
    """With its name and its value."""
    [(name, value)] = wrong.items()

    with pytest.raises(ValueError, match=rf"^Errands\({name}=") as refusal:
        Errands("memory:", **wrong)
    assert repr(value) in str(refusal.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"slots": 1.5}, r"slots=1\.5\): expected a whole number"),
        ({"slots": "5"}, "slots='5'"),
        ({"lease": "15"}, "'15' is no length of time"),
        ({"max_queued": ["mail"]}, "a bound for each queue's name"),
        ({"middleware": [3]}, "async def layer"),
        ({"store": 3}, "a store or the URL of one"),
        ({"store": Path("a.db")}, "'sqlite:///a.db'"),
    ],
)
def test_a_setting_of_another_kind_is_refused(wrong: dict[str, Any], words: str) -> None:
    """And not only when it is used."""
    with pytest.raises(TypeError, match=words):
        Errands(**wrong)


@pytest.mark.parametrize("queues", ["mail", [], (), [""], [3]])
def test_queues_are_names_and_not_one_name(queues: Any) -> None:
    """A string would be one queue for each of its letters."""
    with pytest.raises(ValueError, match=r"Errands\(queues="):
        Errands("memory:", queues=queues)


@pytest.mark.parametrize("url", ["redis://localhost", "errands.db", "/srv/errands.db", "x"])
def test_a_url_of_no_store_is_refused(url: str) -> None:
    """The message says which ones there are."""
    with pytest.raises(ValueError, match=r"memory:, sqlite:") as refusal:
        Errands(url)
    assert repr(url) in str(refusal.value)


def test_a_store_in_memory_has_no_name() -> None:
    """What stands behind `memory:` would be ignored."""
    with pytest.raises(ValueError, match="write 'memory:'"):
        Errands("memory:errands")


def test_the_store_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`$ERRANDS_URL`, if nothing is passed."""
    monkeypatch.setenv("ERRANDS_URL", "memory:")
    assert isinstance(Errands()._engine._store, MemoryStore)

    monkeypatch.setenv("ERRANDS_URL", "nonsense:")
    with pytest.raises(ValueError, match="nonsense:"):
        Errands()
    assert isinstance(Errands("memory:")._engine._store, MemoryStore)


def test_left_out_it_is_a_file_in_this_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`errands.db`, made when it is opened and not before."""
    monkeypatch.delenv("ERRANDS_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    errands = Errands()
    assert [] == list(tmp_path.iterdir())

    async def visit() -> None:
        async with errands:
            assert (tmp_path / "errands.db").exists()

    asyncio.run(visit())


# Living


async def test_nothing_can_be_done_before_the_store_is_open(errands: Errands) -> None:
    """The message says how to open it."""

    @errands.task
    def work() -> None: ...

    assert not errands.is_open
    for ask in (
        lambda: errands.add_task(work),
        lambda: errands.add_tasks([(work,)]),
        lambda: errands.job("x"),
        errands.jobs,
        errands.count,
        lambda: errands.result("x"),
    ):
        with pytest.raises(NotOpen, match=r"setup_errands\(app, errands\).*async with errands:"):
            await ask()


async def test_a_closed_store_is_not_open(errands: Errands) -> None:
    """After the block, too; and it may be opened again."""

    @errands.task
    def work() -> None: ...

    async with errands:
        assert errands.is_open
        job = await errands.add_task(work)
    with pytest.raises(NotOpen):
        await errands.job(job.id)
    async with errands:
        assert job == await errands.job(job.id)


async def test_who_opens_twice_closes_twice(errands: Errands) -> None:
    """An inner block does not close what an outer one needs."""
    async with errands:
        async with errands:
            pass
        assert errands.is_open
        assert {} == dict(await errands.count())
    assert not errands.is_open


async def test_it_may_work_again_after_it_stopped(errands: Errands) -> None:
    """As a test client that is entered twice does."""

    @errands.task
    async def work() -> int:
        return 1

    for _ in range(3):
        async with errands.working():
            assert 1 == await errands.result(await errands.add_task(work), timeout=5)


async def test_it_works_once_at_a_time(errands: Errands) -> None:
    """A second worker in one object is a slip."""
    async with errands.working():
        with pytest.raises(SetupError, match="at work already"):
            async with errands.working():
                pass
        assert errands.is_open


async def test_it_belongs_to_one_event_loop(errands: Errands) -> None:
    """The message says what to do."""

    async def visit() -> None:
        async with errands:
            pass

    async with errands:
        with pytest.raises(SetupError, match="another event loop; give each loop its own"):
            await asyncio.to_thread(asyncio.run, visit())
    await asyncio.to_thread(asyncio.run, visit())


async def test_a_plain_function_adds_jobs_in_a_loop_of_its_own(errands: Errands) -> None:
    """They are added, and run, by the application around its thread."""

    @errands.task
    async def double(number: int) -> int:
        return 2 * number

    @errands.task
    def many(numbers: list[int]) -> list[str]:
        return [asyncio.run(errands.add_task(double, number)).id for number in numbers]

    async with errands.working():
        ids = await errands.result(await errands.add_task(many, [1, 2, 3]), timeout=10)
        assert [2, 4, 6] == [await errands.result(each, timeout=10) for each in ids]


async def test_a_plain_function_may_not_ask_for_more(errands: Errands) -> None:
    """What waits for the store would wait for ever there; so it is said."""

    @errands.task
    def ask(job_id: str) -> None:
        asyncio.run(errands.result(job_id))

    async with errands.working():
        job = await errands.add_task(ask, "x")
        with pytest.raises(JobFailed, match=r"SetupError: .* in another event loop"):
            await errands.result(job, timeout=10)


async def test_there_are_no_background_tasks_outside_a_request() -> None:
    """The message says where they are, and what works elsewhere."""
    with pytest.raises(
        NoRequest, match=r"outside a request: call setup_errands.*errands\.add_task"
    ):
        BackgroundTasks.of()
    assert issubclass(NoRequest, LookupError)


async def test_what_was_added_before_is_run_by_who_works_later(errands: Errands) -> None:
    """The store is the meeting point."""

    @errands.task
    async def work(n: int) -> int:
        return n

    async with errands:
        jobs = await errands.add_tasks((work, n) for n in range(20))
        async with errands.working():
            assert list(range(20)) == [await errands.result(job, 5) for job in jobs]


async def test_a_job_that_is_cancelled_while_it_is_added_is_kept_or_not(errands: Errands) -> None:
    """A caller who gives up leaves no half of a job, and no slot that is lost."""

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        for _ in range(60):  # more than there are slots
            adding = asyncio.create_task(errands.add_task(work))
            await asyncio.sleep(0)
            adding.cancel()
            await asyncio.gather(adding, return_exceptions=True)
        assert 1 == await errands.result(await errands.add_task(work), timeout=5)
        await drain(errands)
        assert {State.DONE} == set(await states(errands))


# What is in the store and cannot be run


async def test_a_payload_that_cannot_be_read_fails_its_job_and_no_other(errands: Errands) -> None:
    """The parameter is named, and nothing is tried again or blocked."""
    runs: list[int] = []

    @errands.task(name="work", retry=Retry(attempts=5, wait=0))
    async def work(n: int) -> int:
        runs.append(n)
        return n

    async with errands:
        spoilt = [
            await put(errands, "work", payload)
            for payload in ('{"n":"x"}', "{}", '{"n":1,"m":2}', "no json", "[1]")
        ]
        good = await errands.add_task(work, 1)
        async with errands.working():
            assert 1 == await errands.result(good, timeout=5)
            await drain(errands)
        for job, name in zip(spoilt, ["$.n", "`n`", "`m`", "", ""], strict=True):
            with pytest.raises(JobFailed, match="arguments cannot be read") as failure:
                await errands.result(job, timeout=5)
            assert name in str(failure.value)
            assert 1 == failure.value.job.attempt

    assert [1] == runs


async def test_a_task_that_is_not_known_here_stays_queued(
    errands: Errands, caplog: pytest.LogCaptureFixture
) -> None:
    """For a process that knows it: a rolling deploy loses nothing."""
    caplog.set_level(logging.WARNING)

    @errands.task
    async def work() -> int:
        return 1

    async with errands:
        strangers = [await put(errands, "new", f'{{"n":{n}}}') for n in range(60)]
        async with errands.working():
            assert 1 == await errands.result(await errands.add_task(work), timeout=5)
        assert strangers[0] == await errands.job(strangers[0].id)
        assert {State.QUEUED: 60, State.DONE: 1} == await states(errands)


@pytest.mark.slow  # it is seen at the next look, after a second
async def test_a_task_that_is_declared_while_at_work_is_run(errands: Errands) -> None:
    """Its jobs were waiting for it."""
    async with errands.working():
        job = await put(errands, "late")
        await drain_known(errands)

        @errands.task(name="late")
        async def late() -> int:
            return 3

        assert 3 == await errands.result(job, timeout=5)


async def drain_known(errands: Errands) -> None:
    """Wait until the worker has looked at what there is."""
    await eventually(True, lambda: errands._engine._worker and errands._engine._worker._is_idle)


async def test_a_codec_is_built_once(errands: Errands, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs more than a job does."""
    built: list[str] = []
    original = Codec.__init__

    def counted(self: Codec, function: Any, name: str) -> None:
        built.append(name)
        original(self, function, name)

    monkeypatch.setattr(Codec, "__init__", counted)

    @errands.task(name="work")
    async def work() -> None: ...

    async with errands.working():
        await errands.add_tasks([(work,)] * 5)
        await drain(errands)
    assert ["work"] == built

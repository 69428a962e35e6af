"""What a run does: progress, middleware, time limits and tracebacks."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, Literal

import pytest
from patience import eventually, soon

from errands import Errands, Job, Next, Progress, Retry, State, current_job, progress, track
from errands.errors import JobFailed, NotSerializable, RunStopped
from errands.testing import JumpingClock, drain

LONG = 10  # seconds, an upper bound that is never reached


class Panic(BaseException):
    """As libraries in Rust and some event loops raise it."""


async def told(errands: Errands, job: Job) -> Progress | None:
    """The progress that is stored."""
    there = await errands.job(job.id)
    assert there is not None
    return there.progress


async def failure(errands: Errands, job: Job) -> Job:
    """The job, once it has failed."""
    with pytest.raises(JobFailed) as error:
        await errands.result(job, timeout=LONG)
    return error.value.job


# Progress


async def test_progress_of_a_coroutine_is_seen_while_it_runs(errands: Errands) -> None:
    """By everyone who looks into the store."""
    gate = asyncio.Event()

    @errands.task
    async def work() -> None:
        progress(1, 4, "halfway to the half")
        await gate.wait()

    async with errands.working():
        job = await errands.add_task(work)
        await eventually(Progress(1, 4, "halfway to the half"), lambda: told(errands, job))
        assert State.RUNNING is (await errands.jobs())[0].state
        gate.set()
        await errands.result(job, timeout=LONG)


async def test_progress_of_a_thread_is_seen_while_it_runs(errands: Errands) -> None:
    """`track` says how far it is by itself."""
    steps = [threading.Event() for _ in range(3)]

    @errands.task
    def work() -> int:
        for step in track(steps, "waiting"):
            assert step.wait(LONG)
        return 3

    async with errands.working():
        job = await errands.add_task(work)
        for done, step in enumerate(steps):
            await eventually(
                Progress(done, 3, "waiting"), lambda: told(errands, job)
            )  # awaited here
            step.set()
        assert 3 == await errands.result(job, timeout=LONG)
        assert Progress(3, 3, "waiting") == await told(errands, job)


async def test_an_outcome_has_the_last_progress(errands: Errands) -> None:
    """However fast it came, also that of a job which failed."""

    @errands.task
    async def work() -> None:
        for n in range(1000):
            progress(n, 1000)
        raise ValueError

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
    assert Progress(999, 1000) == job.progress


async def test_whatever_a_task_calls_progress_can_be_kept(errands: Errands) -> None:
    """Numbers of other libraries, names of files that are no UTF-8."""
    number: Any = Decimal("1.5")

    @errands.task
    async def work() -> None:
        progress(number, 2, "cat\udcff.png\0")

    async with errands.working():
        job = await errands.add_task(work)
        await errands.result(job, timeout=LONG)
        assert Progress(1.5, 2, r"cat\udcff.png\x00") == await told(errands, job)


@pytest.mark.parametrize(
    ("done", "total", "error"),
    [
        ("x", None, r"TypeError: progress\(done='x'\): expected a number"),
        (1, math.nan, r"ValueError: progress\(total=nan\): expected a finite number"),
    ],
)
async def test_what_is_no_progress_fails_its_job_alone(
    errands: Errands, done: Any, total: Any, error: str
) -> None:
    """It says so where it was told, and not where it is stored."""

    @errands.task
    async def work() -> None:
        progress(done, total)

    async with errands.working():
        job = await errands.add_task(work)
        with pytest.raises(JobFailed, match=error):
            await errands.result(job, timeout=LONG)


def test_outside_a_job_progress_does_nothing() -> None:
    """So that a task stays a plain function."""
    progress(1, 2, "three")

    assert [1, 2] == list(track([1, 2]))
    assert [1, 2] == list(track(iter([1, 2]), "counting", total=2))


async def test_outside_a_job_an_asynchronous_track_just_goes_on() -> None:
    """What it yields is what it was given."""

    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    assert [1, 2] == [n async for n in track(numbers())]


async def test_track_counts_what_is_behind(errands: Errands) -> None:
    """An item is done when the next one is asked for."""
    seen: list[Progress | None] = []

    @errands.task
    async def work() -> None:
        def generator() -> Iterator[str]:
            yield from "ab"

        async def stream() -> AsyncIterator[str]:
            yield "a"

        seen.extend(current_job().progress for _ in track(generator(), "g"))
        seen.extend([current_job().progress async for _ in track(stream(), total=5)])
        seen.append(current_job().progress)

    async with errands.working():
        await errands.result(await errands.add_task(work), timeout=LONG)
    assert [
        Progress(0, None, "g"), Progress(1, None, "g"), Progress(0, 5), Progress(1, 5),
    ] == seen  # fmt: skip  # a row


# The job itself


async def test_a_task_knows_its_job(errands: Errands) -> None:
    """In a coroutine, in a thread, and in a coroutine that it started."""

    @errands.task
    async def coroutine() -> str:
        return await asyncio.create_task(inner())

    async def inner() -> str:
        return current_job().id

    @errands.task
    def plain() -> list[Any]:
        job = current_job()
        return [job.id, job.attempt, job.state]

    async with errands.working():
        one, two = await errands.add_task(coroutine), await errands.add_task(plain)
        assert one.id == await errands.result(one, timeout=LONG)
        assert [two.id, 1, "running"] == await errands.result(two, timeout=LONG)


def test_outside_a_job_there_is_none() -> None:
    """The message says where it belongs."""
    with pytest.raises(LookupError, match=r"current_job\(\) belongs inside a task"):
        current_job()


async def test_two_jobs_side_by_side_do_not_see_each_other(errands: Errands) -> None:
    """Each has its own."""
    both = asyncio.Barrier(2)

    @errands.task
    async def work() -> str:
        await both.wait()
        return current_job().id

    async with errands.working():
        jobs = await errands.add_tasks([(work,), (work,)])
        assert [job.id for job in jobs] == [await errands.result(job, LONG) for job in jobs]


# Middleware


async def test_middleware_wraps_outermost_first(url: str) -> None:
    """Each sees the job, and what came back."""
    said: list[str] = []

    def layer(name: str) -> Any:
        async def wrap(job: Job, call_next: Next) -> Any:
            said.append(f"{name} before {job.attempt}")
            value = await call_next(job)
            said.append(f"{name} after {value}")
            return value + 1

        return wrap

    errands = Errands(url, middleware=[layer("outer"), layer("inner")])

    @errands.task
    def work() -> int:
        said.append("work")
        return 1

    async with errands.working():
        assert 3 == await errands.result(await errands.add_task(work), timeout=LONG)
    assert [
        "outer before 1", "inner before 1", "work", "inner after 1", "outer after 2",
    ] == said  # fmt: skip  # a row


async def test_middleware_sees_an_error_and_may_swallow_it(url: str) -> None:
    """As in any onion; the job is then done."""

    async def forgive(job: Job, call_next: Next) -> Any:
        try:
            return await call_next(job)
        except ValueError as error:
            return f"forgiven: {error}"

    errands = Errands(url, middleware=[forgive])

    @errands.task
    async def work() -> str:
        raise ValueError("sin")

    async with errands.working():
        job = await errands.add_task(work)
        assert "forgiven: sin" == await errands.result(job, timeout=LONG)


async def test_middleware_that_fails_fails_the_job(url: str) -> None:
    """Before or after, and by the policy of its task; the next job is not touched."""
    broken = [True]

    async def layer(job: Job, call_next: Next) -> Any:
        value = await call_next(job)
        if broken.pop():
            raise RuntimeError("middleware is broken")
        return value

    errands = Errands(url, middleware=[layer])

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
        assert "RuntimeError: middleware is broken" in (job.error or "")
        broken.append(False)
        assert 1 == await errands.result(await errands.add_task(work), timeout=LONG)


async def test_middleware_may_set_what_the_task_reads(url: str) -> None:
    """Context variables and `current_job` are there, in a thread as well."""

    async def layer(job: Job, call_next: Next) -> Any:
        assert job.id == current_job().id
        progress(1, 2, "from outside")
        return await call_next(job)

    errands = Errands(url, middleware=[layer])

    @errands.task
    def work() -> str | None:
        told = current_job().progress
        return told.text if told else None

    async with errands.working():
        assert "from outside" == await errands.result(await errands.add_task(work), timeout=LONG)


# Time limits


async def test_a_coroutine_that_runs_too_long_is_cancelled(errands: Errands) -> None:
    """It may clean up; the job fails, and the error names task and limit."""
    cleaned = asyncio.Event()

    @errands.task(timeout=0.05)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async with errands.working():
        job = await failure(errands, await errands.add_task(slow))
    assert cleaned.is_set()
    assert "slow ran for longer than its timeout of 0.05 s" in (job.error or "")


async def test_a_thread_that_runs_too_long_is_stopped_at_its_next_progress(
    errands: Errands,
) -> None:
    """The job fails at once; the thread cannot go on for long."""
    gate, stopped = threading.Event(), threading.Event()

    @errands.task(timeout=0.05)
    def slow() -> None:
        assert gate.wait(LONG)
        try:
            progress(1)
        except RunStopped:
            stopped.set()
            raise

    async with errands.working():
        job = await failure(errands, await errands.add_task(slow))
        assert "slow ran for longer than its timeout" in (job.error or "")
        gate.set()
        await eventually(True, stopped.is_set)
        assert None is await told(errands, job)


async def test_a_job_that_ran_too_long_is_tried_again(errands: Errands) -> None:
    """By the policy of its task."""
    runs: list[int] = []

    @errands.task(timeout=0.05, retry=Retry(attempts=2, wait=0, on=TimeoutError))
    async def slow() -> int:
        runs.append(1)
        if len(runs) == 1:
            await asyncio.Event().wait()
        return len(runs)

    async with errands.working():
        assert 2 == await errands.result(await errands.add_task(slow), timeout=LONG)


async def test_a_task_that_swallows_its_cancellation_still_ran_too_long(errands: Errands) -> None:
    """Its result came after its time."""

    @errands.task(timeout=0.05)
    async def stubborn() -> int:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return 1

    async with errands.working():
        job = await failure(errands, await errands.add_task(stubborn))
    assert "ran for longer" in (job.error or "")


async def test_a_timeout_of_the_tasks_own_is_its_own_error(errands: Errands) -> None:
    """And not confused with the limit."""

    @errands.task(timeout=60)
    async def work() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
    assert "TimeoutError" in (job.error or "")
    assert "ran for longer" not in (job.error or "")


@pytest.mark.errands_falls
async def test_a_coroutine_that_ignores_its_timeout_gives_its_slot_back(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is closed at its hard timeout, and named in the log."""
    errands, closed = Errands(url, slots=1), asyncio.Event()

    @errands.task(name="deaf", timeout=(0.05, 0.1), retry=Retry(attempts=1, on=TimeoutError))
    async def deaf() -> None:
        try:
            while True:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
        finally:
            closed.set()

    @errands.task
    async def good() -> int:
        return 1

    async with errands.working():
        job = await failure(errands, await errands.add_task(deaf))
        assert 1 == await errands.result(await errands.add_task(good), timeout=LONG)
    assert closed.is_set()
    assert "deaf ran for longer than its timeout of 0.05 s" in (job.error or "")
    assert "deaf ignores its cancellation and is left behind" in caplog.text


@pytest.mark.parametrize("way", ["asks", "tracks", "neither"])
async def test_a_thread_has_until_its_hard_timeout_to_end(errands: Errands, way: str) -> None:
    """It is told at the soft one: by `is_cancelled`, or by `track`; its slot is not for ever."""
    gate, said = threading.Event(), []

    @errands.task(timeout=(0.05, LONG if way != "neither" else 0.1))
    def work() -> None:
        if way == "asks":
            job = current_job()
            while not job.is_cancelled:
                gate.wait(0.001)
        elif way == "tracks":
            for _ in track(range(1_000_000)):
                gate.wait(0.001)
        else:
            gate.wait(LONG)
        said.append("ended")

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
        assert "work ran for longer than its timeout of 0.05 s" in (job.error or "")
        assert (["ended"] if way == "asks" else []) == said
        assert ([job.task] if way == "neither" else []) == errands.left_behind
        gate.set()
        await eventually([], lambda: errands.left_behind)


async def test_a_plain_function_may_run_in_the_event_loop(errands: Errands) -> None:
    """If that is asked for."""

    @errands.task(run="loop")
    def work() -> bool:
        return threading.current_thread() is threading.main_thread()

    async with errands.working():
        assert await errands.result(await errands.add_task(work), timeout=LONG)


# Errors


@pytest.mark.parametrize("run", ["thread", "loop"])
async def test_a_plain_function_that_returns_a_coroutine_fails(
    errands: Errands, run: Literal["thread", "loop"]
) -> None:
    """Such as one with a plain decorator around: it would be done without having run."""

    async def work() -> None: ...

    def decorated() -> object:
        return work()

    errands.task(run=run)(decorated)
    async with errands.working():
        job = await failure(errands, await errands.add_task(decorated))
    assert "returned a coroutine and is no `async def`" in (job.error or "")


async def test_a_traceback_shows_the_users_code_and_not_ours(errands: Errands) -> None:
    """For coroutines and threads; causes are told too."""

    def deep() -> None:
        try:
            raise KeyError("cat")
        except KeyError as error:
            raise ValueError("no such animal") from error

    @errands.task
    async def coroutine() -> None:
        deep()

    @errands.task
    def plain() -> None:
        deep()

    async with errands.working():
        for task in (coroutine, plain):
            error = (await failure(errands, await errands.add_task(task))).error or ""
            assert error.endswith("ValueError: no such animal")
            assert "KeyError: 'cat'" in error
            assert "in deep" in error
            assert "/_runner.py" not in error
            assert "/thread.py" not in error


async def test_a_long_traceback_keeps_its_end(errands: Errands) -> None:
    """There stands what happened, and of what type; a store is no place for a megabyte of text."""

    @errands.task
    async def work() -> None:
        raise ValueError("x" * 1_000_000 + " the end")

    async with errands.working():
        error = (await failure(errands, await errands.add_task(work))).error or ""
    assert "ValueError: xxx" in error
    assert error.endswith(" the end")
    assert 20_000 > len(error)


async def test_an_error_that_no_store_can_keep_is_spelt_out(errands: Errands) -> None:
    """Such as that of a file whose name is no UTF-8: it would end the worker."""

    @errands.task
    async def work() -> None:
        raise FileNotFoundError("cat\udcff.png\0")

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
    assert (job.error or "").endswith(r"cat\udcff.png\x00")


async def test_a_group_of_errors_is_told_whole(errands: Errands) -> None:
    """Each of them."""

    async def fail(word: str) -> None:
        raise ValueError(word)

    @errands.task
    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("one"))
            group.create_task(fail("two"))

    async with errands.working():
        error = (await failure(errands, await errands.add_task(work))).error or ""
    assert ("one" in error, "two" in error) == (True, True)


async def test_an_error_that_cannot_be_printed_fails_its_job_alone(errands: Errands) -> None:
    """Even one whose `str` raises."""

    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not to be said")

    @errands.task
    async def work() -> None:
        raise Unspeakable

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
    assert "Unspeakable" in (job.error or "")


@pytest.mark.parametrize("how", ["coroutine", "thread"])
@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        asyncio.CancelledError("by itself"),
        StopIteration(),
        RunStopped("x"),
        GeneratorExit(),
        Panic("as of a library in Rust"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_would_end_a_loop_fails_its_job_alone(
    errands: Errands, how: str, error: BaseException
) -> None:
    """`sys.exit()`, a cancellation out of nowhere, what is no `Exception`: the worker goes on."""

    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    async def good() -> int:
        return 1

    for function in (plain, coroutine, good):
        errands.task(function)
    async with errands.working():
        job = await failure(
            errands, await errands.add_task(plain if how == "thread" else coroutine)
        )
        assert (State.FAILED, 1) == (job.state, job.attempt)
        assert 1 == await errands.result(await errands.add_task(good), timeout=LONG)


async def test_a_thread_that_raises_keyboard_interrupt_fails_its_job_alone(
    errands: Errands,
) -> None:
    """No signal comes there, and so it was not Ctrl-C."""

    @errands.task
    def work() -> None:
        raise KeyboardInterrupt

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
    assert "KeyboardInterrupt" in (job.error or "")


async def test_sys_exit_says_where_it_was_called(errands: Errands) -> None:
    """The exit code is in the error."""

    @errands.task
    def work() -> None:
        sys.exit("no more cats")

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
    assert "SystemExit: no more cats" in (job.error or "")


async def test_a_task_that_cancels_itself_fails(errands: Errands) -> None:
    """It is not handed back, which would run it for ever."""
    runs: list[int] = []

    @errands.task
    async def work() -> None:
        runs.append(1)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
    assert "CancelledError" in (job.error or "")
    assert [1] == runs


async def test_a_task_whose_own_child_was_cancelled_fails(errands: Errands) -> None:
    """Nobody cancelled the task itself."""

    @errands.task(retry=Retry(attempts=2, wait=0, on=asyncio.CancelledError))
    async def work() -> int:
        if current_job().attempt > 1:
            return 2
        child = asyncio.create_task(asyncio.sleep(LONG))
        child.cancel()
        await child
        return 1

    async with errands.working():
        assert 2 == await errands.result(await errands.add_task(work), timeout=LONG)


async def test_not_serializable_raised_by_a_task_is_an_error_like_others(
    errands: Errands,
) -> None:
    """A task may add jobs, and fail to."""

    @errands.task
    def other(value: int) -> None: ...

    @errands.task(name="adds")
    async def work() -> None:
        loose: Any = errands
        await loose.add_task(other, object())

    async with errands.working():
        job = await failure(errands, await errands.add_task(work))
        assert issubclass(NotSerializable, TypeError)
        assert "NotSerializable" in (job.error or "")


async def test_a_task_may_add_jobs(errands: Errands) -> None:
    """Also from itself, one after another."""

    @errands.task
    async def countdown(n: int) -> int:
        if n:
            await errands.options(key=f"n{n}").add_task(countdown, n - 1)
        return n

    async with errands.working():
        await errands.add_task(countdown, 5)
        await drain(errands)
        assert 6 == len(await errands.jobs(states=[State.DONE]))


async def test_a_run_has_the_context_of_the_worker_and_not_of_who_added_it(
    errands: Errands,
) -> None:
    """It may run in another process as well, so a request's variables are not there."""
    from contextvars import ContextVar

    name: ContextVar[str] = ContextVar("name", default="nobody")

    @errands.task
    async def work() -> str:
        before = name.get()
        name.set("a job's")
        return before

    async with errands.working():
        name.set("ann")
        for _ in range(2):
            job = await soon(asyncio.create_task(errands.add_task(work)))
            assert "nobody" == await errands.result(job, timeout=LONG)


async def test_a_retry_forgets_the_progress_of_the_attempt_before(
    url: str, clock: JumpingClock
) -> None:
    """It starts anew."""
    errands = Errands(url, clock=clock)
    seen: list[Progress | None] = []

    @errands.task(retry=Retry(attempts=2, wait=1))
    async def work() -> None:
        seen.append(current_job().progress)
        progress(1, 2)
        if len(seen) == 1:
            raise ValueError

    async with errands.working():
        job = await errands.add_task(work)
        await drain(errands)
        assert None is await told(errands, job)
        clock.jump(2)
        await errands.result(job, timeout=LONG)
    assert [None, None] == seen

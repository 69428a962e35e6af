"""Services: kept up, one in the cluster or in each process, and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from patience import eventually, soon

from errands import (
    Budget,
    Errands,
    Job,
    Next,
    Outcome,
    ServiceState,
    ServiceStatus,
    State,
    alive,
    current_job,
    progress,
    ready,
    stopping,
)
from errands.errors import DuplicateTask, JobFailed, NotOpen, SetupError, UnknownTask
from errands.testing import JumpingClock, drain

KINDS = pytest.mark.parametrize("every_process", [False, True], ids=["one", "every"])


async def status(errands: Errands) -> ServiceStatus:
    """That of the only service."""
    [found] = await errands.services()
    return found


async def state(errands: Errands) -> ServiceState:
    return (await status(errands)).state


async def for_ever() -> None:
    await asyncio.Event().wait()


def stop_slowly(then: Callable[[], object]) -> Callable[[], Any]:
    """A service that is ready at once, and does something when it is cancelled."""

    async def serve() -> None:
        ready()
        try:
            await for_ever()
        finally:
            then()

    return serve


# ---------------------------------------------------------------- a life


@KINDS
async def test_a_service_starts_with_the_application(errands: Errands, every_process: bool) -> None:
    """It is running once it has said so, and stops in order at the end."""
    stopped: list[str] = []
    serve = errands.service(name="prices", every_process=every_process)(
        stop_slowly(lambda: stopped.append("cancelled"))
    )

    async with errands.working():
        await errands.started(serve, timeout=10)
        found = await status(errands)
        worker = errands.worker
        assert worker is not None
        assert ("prices", ServiceState.RUNNING, True) == (found.name, found.state, found.is_ready)
        assert (0, worker.worker, None) == (found.restarts, found.worker, found.error)
        assert every_process is found.every_process
        assert [] == stopped

    assert ["cancelled"] == stopped


@KINDS
async def test_a_service_is_starting_until_it_says_otherwise(
    errands: Errands, every_process: bool
) -> None:
    """Whoever waits for it is told so."""
    may_go = asyncio.Event()

    @errands.service(name="slow", every_process=every_process)
    async def slow() -> None:
        await may_go.wait()
        ready()
        await for_ever()

    async with errands.working():
        await eventually(ServiceState.STARTING, lambda: state(errands))
        with pytest.raises(
            TimeoutError, match=r"slow has not called ready\(\) within 0.01 s; it is"
        ):
            await errands.started("slow", timeout=0.01)
        may_go.set()
        await errands.started("slow", timeout=10)
        assert ServiceState.RUNNING is await state(errands)


@KINDS
async def test_a_service_that_never_says_so_is_running_after_a_while(
    url: str, clock: JumpingClock, every_process: bool
) -> None:
    """Having stayed up for ten seconds; it is not called ready, though."""
    errands = Errands(url, clock=clock)
    errands.service(name="mute", every_process=every_process)(for_ever)

    async with errands.working():
        await eventually(ServiceState.STARTING, lambda: state(errands))
        clock.jump(10)
        found = await status(errands)

    assert (ServiceState.RUNNING, False) == (found.state, found.is_ready)


@KINDS
@pytest.mark.errands_falls
async def test_a_service_that_fails_is_started_again(
    url: str, clock: JumpingClock, every_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """After a wait, in which it is shown as backing off, with its traceback."""
    errands = Errands(url, clock=clock)
    starts: list[int] = []

    @errands.service(name="weak", every_process=every_process)
    async def weak() -> None:
        starts.append(current_job().attempt)
        if len(starts) == 1:
            raise ConnectionError("no exchange")
        ready()
        await for_ever()

    async with errands.working():
        await eventually(ServiceState.BACKING_OFF, lambda: state(errands))
        found = await status(errands)
        assert "ConnectionError: no exchange" in (found.error or "")
        assert "_stint.py" not in (found.error or "")
        assert None is found.worker
        clock.jump(0.3)
        await errands.started(weak, timeout=10)
        found = await status(errands)

    assert (1, [1, 2]) == (found.restarts, starts)
    assert "service weak failed; starting it again in 0." in caplog.text
    assert "ConnectionError: no exchange" in caplog.text


@KINDS
@pytest.mark.errands_falls
async def test_a_service_that_exceeds_its_budget_is_given_up(
    url: str, clock: JumpingClock, every_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Others are unharmed, and jobs as well; whoever waits for it is told."""
    errands = Errands(url, clock=clock, lease=1e6)
    starts: list[int] = []

    @errands.service(name="bad", every_process=every_process, budget=Budget(restarts=2))
    async def bad() -> None:
        starts.append(1)
        raise ValueError("always")

    @errands.service(name="good")
    async def good() -> None:
        ready()
        await for_ever()

    @errands.task
    async def work() -> int:
        return 42

    async with errands.working():
        await errands.started(good, timeout=10)
        for count in (1, 2):
            await eventually(count, lambda: len(starts))
            await eventually(ServiceState.BACKING_OFF, lambda: first_state(errands))
            clock.jump(1)
        await eventually(ServiceState.FAILED, lambda: first_state(errands))
        clock.jump(3600)
        with pytest.raises(JobFailed, match="ValueError: always"):
            await errands.started(bad)
        bad_one, good_one = await errands.services()
        assert 42 == await errands.result(await errands.add_task(work), timeout=10)
        assert errands.is_up

    assert (ServiceState.FAILED, 2) == (bad_one.state, bad_one.restarts)
    assert (ServiceState.RUNNING, 0) == (good_one.state, good_one.restarts)
    assert 3 == len(starts)
    assert "service bad failed and is given up after 3 starts" in caplog.text


async def first_state(errands: Errands) -> ServiceState:
    return (await errands.services())[0].state


@KINDS
@pytest.mark.errands_falls
async def test_a_failed_service_can_be_started_again(errands: Errands, every_process: bool) -> None:
    """By hand; its failures until then do not count any more."""
    starts: list[int] = []

    @errands.service(name="x", every_process=every_process, budget=Budget(restarts=0))
    async def x() -> None:
        starts.append(1)
        if len(starts) < 3:
            raise ValueError
        ready()
        await for_ever()

    async with errands.working():
        for count in (1, 2):
            await eventually((count, ServiceState.FAILED), lambda: counted(errands, starts))
            await errands.restart(x)
        await errands.started(x, timeout=10)
        await errands.restart("x")  # it runs, and goes on

    assert 3 == len(starts)


async def test_a_service_that_others_declare_can_be_started_again(tmp_path: Path) -> None:
    """By its name, in any process that has the store open."""
    url = f"sqlite:///{tmp_path}/errands.db"
    errands, elsewhere = Errands(url, grace=1), Errands(url)

    @errands.service(name="once", restart="on-failure")
    async def once() -> None: ...

    async with errands.working(), elsewhere:
        await errands.started("once", timeout=10)
        await elsewhere.restart("once")

        async def starts() -> int:
            jobs = await errands.jobs(key="service:once")
            return sum(len(job.history) for job in jobs)

        await eventually(2, starts)
        with pytest.raises(UnknownTask, match="nobody is not a service"):
            await elsewhere.restart("nobody")


async def counted(errands: Errands, starts: list[int]) -> tuple[int, ServiceState]:
    return len(starts), await first_state(errands)


# ---------------------------------------------------------------- an end of its own


@KINDS
@pytest.mark.parametrize("restart", ["on-failure", "never"])
async def test_a_service_that_returns_is_done(
    errands: Errands, every_process: bool, restart: Any
) -> None:
    """Unless it is always to be started again."""
    starts: list[int] = []

    @errands.service(name="once", restart=restart, every_process=every_process)
    async def once() -> None:
        starts.append(1)

    async with errands.working():
        await errands.started(once, timeout=10)
        found = await status(errands)

    assert (ServiceState.STOPPED, 0, None) == (found.state, found.restarts, found.worker)
    assert [1] == starts


@KINDS
async def test_a_service_that_returns_is_started_again(
    url: str, clock: JumpingClock, every_process: bool
) -> None:
    """That is the default."""
    errands = Errands(url, clock=clock, lease=1e6)
    starts: list[int] = []

    @errands.service(name="again", every_process=every_process)
    async def again() -> None:
        starts.append(1)
        if len(starts) == 3:
            ready()
            await for_ever()

    async with errands.working():
        for count in (1, 2):
            await eventually((count, ServiceState.BACKING_OFF), lambda: counted(errands, starts))
            clock.jump(1)
        await errands.started(again, timeout=10)
        found = await status(errands)

    assert (2, "It returned.") == (found.restarts, found.error)


class Panic(BaseException):
    """As libraries in Rust raise it."""


@KINDS
@pytest.mark.parametrize("error", [SystemExit, Panic])
@pytest.mark.errands_falls
async def test_a_service_that_is_never_restarted_fails_at_once(
    errands: Errands, every_process: bool, error: type[BaseException]
) -> None:
    """At its first failure."""

    @errands.service(name="once", restart="never", every_process=every_process)
    async def once() -> None:
        raise error(3)

    async with errands.working():
        with pytest.raises(JobFailed, match=f"{error.__name__}: 3"):
            await errands.started(once, timeout=10)

        assert errands.is_up


async def test_what_ended_stays_so_in_the_next_process(tmp_path: Path) -> None:
    """As long as its declaration is the same."""
    address = f"sqlite:///{tmp_path}/e.db"
    starts: list[int] = []

    async def once() -> None:
        starts.append(1)

    for _ in range(2):
        errands = Errands(address)
        errands.service(name="once", restart="on-failure")(once)
        async with errands.working():
            await errands.started("once", timeout=10)

    assert [1] == starts


@pytest.mark.errands_falls
async def test_a_new_version_of_a_failed_service_is_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And an old process, which is still there, does not start its own again."""
    starts: list[str] = []

    async def old() -> None:
        starts.append("old")
        raise ValueError

    async def new() -> None:
        starts.append("new")
        raise KeyError

    def site(function: Any) -> Errands:
        errands = Errands(f"sqlite:///{tmp_path}/e.db")
        errands.service(name="x", restart="never")(function)
        return errands

    async def run(function: Any, then: str) -> None:
        caplog.clear()
        async with site(function).working():
            await eventually(True, lambda: then in caplog.text)

    await run(old, "is given up")
    await run(new, "is given up")
    await run(old, "service x ended as failed")
    await run(new, "service x ended as failed")

    assert ["old", "new"] == starts


# ---------------------------------------------------------------- stopping


@KINDS
@pytest.mark.errands_falls
async def test_a_service_that_swallows_its_cancellation_is_abandoned(
    url: str, every_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace, with a line in the log; it does not run on, and keeps no loop open."""
    errands = Errands(url, grace=0.05)
    turns: list[int] = []

    @errands.service(name="stubborn", every_process=every_process)
    async def stubborn() -> None:
        ready()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                turns.append(1)

    async with errands.working():
        await errands.started(stubborn, timeout=10)
        begin = time.monotonic()
    seconds = time.monotonic() - begin

    assert 0.05 <= seconds < 2
    assert [1] == turns
    assert "service stubborn did not stop within 0.05 s and is abandoned" in caplog.text
    assert not [task for task in asyncio.all_tasks() if "stubborn" in task.get_name()]


@KINDS
async def test_a_service_may_clean_up_within_its_grace(
    url: str, every_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The store is open meanwhile."""
    errands = Errands(url, grace=10)
    left: list[int] = []

    @errands.task(name="goodbye")
    async def goodbye() -> None:
        """Nothing."""

    @errands.service(name="x", every_process=every_process)
    async def x() -> None:
        ready()
        try:
            await for_ever()
        except asyncio.CancelledError:
            await errands.add_task(goodbye)
            left.append(len(await errands.jobs(task="goodbye")))

    async with errands.working():
        await errands.started(x, timeout=10)

    assert [1] == left
    assert "did not" not in caplog.text


@KINDS
async def test_a_plain_function_has_a_thread_and_is_told_to_stop(
    errands: Errands, every_process: bool
) -> None:
    """It asks, and returns."""
    threads: list[str] = []

    @errands.service(name="poll", every_process=every_process)
    def poll() -> None:
        threads.append(threading.current_thread().name)
        ready()
        while not stopping():
            alive()
            time.sleep(0.001)
        threads.append("returned")

    async with errands.working():
        await errands.started(poll, timeout=10)

    assert ["errands task", "returned"] == threads


@KINDS
@pytest.mark.errands_falls
async def test_a_thread_that_does_not_ask_is_abandoned(
    url: str, every_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends at its next sign of life."""
    errands = Errands(url, grace=0.05)
    go_on, ended = threading.Event(), threading.Event()

    @errands.service(name="deaf", every_process=every_process)
    def deaf() -> None:
        ready()
        try:
            go_on.wait()
            alive()
        finally:
            ended.set()

    async with errands.working():
        await errands.started(deaf, timeout=10)
    assert not ended.is_set()
    go_on.set()

    assert await asyncio.to_thread(ended.wait, 10)
    assert "service deaf did not stop within 0.05 s and is abandoned" in caplog.text


async def test_a_stopped_service_is_released(tmp_path: Path) -> None:
    """It costs no attempt, and another process takes it at once."""
    address = f"sqlite:///{tmp_path}/e.db"

    def site() -> Errands:
        errands = Errands(address)
        errands.service(name="x")(stop_slowly(lambda: None))
        return errands

    one, other = site(), site()
    async with other.working():
        async with one.working():
            await one.started("x", timeout=10)
            await other.started("x", timeout=10)
            holders = [await status(one), await status(other)]
            assert 1 == len({each.worker for each in holders})
        await other.started("x", timeout=10)
        found = await status(other)
        worker = other.worker
        assert worker is not None

    assert (worker.worker, 0) == (found.worker, found.restarts)


# ---------------------------------------------------------------- the watchdog


@KINDS
@pytest.mark.errands_falls
async def test_a_service_that_hangs_is_started_again(
    url: str, clock: JumpingClock, every_process: bool
) -> None:
    """Once it has been silent for as long as its watchdog allows, and not before."""
    errands = Errands(url, clock=clock, lease=3600)
    starts: list[int] = []
    tick = asyncio.Event()

    @errands.service(name="hangs", watchdog=30, every_process=every_process)
    async def hangs() -> None:
        starts.append(1)
        ready()
        await tick.wait()
        alive()
        tick.clear()
        await for_ever()

    async with errands.working():
        await errands.started(hangs, timeout=10)
        clock.jump(29)
        tick.set()
        await eventually(False, tick.is_set)
        clock.jump(29)
        assert ServiceState.RUNNING is await state(errands)
        clock.jump(1.1)
        await eventually(ServiceState.BACKING_OFF, lambda: state(errands))
        found = await status(errands)
        clock.jump(1)
        await eventually(2, lambda: len(starts))

    assert "TimeoutError: hangs did not call alive() for 30 s" in (found.error or "")


# ---------------------------------------------------------------- beside jobs


async def test_services_take_no_slots(url: str) -> None:
    """They run for ever, and jobs need theirs."""
    errands = Errands(url, slots=1)
    for number in range(3):
        errands.service(name=f"s{number}")(stop_slowly(lambda: None))

    @errands.task
    async def work() -> int:
        return 1

    async with errands.working():
        for number in range(3):
            await errands.started(f"s{number}", timeout=10)
        jobs = [await errands.add_task(work) for _ in range(5)]
        assert 5 == sum([await errands.result(job, timeout=10) for job in jobs])
        await drain(errands, timeout=10)  # which does not wait for services


@KINDS
async def test_middleware_wraps_services(url: str, every_process: bool) -> None:
    """They are jobs, with a key."""
    seen: list[tuple[str, str | None]] = []

    async def layer(job: Job, call_next: Next) -> Any:
        seen.append((job.task, job.key))
        return await call_next(job)

    errands = Errands(url, middleware=[layer])
    serve = errands.service(name="x", every_process=every_process)(stop_slowly(lambda: None))

    async with errands.working():
        await errands.started(serve, timeout=10)

    assert [("x", "service:x")] == seen


async def test_a_service_of_the_cluster_is_a_job_with_a_key(errands: Errands) -> None:
    """Visible as any other, in a queue of its own."""
    errands.service(name="x")(stop_slowly(lambda: None))

    async with errands.working():
        await errands.started("x", timeout=10)
        [job] = await errands.jobs()

    assert ("x", "services", "service:x", State.RUNNING) == (
        job.task,
        job.queue,
        job.key,
        job.state,
    )


async def test_a_lost_worker_does_not_count(url: str, clock: JumpingClock) -> None:
    """However often: it says nothing about the service."""
    errands = Errands(url, clock=clock)
    errands.service(name="x", budget=Budget(restarts=0))(stop_slowly(lambda: None))
    store = errands._engine._store
    async with errands:
        service = errands._engine.services["x"]
        job = service.job(clock.now())
        await store.add([job])
        for number in range(30):
            job = job.claimed(f"w{number}", clock.now(), clock.now() - clock.now())
            assert {job.id} == await store.save([job])
        clock.jump(1)
        async with errands.working():
            await errands.started("x", timeout=10)
            found = await errands.job(job.id)

    assert found is not None
    assert (31, 20) == (found.attempt, len(found.history))
    assert {Outcome.LOST} == {attempt.outcome for attempt in found.history}


async def test_a_service_that_was_taken_over_is_stopped(url: str) -> None:
    """Whoever has its lease runs it; within a third of a lease it has ended here."""
    errands = Errands(url, lease=0.3)
    ended = asyncio.Event()
    errands.service(name="x")(stop_slowly(ended.set))

    async with errands.working():
        await errands.started("x", timeout=10)
        [job] = await errands.jobs()
        theirs = job.claimed("other", errands.now(), timedelta(hours=1))
        assert {job.id} == await errands._engine.store.save([theirs])
        await soon(ended.wait(), "its end")
        found = await status(errands)

    assert ("other", ServiceState.STARTING) == (found.worker, found.state)


@pytest.mark.errands_falls
async def test_a_failed_service_can_be_started_from_a_process_that_only_looks(
    tmp_path: Path,
) -> None:
    """By its name; another process takes it."""
    starts: list[int] = []

    async def fall_once() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise ValueError
        ready()
        await for_ever()

    def site() -> Errands:
        errands = Errands(f"sqlite:///{tmp_path}/e.db")
        errands.service(name="x", restart="never")(fall_once)
        return errands

    works, looks = site(), site()
    async with works.working(), looks:
        await eventually(ServiceState.FAILED, lambda: first_state(looks))
        await looks.restart("x")
        await looks.started("x", timeout=10)
        found = await status(looks)

    assert (2, 0) == (len(starts), found.restarts)


async def test_a_process_for_other_queues_leaves_services_alone(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so; those of which every process has one run there as well."""
    caplog.set_level(logging.INFO)
    errands = Errands(url, queues=["mail"])
    errands.service(name="one")(stop_slowly(lambda: None))
    errands.service(name="every", every_process=True)(stop_slowly(lambda: None))

    async with errands.working():
        await errands.started("every", timeout=10)
        every, one = await errands.services()

    assert (ServiceState.RUNNING, ServiceState.STOPPED) == (every.state, one.state)
    assert "this process works for mail, and not for 'services'" in caplog.text


# ---------------------------------------------------------------- bad input


async def test_a_service_with_arguments_is_refused(errands: Errands) -> None:
    """Nobody would pass them; a default will do."""

    async def follow(symbol: str, every: float = 1.0) -> None: ...

    with pytest.raises(TypeError, match=r"follow is a service, .* give 'symbol' a default"):
        errands.service(follow)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restart": "sometimes"}, "expected one of always, on-failure, never"),
        ({"watchdog": 0}, "watchdog=0: expected more than 0"),
        ({"budget": 3}, r"write Budget\(restarts=…\)"),
    ],
)
async def test_a_policy_that_cannot_be_meant_is_refused(
    errands: Errands, options: dict[str, Any], message: str
) -> None:
    """At the declaration."""
    with pytest.raises((TypeError, ValueError), match=message):
        errands.service(**options)(for_ever)


async def test_a_generator_is_refused(errands: Errands) -> None:
    """To call it would run nothing."""

    async def numbers() -> Any:
        yield 1

    with pytest.raises(TypeError, match="is a generator"):
        errands.service(numbers)


async def test_two_services_of_one_name_are_refused(errands: Errands) -> None:
    """The message says where both are."""
    errands.service(name="x")(for_ever)
    with pytest.raises(DuplicateTask, match=r"two services are named 'x'.*@errands\.service"):
        errands.service(name="x")(stop_slowly(lambda: None))


async def test_a_task_and_a_service_of_one_name_are_refused(errands: Errands) -> None:
    """Whichever came first."""
    errands.service(name="x")(for_ever)
    errands.task(name="y")(state)
    with pytest.raises(DuplicateTask, match="a task and a service are named 'x'"):
        errands.task(name="x")(state)
    with pytest.raises(DuplicateTask, match="a task and a service are named 'y'"):
        errands.service(name="y")(for_ever)


async def test_the_same_service_may_be_declared_again(errands: Errands) -> None:
    """Modules are imported twice."""
    errands.service(name="x")(for_ever)
    errands.service(name="x")(for_ever)

    async with errands:
        assert ["x"] == [each.name for each in await errands.services()]


async def test_a_service_is_not_added(errands: Errands) -> None:
    """It starts by itself; the message says so."""
    errands.service(name="x")(for_ever)

    async with errands:
        with pytest.raises(UnknownTask, match="for_ever is a service, which starts with the app"):
            await errands.add_task(for_ever)


async def test_what_is_no_service_is_refused(errands: Errands) -> None:
    """With the names that there are."""
    errands.service(name="x")(for_ever)

    async with errands:
        with pytest.raises(UnknownTask, match=r"y is not a service.*Declared here: x\."):
            await errands.started("y")
        with pytest.raises(UnknownTask, match="state is not a service"):
            await errands.restart(state)  # type: ignore[arg-type]


async def test_a_service_that_is_declared_too_late_is_refused(errands: Errands) -> None:
    """The application has started."""
    async with errands.working():
        with pytest.raises(SetupError, match="for_ever is declared too late"):
            errands.service(for_ever)


async def test_a_service_of_every_process_needs_one_at_work(errands: Errands) -> None:
    """There is none to be started where only the store is open."""
    errands.service(name="x", every_process=True)(for_ever)

    async with errands:
        assert ServiceState.STOPPED is await state(errands)
        with pytest.raises(NotOpen, match="not at work"):
            await errands.restart("x")


@pytest.mark.errands_falls
async def test_a_service_that_fails_at_an_import_says_which(
    errands: Errands, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log and in its status."""

    @errands.service(restart="never")
    async def broken() -> None:
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401

    async with errands.working():
        with pytest.raises(JobFailed, match="No module named 'no_such_module'"):
            await errands.started(broken, timeout=10)

    assert "No module named 'no_such_module'" in caplog.text


async def test_outside_of_a_service_signs_do_nothing() -> None:
    """So that its function can be called by itself, as in a test."""
    ready()
    alive()
    progress(1)

    assert not stopping()
    with pytest.raises(LookupError):
        current_job()


async def test_a_service_stops_soon(errands: Errands) -> None:
    """Its end keeps nobody waiting."""
    errands.service(name="x")(stop_slowly(lambda: None))
    async with errands.working(grace=20):
        await soon(errands.started("x"), "the start")
        begin = time.monotonic()

    assert time.monotonic() - begin < 10


# ---------------------------------------------------------------- what left the code


async def test_a_service_that_left_the_code_is_shown_as_orphaned(
    tmp_path: Path, clock: JumpingClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once nobody has taken it for a while, since an older process may still declare it."""
    url = f"sqlite:///{tmp_path}/errands.db"
    old, new = (Errands(url, clock=clock, lease=3600) for _ in range(2))
    old.service(name="gone")(forever)
    new.service(name="stays")(forever)
    async with old.working():
        await old.started("gone", timeout=10)
        async with new:
            assert [("gone", ServiceState.RUNNING)] == await states(new, "gone")
    async with new.working():
        await new.started("stays", timeout=10)
        assert [("gone", ServiceState.STOPPED)] == await states(new, "gone")
        clock.jump(91)
        assert [("gone", ServiceState.ORPHANED)] == await states(new, "gone")
        await eventually(1, lambda: caplog.text.count("service gone is orphaned"))
        clock.jump(10)
        assert ["gone", "stays"] == [each.name for each in await new.services()]

        await new.forget("gone")
        assert ["stays"] == [each.name for each in await new.services()]
        assert [] == [job for job in await new.jobs() if job.task == "gone"]

    assert 1 == caplog.text.count("is orphaned")


async def test_who_declares_an_orphan_again_goes_on_with_it(
    tmp_path: Path, clock: JumpingClock
) -> None:
    """As when a deploy is rolled back."""
    url = f"sqlite:///{tmp_path}/errands.db"
    old, new = (Errands(url, clock=clock) for _ in range(2))
    old.service(name="gone")(forever)
    async with old.working():
        await old.started("gone", timeout=10)
    async with new.working():
        clock.jump(100)
        assert [("gone", ServiceState.ORPHANED)] == await states(new, "gone")
    async with old.working():
        await old.started("gone", timeout=10)
        assert [("gone", ServiceState.RUNNING)] == await states(old, "gone")
        [job] = await old.jobs()

    assert "service:gone" == job.key


async def test_only_what_left_the_code_is_forgotten(tmp_path: Path) -> None:
    """Who declares it would start it again."""
    url = f"sqlite:///{tmp_path}/errands.db"
    old, new = Errands(url), Errands(url)
    old.service(name="gone")(forever)
    async with old.working(), new:
        await old.started("gone", timeout=10)
        with pytest.raises(SetupError, match=r"gone is declared here: take its @errands\.service"):
            await old.forget("gone")
        with pytest.raises(SetupError, match=r"gone is run by .*, whose code declares it"):
            await new.forget("gone")
        with pytest.raises(UnknownTask, match="the store has no service 'other'"):
            await new.forget("other")


async def forever() -> None:
    ready()
    await asyncio.Event().wait()


async def states(errands: Errands, name: str) -> list[tuple[str, ServiceState]]:
    return [(each.name, each.state) for each in await errands.services() if each.name == name]

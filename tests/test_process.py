"""Tasks in processes of their own: real ones, which crash, hang and are killed."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apps_processes as apps
import pytest
from patience import eventually
from server_driver import wait_until
from worker_driver import Workplace

from errands import Errands, Job, Next, Obstacle, Progress, State
from errands.errors import JobFailed, NotSerializable, SetupError
from errands.testing import JumpingClock

pytestmark = pytest.mark.slow

LONG = 30  # seconds, an upper bound that is never reached
HERE = Path(__file__).parent


@pytest.fixture
def resting() -> Errands:
    """The tasks of `apps_processes` on an empty store, not at work yet."""
    errands = Errands("memory:", processes=2, grace=0)
    for task in apps.errands._engine.tasks.values():
        errands._engine.tasks.add(task)
    return errands


@pytest.fixture
async def errands(resting: Errands) -> AsyncIterator[Errands]:
    """At work, with processes; at the end none of them is there."""
    async with resting.working():
        yield resting
        pids = processes()
    assert [] == [pid for pid in pids if is_alive(pid)]


def processes() -> list[int]:
    """The ids of our processes."""
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "errands._inside"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip  # a command
    return [int(line) for line in found.stdout.split()]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def done(errands: Errands, function: Any, *args: Any) -> Any:
    """What a job answers."""
    return await errands.result(await errands.add_task(function, *args), timeout=LONG)


async def failure(errands: Errands, function: Any, *args: Any) -> Job:
    """The job, once it has failed."""
    with pytest.raises(JobFailed) as error:
        await done(errands, function, *args)
    return error.value.job


# What comes through


async def test_a_function_runs_in_another_process_that_is_used_again(errands: Errands) -> None:
    """Plain functions and coroutine functions; each knows its job."""
    pids = {await done(errands, apps.pid) for _ in range(5)}
    pid, *job = await done(errands, apps.pid_of_coroutine)

    assert {*pids, pid} <= set(processes())
    assert 2 >= len({*pids, pid})
    assert [apps.__name__ + ".pid_of_coroutine", 1, False] == job


async def test_progress_comes_through(errands: Errands, tmp_path: Path) -> None:
    """While the function runs, and with its outcome."""
    job = await errands.add_task(apps.follow, tmp_path / "gate")
    await eventually(Progress(2, 3, "nearly"), lambda: told(errands, job), LONG)
    (tmp_path / "gate").touch()
    await errands.result(job, timeout=LONG)
    quick = await errands.add_task(apps.tell)

    assert "told" == await errands.result(quick, timeout=LONG)
    assert Progress(1, 4, "a quarter") == await told(errands, quick)


async def told(errands: Errands, job: Job) -> Progress | None:
    there = await errands.job(job.id)
    return None if there is None else there.progress


async def test_log_records_come_through(errands: Errands, caplog: pytest.LogCaptureFixture) -> None:
    """Under their names, at the levels that are wanted here, with what else they carry."""
    caplog.set_level(logging.INFO, "apps.processes")
    await done(errands, apps.log)
    records = [record for record in caplog.records if record.name == "apps.processes"]

    assert [("INFO", "3 of cats"), ("ERROR", "lost")] == [
        (record.levelname, record.getMessage()) for record in records
    ]
    assert "red" == vars(records[0])["color"]
    assert "KeyError: 'cat'" in (records[1].exc_text or "")
    assert os.getpid() != records[0].process


async def test_a_large_result_comes_through(errands: Errands) -> None:
    """A hundred megabytes."""
    assert 100_000_000 == len(await done(errands, apps.much, 100_000_000))


async def test_a_result_that_cannot_be_kept_is_noted(errands: Errands) -> None:
    """The job is done all the same, as in a thread."""
    job = await errands.add_task(apps.unkept)
    await eventually(State.DONE, lambda: state(errands, job), LONG)

    there = await errands.job(job.id)
    assert there is not None
    assert "NotSerializable: the result of" in (there.error or "")


async def state(errands: Errands, job: Job) -> State | None:
    there = await errands.job(job.id)
    return None if there is None else there.state


async def test_an_error_comes_back_with_its_traceback(errands: Errands) -> None:
    """The code that failed is shown, and not ours."""
    error = (await failure(errands, apps.run_out)).error or ""

    assert error.endswith("apps_processes.OutOfInk: laser has no ink for 7 pages")
    assert "in run_out" in error
    assert "_inside.py" not in error


async def test_retries_know_the_type_of_an_error(errands: Errands) -> None:
    """Of the application's own as well, and not only of those that can be made anew."""
    assert 2 == (await failure(errands, apps.run_out_again)).attempt
    spoilt = await failure(errands, apps.make_unmakeable)

    assert 1 == spoilt.attempt
    assert "Unmakeable: not to be made" in (spoilt.error or "")


async def test_middleware_sees_results_and_errors() -> None:
    """Of the types that the function has."""
    seen: list[object] = []

    async def layer(job: Job, call_next: Next) -> Any:
        try:
            value = await call_next(job)
        except apps.OutOfInk as error:
            seen.append((error.pages, str(error)))
            raise
        seen.append(value)
        return value + 1

    errands = Errands("memory:", middleware=[layer], processes=1)
    for function in (apps.pid, apps.run_out):
        errands.task(run="process")(function)
    async with errands.working():
        pid = await done(errands, apps.pid)
        await failure(errands, apps.run_out)

    assert [pid - 1, (7, "laser has no ink for 7 pages")] == seen


# Limits and crashes


async def test_a_crash_costs_its_job_alone(errands: Errands) -> None:
    """It leaves, it is torn down by the system, or it interrupts itself; the next job runs."""
    left, torn = await failure(errands, apps.leave, 3), await failure(errands, apps.crash)
    interrupted = await failure(errands, apps.interrupt)

    assert "ProcessDied: the process of apps_processes.leave left with 3" == left.error
    assert (torn.error or "").endswith("apps_processes.crash was ended by SIGSEGV")
    assert "in crash" in (torn.error or "")
    assert "KeyboardInterrupt" in (interrupted.error or "")
    assert await done(errands, apps.pid) in processes()


@pytest.mark.parametrize("function", [apps.hang, apps.hold])
async def test_a_function_in_c_is_killed_after_its_hard_timeout(
    errands: Errands, function: Any
) -> None:
    """And says where it stood."""
    error = (await failure(errands, function)).error or ""

    assert "timeout of 0.1 s, did not end, and was killed after 0.2 s" in error
    assert f"in {function.__name__}" in error
    assert await done(errands, apps.pid) in processes()


@pytest.mark.parametrize("function", [apps.sleep, apps.sleep_in_coroutine])
async def test_a_timeout_is_raised_inside(errands: Errands, function: Any) -> None:
    """Where the function waits, long before it would be killed."""
    error = (await failure(errands, function)).error or ""

    assert error.endswith(f"{function.__name__} ran for longer than its timeout of 1.0 s")
    assert f"in {function.__name__}" in error


async def test_more_memory_than_allowed_fails_the_job(errands: Errands) -> None:
    """By an error that says so; less is fine, before and after."""
    assert 1000 == await done(errands, apps.take, 1000)
    error = (await failure(errands, apps.take, 200 << 20)).error or ""

    assert error.endswith("take wanted more than its max_memory of 104,857,600 bytes")
    assert "in take" in error
    assert 1000 == await done(errands, apps.take, 1000)


# Cancelling


@pytest.mark.parametrize("function", [apps.step, apps.wait, apps.ask])
async def test_a_run_that_is_cancelled_ends_by_itself(
    resting: Errands, function: Any, tmp_path: Path
) -> None:
    """`track` raises, a coroutine is cancelled, and who asks is told; the job goes back."""
    errands, ended = resting, tmp_path / "ended"
    async with errands:
        async with errands.working():
            job = await errands.add_task(function, tmp_path / "started", ended)
            await eventually(True, (tmp_path / "started").exists, LONG)
        assert ended.exists()
        assert State.QUEUED is await state(errands, job)


async def test_a_run_that_ignores_its_cancellation_is_killed(
    resting: Errands, tmp_path: Path
) -> None:
    """With what it has started."""
    errands, started = resting, tmp_path / "started"
    async with errands:
        async with errands.working():
            job = await errands.add_task(apps.ignore, started)
            await eventually(True, started.exists, LONG)
        pids = [int(pid) for pid in started.read_text().split()]
        await eventually([False, False], lambda: [is_alive(pid) for pid in pids])
        assert State.QUEUED is await state(errands, job)


async def test_a_job_that_is_cancelled_ends_there(errands: Errands, tmp_path: Path) -> None:
    """By itself, and counts as cancelled; the process goes on."""
    ended = tmp_path / "ended"
    job = await errands.add_task(apps.step, tmp_path / "started", ended)
    await eventually(True, (tmp_path / "started").exists, LONG)
    pids = processes()
    await errands.cancel(job.id)

    await eventually(State.CANCELLED, lambda: state(errands, job), LONG)
    assert ended.exists()
    assert pids == processes()


async def test_a_process_ends_with_its_application(tmp_path: Path) -> None:
    """Killed as it is, while a function runs in C, or none runs at all."""
    started = tmp_path / "started"
    code = (
        "import asyncio, apps_processes as apps; from pathlib import Path\n"
        "async def main():\n"
        "    async with apps.errands.working():\n"
        f"        await apps.errands.add_task(apps.ignore, Path({str(started)!r}))\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    application = subprocess.Popen([sys.executable, "-c", code], cwd=HERE)
    try:
        await eventually(True, started.exists, LONG)
        pid = str(application.pid)
        await eventually(2, lambda: len(children_of(pid)), LONG)
        pids = children_of(pid)
    finally:
        application.kill()
        application.wait()
        grandchild = int(started.read_text().split()[1])

    await eventually([False, False], lambda: [is_alive(pid) for pid in pids])
    if is_alive(grandchild):  # it belongs to the task, and the system knows no better
        os.kill(grandchild, 9)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_worker_process(tmp_path: Path, by: signal.Signals) -> None:
    """Told to stop while a function runs in C, or killed."""
    place, file = Workplace(tmp_path), tmp_path / "pid"
    place.add("stay", str(file))
    with place.working(target="apps_processes:errands") as worker:
        wait_until(file.exists, "the function")
        worker.stop(by)
    pid = int(file.read_text())

    wait_until(lambda: not is_alive(pid), "the end of the process")


def children_of(pid: str) -> list[int]:
    found = subprocess.run(["pgrep", "-P", pid], check=False, capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


# What is left to others


async def test_no_more_are_claimed_than_there_are_processes(
    resting: Errands, tmp_path: Path
) -> None:
    """So that another worker may have the rest, and other tasks have the slots."""
    errands, gate = resting, tmp_path / "gate"
    async with errands.working():
        await done(errands, apps.pid)
        jobs = await errands.add_tasks([(apps.follow, gate)] * 10)
        await eventually(2, lambda: running(errands), LONG)
        assert 8 == (await errands.count())["default", State.QUEUED]
        gate.touch()
        for job in jobs:
            await errands.result(job, timeout=LONG)


async def test_two_claims_at_once_take_no_more_than_there_are_processes(tmp_path: Path) -> None:
    """Where much is to be done, one looks for jobs while another does."""
    errands = Errands(f"sqlite:///{tmp_path}/errands.db", processes=2, slots=8, grace=0)
    errands._engine.tasks.add(apps.errands._engine.tasks["apps_processes.follow"])
    gate, go_on = tmp_path / "gate", asyncio.Event()

    @errands.task
    async def wait() -> None:
        await go_on.wait()

    async with errands:
        await errands.add_tasks([(wait,)] * 8)
        async with errands.working():
            await eventually(8, lambda: running(errands), LONG)
            await errands.add_tasks([(apps.follow, gate)] * 10)
            go_on.set()
            await eventually(8, lambda: ended(errands), LONG)
            await eventually(2, lambda: running(errands), LONG)
            await asyncio.sleep(0.2)  # in which nothing is to happen
            assert 2 == await running(errands)
            gate.touch()
            await eventually(18, lambda: ended(errands), LONG)


async def ended(errands: Errands) -> int:
    return (await errands.count()).get(("default", State.DONE), 0)


async def running(errands: Errands) -> int:
    return (await errands.count()).get(("default", State.RUNNING), 0)


async def test_a_job_cannot_be_finished_from_another_process(errands: Errands) -> None:
    """The message says what to do instead."""
    error = (await failure(errands, apps.finish)).error or ""

    assert "has no part in the store" in error
    assert "Return the result" in error


async def test_a_process_is_no_worker(errands: Errands) -> None:
    """Or each would have processes of its own."""
    error = (await failure(errands, apps.work_within)).error or ""

    assert 'a task with run="process" cannot be at work itself' in error


async def test_a_decorated_function_is_found(errands: Errands) -> None:
    """Below what is around it."""
    errands_of_inner = apps.inner.__wrapped__  # type: ignore[attr-defined]  # functools.wraps

    assert 3 == await done(errands, errands_of_inner, 2)


# Declarations


async def test_a_function_that_a_process_cannot_find_is_refused() -> None:
    """When it is declared, where that can be seen; when it is added, else."""
    errands = Errands("memory:")

    def local() -> None: ...

    with pytest.raises(ValueError, match="with a lambda cannot work"):
        errands.task(name="x", run="process")(lambda: None)
    with pytest.raises(ValueError, match=r"local, which is inside of another"):
        errands.task(run="process")(local)
    with pytest.raises(TypeError, match="finds functions by their names"):
        errands.task(name="x", run="process")(ctypes.CDLL)
    errands.task(run="process")(apps.to_declare)
    async with errands:
        with pytest.raises(SetupError, match="is another thing than the task"):
            await errands.add_task(apps.to_declare)


async def test_an_argument_that_cannot_go_there_is_refused(resting: Errands) -> None:
    """When it is added, by its name."""
    async with resting:
        with pytest.raises(NotSerializable, match="much: size=<function"):
            await resting.add_task(apps.much, lambda: 1)  # type: ignore[arg-type]  # the point


def test_a_policy_that_cannot_be_meant_is_refused() -> None:
    """With what to write instead."""
    errands = Errands("memory:")

    async def coroutine() -> None: ...

    with pytest.raises(ValueError, match='run="thread" of a coroutine function'):
        errands.task(run="thread")(coroutine)
    with pytest.raises(ValueError, match="expected one of loop, thread, process"):
        errands.task(run="core")(coroutine)  # type: ignore[call-overload]  # as typed
    with pytest.raises(ValueError, match='max_memory=1 wants run="process"'):
        errands.task(max_memory=1)(coroutine)
    with pytest.raises(ValueError, match=r"timeout=\(3, 2\)"):
        errands.task(timeout=(3, 2))(coroutine)
    with pytest.raises(ValueError, match="expected 1 to"):
        Errands("memory:", processes=0)


# Programs


def run_program(folder: Path, *arguments: str, text: str) -> str:
    """What a program prints that has a task for a process."""
    folder.mkdir(exist_ok=True)
    (folder / "program.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=LONG,
        check=False,
    )  # fmt: skip  # a command
    return ended.stdout + ended.stderr


PROGRAM = """
import asyncio
from errands import Errands, Retry
from errands.errors import JobFailed

errands = Errands("memory:", processes=1)

class Mine(Exception): ...

@errands.task(run="process")
def work(n: int) -> list[object]:
    return [n, __name__]

@errands.task(run="process", retry=Retry(attempts=3, wait=0, on=Mine))
def fail() -> None:
    raise Mine

async def main():
    async with errands.working():
        try:
            print(await errands.result(await errands.add_task(work, 1), 20))
            await errands.result(await errands.add_task(fail), 20)
        except JobFailed as error:
            print("attempts", error.job.attempt, error.job.error)

"""
GUARDED = PROGRAM + 'if __name__ == "__main__":\n    asyncio.run(main())\n'


def test_a_program_finds_its_own_functions(tmp_path: Path) -> None:
    """Whether it is run by its file, from elsewhere, or as a module."""
    by_file = run_program(tmp_path / "a", "program.py", text=GUARDED)
    (tmp_path / "c").mkdir()
    from_elsewhere = subprocess.run(
        [sys.executable, str(tmp_path / "a" / "program.py")], cwd=tmp_path / "c",
        capture_output=True, text=True, timeout=LONG, check=False,
    ).stdout  # fmt: skip  # a command
    as_module = run_program(tmp_path / "b", "-m", "program", text=GUARDED)

    for output in (by_file, from_elsewhere, as_module):
        assert "[1, 'program']" in output
        assert "attempts 3" in output


def test_a_program_that_starts_when_it_is_imported_is_told(tmp_path: Path) -> None:
    """And does not start in each process again."""
    output = run_program(tmp_path, "program.py", text=PROGRAM + "asyncio.run(main())\n")

    assert "attempts 1" in output
    assert 'Write `if __name__ == "__main__":` above what starts it' in output


def test_what_is_typed_in_a_shell_is_refused(tmp_path: Path) -> None:
    """It is in no file that could be imported."""
    output = run_program(tmp_path, "-c", PROGRAM, text="")

    assert "typed in a shell or a notebook" in output


async def test_a_program_stops_in_a_moment(errands: Errands) -> None:
    """Idle processes do not keep it."""
    await done(errands, apps.pid)
    begin = time.monotonic()
    await asyncio.wait_for(errands._engine._worker._processes.close(), LONG)  # type: ignore[union-attr]  # it is at work

    assert 1 > time.monotonic() - begin


async def test_who_waits_for_a_process_is_told_that_all_are_busy(tmp_path: Path) -> None:
    """As the beat says which follows; slots would be free."""
    clock = JumpingClock()
    errands = Errands("memory:", processes=1, slots=5, clock=clock)
    errands._engine.tasks.add(apps.errands._engine.tasks["apps_processes.follow"])

    async def obstacles(job: Job) -> list[Obstacle]:
        return [reason.obstacle for reason in (await errands.why(job)).reasons]

    async with errands.working():
        first = await errands.add_task(apps.follow, tmp_path / "gate")
        second = await errands.add_task(apps.follow, tmp_path / "gate")
        await eventually([Obstacle.RUNNING], lambda: obstacles(first))
        clock.jump(5)
        await eventually([Obstacle.FULL], lambda: obstacles(second))
        assert "1 job in 1 process." in str(await errands.why(second))
        (tmp_path / "gate").touch()
        await errands.result(second, timeout=LONG)

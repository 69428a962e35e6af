"""`errands worker` in one process: what it runs, and how it stops."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live_server import environment
from ports import free_port
from server_driver import wait_until
from worker_driver import Workplace

from errands import Outcome, State

QUIET = """
from pathlib import Path
from errands import Errands

errands = Errands("memory:")


@errands.service(restart="never")
def tell() -> None:
    Path("started").touch()
"""
TRIES = 4  # of a measurement, on a machine that may have other work

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def wait_for_effect(place: Workplace, what: str, text: str) -> None:
    wait_until(lambda: place.effects(what, text), f"{what} {text}")


# What it runs


def test_it_runs_what_other_processes_add(place: Workplace) -> None:
    """Before it started, and while it works."""
    place.add("note", "before")
    with place.working() as worker:
        place.add("note", "after")
        wait_for_effect(place, "done", "before")
        wait_for_effect(place, "done", "after")
        worker.stop()
        pids = {effect.pid for effect in place.effects("done")}

    assert {worker.pid} == pids == set(worker.pids)
    assert {State.DONE} == {job.state for job in place.jobs().values()}


def test_it_says_what_it_is(place: Workplace) -> None:
    """In one line at its start and one at its end."""
    with place.working("--queues", "mail, default", "--slots", "7") as worker:
        worker.stop()
    [first] = [line for line in worker.lines if ", slots 7, " in line]

    assert f": {place.url}, queues default,mail, slots 7, tasks 6, pid {worker.pid} in " in first
    assert re.search(r"worker \S+ stopped in \d+\.\d s: drained$", worker.lines[-1])


def test_a_password_is_not_logged(place: Workplace) -> None:
    """Not even where the store cannot be had."""
    with place.started(ERRANDS_URL="nosuch://ann:s3cret@host/x") as worker:
        assert 1 == worker.wait()
    assert "no store for" in worker.output
    with place.started(ERRANDS_URL="sqlite:////nosuch/folder/x.db") as worker:
        assert 1 == worker.wait()
    assert "Error: the worker cannot start: " in worker.output
    assert "Traceback" not in worker.output


def test_it_works_for_its_queues_only(place: Workplace) -> None:
    """Others are left to others."""
    place.add("note", "other")
    with place.working("--queues", "mail"):
        place.add("mail", "ours", queue="mail")
        wait_for_effect(place, "done", "ours")

    assert State.QUEUED is place.jobs()["other"].state


@pytest.mark.parametrize("target", ["apps_worker:app", "apps_worker:app.state.errands"])
def test_an_application_stands_for_its_errands(place: Workplace, target: str) -> None:
    """Which `setup_errands` has left there."""
    place.add("note", "a")
    with place.working(target=target):
        wait_for_effect(place, "done", "a")


def test_a_factory_makes_it(place: Workplace) -> None:
    """Once in each process."""
    place.add("note", "a")
    with place.working("--factory", target="apps_worker:factory"):
        wait_for_effect(place, "done", "a")

    assert 1 == len(place.effects("made"))


@pytest.mark.parametrize(
    ("loop", "module"), [("auto", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
)
def test_the_event_loop_is_the_one_that_was_asked_for(
    place: Workplace, loop: str, module: str
) -> None:
    """By default the quick one, where it is installed."""
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    place.add("loop", "a")
    with place.working("--loop", loop) as worker:
        wait_for_effect(place, module, "a")
        worker.stop()

    assert 0 == worker.process.returncode


def test_an_object_without_tasks_is_warned_of(place: Workplace) -> None:
    """Their modules were not imported."""
    (place.folder / "bare.py").write_text("from errands import Errands\nerrands = Errands()\n")
    with place.started(target="bare:errands", app_dir=place.folder) as worker:
        worker.wait_for("no task is declared: let bare:errands import their modules")
        worker.stop()


def test_a_store_in_memory_is_warned_of(place: Workplace) -> None:
    """Nobody else could add a job."""
    with place.started(ERRANDS_URL="memory:") as worker:
        worker.wait_for("jobs in memory are seen by one process")
        worker.stop()


def test_a_web_process_that_only_adds_leaves_its_jobs_to_it(place: Workplace) -> None:
    """Both have the same application; the worker does not serve it, nor run its lifespan."""
    with (
        place.serving(WORK="0") as server,
        place.working(target="apps_server:app") as worker,
    ):
        for number in range(20):
            assert 202 == server.status(f"/add/note/{number}")
        wait_until(lambda: len(place.effects("done")) == 20, "all are done")
        ups = [effect.pid for effect in place.effects("up")]

    assert {worker.pid} == {effect.pid for effect in place.effects("done")}
    assert [server.pid] == ups


# How it stops


@contextmanager
def hangups(handler: signal.Handlers) -> Iterator[None]:
    """Let what is started do this at a SIGHUP; the tests may themselves be below nohup."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.alone
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_worker_ends_at_once(place: Workplace, by: signal.Signals) -> None:
    """Within half a second, with status 0."""
    took = []
    for _ in range(TRIES):
        with hangups(signal.SIG_DFL), place.working() as worker:
            took.append(worker.stop(by))
            assert 0 == worker.process.returncode
        if took[-1] < 0.5:
            break

    assert min(took) < 0.5, took


def test_a_worker_below_nohup_survives_its_terminal(place: Workplace) -> None:
    """The shell that closes sends it a SIGHUP, and it works on."""
    with hangups(signal.SIG_IGN), place.working() as worker:
        worker.process.send_signal(signal.SIGHUP)
        place.add("note", "a")
        wait_for_effect(place, "done", "a")
        worker.stop(signal.SIGTERM)

    assert 0 == worker.process.returncode
    assert "SIGTERM: stopping" in worker.output  # and not: told twice
    assert "SIGHUP" not in worker.output


def test_a_worker_ends_although_nobody_reads_what_it_says(place: Workplace) -> None:
    """As after `errands worker … 2>&1 | head`: its first word of the end meets a closed pipe."""
    (place.folder / "quiet.py").write_text(QUIET)
    command = [sys.executable, "-m", "errands", "worker", "--app-dir", ".", "quiet:errands"]
    worker = subprocess.Popen(
        command, cwd=place.folder, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip  # a call
    assert worker.stdout is not None
    try:
        wait_until((place.folder / "started").exists, "the service has started")
        worker.stdout.close()
        worker.send_signal(signal.SIGTERM)
        assert 0 == worker.wait(20)
    finally:
        worker.kill()
        worker.wait()


def test_a_busy_worker_lets_its_jobs_end(place: Workplace) -> None:
    """Within its grace; it claims no more meanwhile."""
    with place.working() as worker:
        place.add("gated", "long")
        wait_for_effect(place, "start", "long")
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for(" stops")
        place.add("note", "late")
        place.open_gate()
        assert 0 == worker.wait()
        jobs = place.jobs()

    assert (State.DONE, State.QUEUED) == (jobs["long"].state, jobs["late"].state)
    assert worker.lines[-1].endswith("drained")


def test_what_does_not_end_in_time_goes_back(place: Workplace) -> None:
    """And costs no attempt."""
    with place.working("--grace", "0.2") as worker:
        place.add("gated", "long")
        wait_for_effect(place, "start", "long")
        worker.stop()
        job = place.jobs()["long"]

    assert (0, State.QUEUED, 0) == (worker.process.returncode, job.state, job.attempt)
    assert [Outcome.RELEASED] == [attempt.outcome for attempt in job.history]
    assert worker.lines[-1].endswith("released 1 job")


def test_a_second_signal_ends_it_at_once(place: Workplace) -> None:
    """With the status of who is ended by that signal; another worker has the job then."""
    with place.working() as worker:
        place.add("gated", "long")
        wait_for_effect(place, "start", "long")
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for(" stops")
        took = worker.stop()

    assert 128 + signal.SIGTERM == worker.process.returncode
    assert took < 5
    with place.working():
        place.open_gate()
        wait_for_effect(place, "done", "long")


def test_a_second_signal_ends_one_whose_loop_is_blocked(place: Workplace) -> None:
    """A task cannot keep the process."""
    with place.working() as worker:
        place.add("block", "long")
        wait_for_effect(place, "start", "long")
        worker.process.send_signal(signal.SIGINT)
        worker.wait_for("SIGINT: stopping; a second one ends it at once")
        took = worker.stop(signal.SIGINT)

    assert (128 + signal.SIGINT, True) == (worker.process.returncode, took < 5)


def test_a_thread_that_never_ends_does_not_keep_the_process(place: Workplace) -> None:
    """It gets a few seconds more, and the job goes back."""
    with place.working("--grace", "0.1") as worker:
        place.add("stuck", "long")
        wait_for_effect(place, "start", "long")
        took = worker.stop()
        job = place.jobs()["long"]

    assert (0, State.QUEUED) == (worker.process.returncode, job.state)
    assert took < 10


def test_the_store_knows_that_it_went(place: Workplace) -> None:
    """And meanwhile what it did."""
    with place.working("--slots", "3") as worker:
        wait_until(place.workers, "it has told")
        [alive] = place.workers()
        worker.stop()
        [gone] = place.workers()

    assert (worker.pid, 3, None) == (alive.pid, alive.slots, alive.gone_at)
    assert alive.worker == gone.worker
    assert gone.gone_at is not None


def test_a_port_that_is_taken_is_named(place: Workplace) -> None:
    """Before anything is run."""
    port = free_port()
    with (
        place.working("--health-port", str(port)),
        place.started("--health-port", str(port)) as second,
    ):
        assert 1 == second.wait()

    assert f"Error: nobody can listen on 127.0.0.1:{port}: " in second.output
    assert "Choose another --health-port." in second.output


BROKEN = """
import asyncio
from errands import Clock, Errands
from errands.stores.memory import MemoryStore

class Hurried(Clock):
    async def sleep(self, seconds):
        await asyncio.sleep(0)

class Broken(MemoryStore):
    async def rescue(self, now):
        raise RuntimeError("a bug of ours")

errands = Errands(Broken(), clock=Hurried())
"""


def test_a_worker_that_cannot_work_ends_by_itself(place: Workplace) -> None:
    """With a status that has it started anew."""
    (place.folder / "site_of_mine.py").write_text(BROKEN)
    with place.started(target="site_of_mine:errands", app_dir=place.folder) as worker:
        assert 1 == worker.wait()

    assert "RuntimeError: a bug of ours" in worker.output
    assert "Error: the worker gave up, see above: rescue failed 21 times" in worker.output


# Health


def test_who_asks_is_told_how_it_does(place: Workplace) -> None:
    """As JSON, with 200 while it claims jobs."""
    with place.working("--health-port", "0", "--slots", "9") as worker:
        place.add("gated", "long")
        wait_for_effect(place, "start", "long")
        ready, alive = worker.ask("/ready"), worker.ask("/alive?now")
        told = ready.json()
        [name] = [each.pop("name") for each in told["workers"]]

        facts = {"ready": True, "running": 1, "slots": 9}
        assert (200, 200) == (ready.status_code, alive.status_code)
        assert {**facts, "workers": [facts]} == told
        assert name in worker.output
        assert 404 == worker.ask("/").status_code
        assert 405 == worker.ask("/ready", "POST").status_code
        assert "" == worker.ask("/ready", "HEAD").text


def test_while_it_drains_it_is_alive_and_not_ready(place: Workplace) -> None:
    """So that whoever balances load takes it out."""
    with place.working("--health-port", "0") as worker:
        place.add("gated", "long")
        wait_for_effect(place, "start", "long")
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for(" stops")
        wait_until(lambda: worker.ask("/ready").status_code == 503, "it is not ready")
        told = worker.ask("/ready").json()
        alive = worker.ask("/alive").status_code
        place.open_gate()

        assert (200, False, 1) == (alive, told["ready"], told["running"])
        assert 0 == worker.wait()


def test_while_the_store_is_away_it_is_not_ready(place: Workplace) -> None:
    """And again when it is back."""
    with place.working("--health-port", "0") as worker:
        wait_until(lambda: worker.ask("/ready").status_code == 200, "it is ready")
        file, lost = place.folder / "errands.db", place.folder / "lost.db"
        file.rename(lost)
        wait_until(lambda: worker.ask("/ready").status_code == 503, "it is not ready")
        alive = worker.ask("/alive").status_code
        lost.rename(file)
        wait_until(lambda: worker.ask("/ready").status_code == 200, "it is ready again")
        place.add("note", "a")
        wait_for_effect(place, "done", "a")

    assert 200 == alive

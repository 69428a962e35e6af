"""`errands worker --processes N`: a parent keeps them up, and none outlives it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from server_driver import wait_until
from worker_driver import Command, Workplace

from errands import Outcome, State
from errands.cli._child import Child

TRIES = 4  # of a measurement, on a machine that may have other work

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def wait_for_effects(place: Workplace, what: str, text: str, times: int = 1) -> None:
    wait_until(lambda: len(place.effects(what, text)) >= times, f"{what} {text}")


def busy_child(place: Workplace) -> int:
    """The process in which the job `long` waits for the gate."""
    place.add("gated", "long")
    wait_for_effects(place, "start", "long")
    return place.effects("start", "long")[-1].pid


# They live


def test_so_many_processes_work(place: Workplace) -> None:
    """Beside a parent that runs nothing."""
    with place.working(processes=3) as worker:
        for number in range(30):
            place.add("note", str(number))
        wait_until(lambda: len(place.effects("done")) == 30, "all are done")
        worker.stop()

    assert 0 == worker.process.returncode
    assert 3 == len(set(worker.pids))
    assert {effect.pid for effect in place.effects("done")} <= {*worker.pids} - {worker.pid}


def test_a_killed_child_is_replaced_and_its_sibling_has_its_jobs(place: Workplace) -> None:
    """Within a second."""
    took = []
    for _ in range(TRIES):
        with place.working(processes=2) as worker:
            (place.folder / "effects").unlink(missing_ok=True)
            victim = busy_child(place)
            begin = time.time()
            os.kill(victim, signal.SIGKILL)
            wait_for_effects(place, "start", "long", 2)
            again = place.effects("start", "long")[-1]
            took.append(again.at - begin)
            worker.wait_until_started(3)
            place.open_gate()
            wait_for_effects(place, "done", "long")
            worker.stop()
            job = place.jobs()["long"]
            place.gate.unlink()
        assert all(each.gone_at for each in place.workers())
        assert again.pid in {*worker.pids} - {victim}
        assert f"worker process {victim} was ended by SIGKILL; another starts in 0.1 s" in (
            worker.output
        )
        assert (0, 2) == (worker.process.returncode, job.attempt)
        assert [Outcome.LOST, Outcome.DONE] == [attempt.outcome for attempt in job.history]
        if took[-1] < 1:
            break

    assert min(took) < 1, took


def test_children_that_die_again_and_again_are_replaced_ever_slower(place: Workplace) -> None:
    """The waits double."""
    with place.working(processes=2) as worker:
        victim = worker.pids[0]
        for number in range(3):
            os.kill(victim, signal.SIGKILL)
            worker.wait_until_started(3 + number)
            victim = worker.pids[-1]
        waits = re.findall(r"another starts in (\d\.\d) s", worker.output)

    assert ["0.1", "0.2", "0.4"] == waits


def test_the_parent_answers_for_all(place: Workplace) -> None:
    """Ready once all of them are, and not while one is missing."""
    with place.working("--slots", "5", "--health-port", "0", processes=2) as worker:
        wait_until(lambda: worker.ask("/ready").status_code == 200, "they are ready")
        told = worker.ask("/ready").json()
        busy_child(place)
        wait_until(lambda: worker.ask("/ready").json()["running"] == 1, "one runs")
        os.kill(worker.pids[0], signal.SIGSTOP)
        wait_until(lambda: worker.ask("/ready").status_code == 503, "one is silent")
        alive = worker.ask("/alive").status_code
        os.kill(worker.pids[0], signal.SIGCONT)
        wait_until(lambda: worker.ask("/ready").status_code == 200, "it is heard again")

    assert (True, 0, 10) == (told["ready"], told["running"], told["slots"])
    assert [5, 5] == [each["slots"] for each in told["workers"]]
    assert 200 == alive


# They stop


def test_a_signal_drains_all(place: Workplace) -> None:
    """The parent forwards it, is not ready meanwhile, and ends last."""
    with place.working("--health-port", "0", processes=2) as worker:
        busy_child(place)
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for(": drained")  # the idle one
        wait_until(lambda: worker.ask("/ready").json()["running"] == 1, "one runs")
        status = worker.ask("/ready").status_code
        place.open_gate()
        assert 0 == worker.wait()

    assert 503 == status
    assert State.DONE is place.jobs()["long"].state
    assert 2 == worker.output.count(": drained")


def test_a_signal_to_all_of_them_drains_as_well(place: Workplace) -> None:
    """A terminal sends Ctrl-C to each, and so does a service manager with SIGTERM."""
    for by in (signal.SIGINT, signal.SIGTERM):
        place.gate.unlink(missing_ok=True)
        with place.working(processes=2) as worker:
            busy_child(place)
            worker.wait_for(", slots ", times=2)  # the idle one may not have told its parent yet
            os.killpg(worker.pid, by)
            worker.wait_for(": drained")
            place.open_gate()
            assert 0 == worker.wait()
        assert {State.DONE} == {job.state for job in place.jobs().values()}


async def test_a_child_that_has_told_nothing_yet_is_asked_to_stop() -> None:
    """And not killed: it may have begun to work just now."""
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print(1); signal.pause()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ours, theirs = socket.socketpair()
    with theirs:
        child = Child(process, ours)
        await process.stdout.readline()
        child.stop()
        assert 7 == await child.ended()


def test_what_does_not_end_in_time_goes_back(place: Workplace) -> None:
    """From each process."""
    with place.working("--grace", "0.2", processes=2) as worker:
        busy_child(place)
        worker.stop()
        job = place.jobs()["long"]

    assert (0, State.QUEUED, 0) == (worker.process.returncode, job.state, job.attempt)


def test_a_second_signal_ends_all_at_once(place: Workplace) -> None:
    """Children included."""
    with place.working(processes=2) as worker:
        busy_child(place)
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for(": drained")
        took = worker.stop()

    assert (128 + signal.SIGTERM, True) == (worker.process.returncode, took < 5)


def test_children_end_with_their_parent(place: Workplace) -> None:
    """However it ends; their jobs go back as if they had been told to stop."""
    with place.working("--grace", "0.2", processes=2) as worker:
        busy_child(place)
        worker.process.kill()
        worker.wait()  # until nobody holds its output
        job, workers = place.jobs()["long"], place.workers()

    assert (State.QUEUED, 0) == (job.state, job.attempt)
    assert 2 == len(workers)
    assert all(each.gone_at for each in workers)


def test_a_child_whose_loop_is_blocked_ends_with_its_parent(place: Workplace) -> None:
    """By a thread, when it has had more than its time."""
    with place.working("--grace", "0", processes=2) as worker:
        place.add("block", "long")
        wait_for_effects(place, "start", "long")
        worker.process.kill()
        worker.wait()


# They cannot start


def test_that_none_can_start_is_said_once(place: Workplace) -> None:
    """With their own traceback, and an exit status."""
    (place.folder / "broken").touch()
    with place.started("--processes", "4") as worker:
        assert 1 == worker.wait()

    assert 1 == worker.output.count("RuntimeError: this module is broken today")
    assert 1 == worker.output.count("no worker process could start")


def test_that_none_can_start_any_more_ends_all(place: Workplace) -> None:
    """After a few tries: those that live are stopped as usual, and the status says it."""
    with place.working(processes=2) as worker:
        (place.folder / "broken").touch()
        os.kill(worker.pids[0], signal.SIGKILL)
        assert 1 == worker.wait()

    assert 5 == worker.output.count("RuntimeError: this module is broken today")
    assert 1 == worker.output.count("no worker process could start")
    assert ": drained" in worker.output


# They start anew


def code(word: str) -> str:
    """A module whose tasks tell this word."""
    return f"""
import asyncio, apps_worker
from errands import Errands

errands = Errands()

@errands.task(name="note")
def note(text):
    apps_worker.tell({word!r}, text)

@errands.task(name="wait")
async def wait(text):
    apps_worker.tell({word!r}, text)
    await asyncio.sleep(60)
"""


@pytest.fixture(params=["told", "looked for"])
def reloading(request: pytest.FixtureRequest, place: Workplace, tmp_path: Path) -> dict[str, str]:
    """The variables with which changes are seen in both ways."""
    here = str(Path(__file__).parent)
    if request.param == "told":
        pytest.importorskip("watchfiles", reason="watchfiles is not installed")
        return {"PYTHONPATH": here}
    without = tmp_path / "without"
    without.mkdir()
    (without / "watchfiles.py").write_text("raise ImportError")
    return {"PYTHONPATH": f"{without}{os.pathsep}{here}"}


def test_a_change_is_picked_up(place: Workplace, reloading: dict[str, str]) -> None:
    """What ran then goes back, and starts anew with the new code; a broken file is waited out."""
    folder = place.folder / "site"
    folder.mkdir()
    file = folder / "site_of_mine.py"
    file.write_text(code("old"))
    with place.started(
        "--reload", target="site_of_mine:errands", app_dir=folder, **reloading
    ) as worker:
        place.add("wait", "long")
        wait_for_effects(place, "old", "long")
        file.write_text("1 / 0")
        worker.wait_for("ended with status 1; waiting for a change")
        file.write_text(code("new"))
        wait_for_effects(place, "new", "long")
        place.add("note", "short")
        wait_for_effects(place, "new", "short")
        took = worker.stop()

    assert (0, True) == (worker.process.returncode, took < 5)
    assert "site_of_mine.py changed; starting anew" in worker.output
    assert "ZeroDivisionError" in worker.output
    assert [] == place.effects("old", "short")
    assert 0 == place.jobs()["long"].attempt


def test_reloading_children_are_as_many_as_asked_for(place: Workplace) -> None:
    """And each of them starts anew."""
    folder = place.folder / "site"
    folder.mkdir()
    (folder / "site_of_mine.py").write_text(code("old"))
    with place.started(
        "--reload", "--processes", "2", target="site_of_mine:errands", app_dir=folder,
        PYTHONPATH=str(Path(__file__).parent),
    ) as worker:  # fmt: skip  # a command
        worker.wait_until_started(2)
        (folder / "another.py").write_text("")
        worker.wait_until_started(4)
        assert_both_are_new(worker)


def assert_both_are_new(worker: Command) -> None:
    first, second = set(worker.pids[:2]), set(worker.pids[2:])

    assert (2, 2, set()) == (len(first), len(second), first & second)

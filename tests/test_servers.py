"""Errands under real servers: processes, signals, and power cuts."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from ports import free_port
from server_driver import LONGEST, Server, World, wait_until

from errands import Outcome, State

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def done(world: World) -> Counter[str]:
    """How often each job got to its end."""
    return Counter(effect.text for effect in world.effects("done"))


def add_many(server: Server, texts: list[str], task: str = "note") -> list[str]:
    """Add a job for each text, eight at a time, and say which were promised."""
    with ThreadPoolExecutor(8) as pool:
        statuses = pool.map(lambda text: server.status(f"/add/{task}/{text}"), texts)
        return [text for text, status in zip(texts, statuses, strict=True) if status == 202]


def settled(world: World, texts: list[str]) -> Callable[[], bool]:
    """Whether the store says that all of these jobs are done."""

    def ask() -> bool:
        if not done(world).keys() >= set(texts):
            return False
        jobs = world.jobs()
        return all(jobs[text].state is State.DONE for text in texts)

    return ask


def is_busy(world: World, turn: str) -> bool:
    """Whether some of a turn's jobs are done."""
    return sum(text.startswith(turn) for text in done(world)) > 30


# ---------------------------------------------------------------- one server


@pytest.mark.parametrize("protocol", ["httptools", "h11"])
def test_a_failing_task_leaves_the_next_request_alone(world: World, protocol: str) -> None:
    """That of the same connection, which is in flight while the task fails."""
    with world.serving("--http", protocol) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONGEST)
        answers, addresses = [], set()
        for path in ("/add/fail_here/boom", "/fly", "/"):
            connection.request("GET", path)
            response = connection.getresponse()
            answers.append((response.status, response.read().decode()))
            addresses.add(connection.sock.getsockname())
        connection.close()

        assert [(202, "stored"), (200, "arrived"), (200, str(server.pid))] == answers
        assert 1 == len(addresses)
        assert "fail_here" in server.said()
        assert "Exception in ASGI application" not in server.said()


def test_an_idle_server_stops_at_once(world: World) -> None:
    """The queue keeps nobody waiting."""
    with world.serving() as server:
        server.get("/add/note/a")
        wait_until(settled(world, ["a"]), "the job was done")
        seconds = server.stop()

        assert seconds < 1.5
        assert 1 == len(world.effects("down"))
        assert "Traceback" not in server.said()


def test_a_busy_server_stops_within_its_grace(world: World) -> None:
    """What does not end in time goes back as if it had not started; local tasks are drained."""
    with world.serving(GRACE="0.8") as server:
        server.get("/add/gated/long")
        server.get("/add/slow_here/local")
        wait_until(lambda: len(world.effects("start")) == 2, "both tasks had started")
        seconds = server.stop()

        assert 0.7 < seconds < 0.8 + 1.5
        job = world.jobs()["long"]
        assert (State.QUEUED, 0, None) == (job.state, job.attempt, job.worker)
        assert [Outcome.RELEASED] == [attempt.outcome for attempt in job.history]
        assert ["local"] == [effect.text for effect in world.effects("done")]
        assert world.effects("done")[-1].at < world.effects("down")[0].at
        assert "gated" in server.said()

    world.gate.touch()
    with world.serving() as server:
        wait_until(settled(world, ["long"]), "the next server had done the job")
        assert 1 == world.jobs()["long"].attempt


def test_a_job_that_ends_within_the_grace_is_done(world: World) -> None:
    """Stopping waits for it no longer than it takes."""
    with world.serving(GRACE="15") as server, ThreadPoolExecutor(1) as pool:
        server.get("/add/gated/a")
        wait_until(lambda: world.effects("start"), "the job had started")
        stopping = pool.submit(server.stop)
        wait_until(lambda: "Shutting down" in server.said(), "the server was told to stop")
        world.gate.touch()

        assert stopping.result(LONGEST) < 10
        job = world.jobs()["a"]
        assert (State.DONE, 1) == (job.state, job.attempt)
        assert {"a": 1} == done(world)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_tasks_that_never_return_do_not_keep_the_process(world: World, by: signal.Signals) -> None:
    """Plain functions cannot be cancelled; their threads end with the process.

    A coroutine that swallows its cancellation has two seconds to clean up. At SIGINT, or
    Ctrl-C, uvicorn returns and the interpreter waits for what is no daemon.
    """
    with world.serving(GRACE="0.3") as server:
        for path in ("stuck/job", "swallow/again", "stuck_here/local"):
            server.get(f"/add/{path}")
        wait_until(lambda: len(world.effects("start")) == 3, "all tasks had started")
        seconds = server.stop(by)

        assert seconds < 0.3 + 2 + 2.5
        for job in (world.jobs()["job"], world.jobs()["again"]):
            assert (State.QUEUED, 0) == (job.state, job.attempt)
            assert [Outcome.RELEASED] == [attempt.outcome for attempt in job.history]
        assert "swallow ignores its cancellation" in server.said()
        assert "Traceback" not in server.said()
        assert "stuck_here" in server.said()


# ---------------------------------------------------------------- new code

RELOADED = """
import apps_server
from apps_server import PlainTextResponse, Route, app, errands, opened, tell

@errands.task(name="versioned")
async def versioned(text: str) -> None:
    tell("start-{version}", text)
    if {version} == 1:
        await opened()
    tell("done", text)

async def version(request):
    return PlainTextResponse("{version}")

apps_server.TASKS["versioned"] = versioned
app.routes.append(Route("/version", version))
"""


def test_new_code_is_served_soon_and_jobs_go_on(world: World) -> None:
    """With `--reload`, a job that runs when the file changes is taken over by the new code."""
    source = world.folder / "source" / "reloaded.py"
    source.parent.mkdir()
    source.write_text(RELOADED.format(version=1))
    path = {
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTHONDONTWRITEBYTECODE": "1",  # both versions are of one size, and of one second
        "GRACE": "0.3",
    }
    # uvicorn begins to watch one delay after it has started the child, which is quick
    watch = ["--reload", "--reload-dir", str(source.parent), "--reload-delay", "0.01"]

    with world.serving(*watch, app="reloaded:app", cwd=source.parent, **path) as server:
        assert "1" == server.get("/version")
        server.get("/add/versioned/a")
        wait_until(lambda: world.effects("start-1"), "the job had started")
        changed = time.time()
        source.write_text(RELOADED.format(version=2))
        wait_until(lambda: server.text("/version") == "2", "the new code was served", 10)
        wait_until(settled(world, ["a"]), "the new code had done the job")

        job = world.jobs()["a"]
        assert (State.DONE, 1) == (job.state, job.attempt)
        assert [Outcome.RELEASED, Outcome.DONE] == [attempt.outcome for attempt in job.history]
        assert ["start-1", "start-2", "done"] == [effect.what for effect in world.effects("", "a")]
        assert world.effects("start-2")[0].at - changed < 8


MAIN = """
from fasthtml.common import *
from apps_server import WORLD, tell
from errands import Errands
from errands.fasthtml import BackgroundTasks, setup_errands

app, rt = fast_app()
errands = Errands()
setup_errands(app, errands)
tell("imported", __name__)

@errands.task
def keep(text: str) -> None:
    tell("done", text)

def local(text: str) -> None:
    tell("done", text)

@rt("/")
def index():
    return "x"

@rt("/both")
def both(background: BackgroundTasks):
    background.add_task(keep, "job")
    background.add_task(local, "local")
    return "x"

serve(host="127.0.0.1", reload=False)
"""


def test_a_program_that_serves_itself_runs_each_task_once(world: World) -> None:
    """`python main.py` with `serve()` imports the module twice, under two names."""
    program = world.folder / "main.py"
    program.write_text(MAIN)
    path = {"PYTHONPATH": str(Path(__file__).parent)}

    with world.running([sys.executable, str(program)], free_port(), **path) as server:
        server.get("/both")
        wait_until(lambda: len(done(world)) == 2, "both tasks had run")
        wait_until(settled(world, ["job"]), "the job was done")
        seconds = server.stop()

        assert ["__main__", "main"] == [effect.text for effect in world.effects("imported")]
        assert {"job": 1, "local": 1} == done(world)
        assert "__main__" not in world.jobs()["job"].task
        assert seconds < 1.5


# ---------------------------------------------------------------- many processes


@pytest.mark.parametrize("workers", [2, 4])
def test_the_workers_of_one_server_do_each_job_once(world: World, workers: int) -> None:
    """Whichever of them a request came to; and all of them stop together."""
    texts = [str(number) for number in range(60)]
    with world.serving("--workers", str(workers)) as server:
        wait_until(lambda: len(world.effects("up")) == workers, "all workers were up")
        promised = add_many(server, texts)
        wait_until(settled(world, texts), "all jobs were done")
        seconds = server.stop()

        assert texts == promised
        assert dict.fromkeys(texts, 1) == done(world)
        assert {1} == {job.attempt for job in world.jobs().values()}
        assert workers == len({effect.pid for effect in world.effects("down")})
        assert seconds < 5


@pytest.mark.alone
def test_a_job_wakes_up_the_other_process(world: World) -> None:
    """One that only adds; the other is idle, and would look by itself once in a second."""
    with world.serving(WORK="0") as front, world.serving() as back:
        wait_until(lambda: len(world.effects("up")) == 2, "both servers were up")
        waits = []
        for number in range(6):
            before = time.time()
            front.get(f"/add/note/{number}")
            [effect] = wait_until(partial(world.effects, "done", str(number)), "the job was done")
            waits.append(effect.at - before)
            assert back.pid == effect.pid

        assert sorted(waits)[3] < 0.3


def test_a_process_that_only_adds_runs_local_tasks(world: World) -> None:
    """They belong to the process of their request; jobs wait for a worker."""
    with world.serving(WORK="0") as server:
        server.get("/add/note/job")
        server.get("/add/slow_here/local")
        wait_until(lambda: world.effects("done", "local"), "the local task had run")
        server.stop()

        assert State.QUEUED is world.jobs()["job"].state
        assert {"local": 1} == done(world)


# ---------------------------------------------------------------- power cuts


def test_after_a_kill_every_promised_job_is_done(world: World) -> None:
    """Those that ran start once more; those that waited, once."""
    texts = [str(number) for number in range(12)]
    with world.serving(SLOTS="4") as server:
        promised = add_many(server, texts, "gated")
        wait_until(lambda: len(world.effects("start")) == 4, "the slots were full")
        full = {State.RUNNING: 4, State.QUEUED: 8}
        wait_until(
            lambda: full == Counter(job.state for job in world.jobs().values()),
            "what found no slot was queued again",
        )
        server.kill()
    running = {effect.text for effect in world.effects("start")}

    world.gate.touch()
    with world.serving(SLOTS="4"):
        wait_until(settled(world, texts), "all jobs were done")

    starts = Counter(effect.text for effect in world.effects("start"))
    jobs = world.jobs()
    assert texts == promised
    assert {text: 2 if text in running else 1 for text in texts} == starts
    assert dict.fromkeys(texts, 1) == done(world)
    assert starts == {text: job.attempt for text, job in jobs.items()}
    assert {(Outcome.LOST, Outcome.DONE)} == {
        tuple(attempt.outcome for attempt in jobs[text].history) for text in running
    }


def test_a_kill_in_the_midst_of_requests_loses_no_promise(world: World) -> None:
    """Twice: what was answered with 202 is done, and started once more a kill at the most."""
    promised: list[str] = []
    for turn in ("first", "second"):
        texts = [f"{turn}-{number}" for number in range(300)]
        with world.serving() as server, ThreadPoolExecutor(1) as pool:
            adding = pool.submit(add_many, server, texts)
            wait_until(partial(is_busy, world, turn), "some jobs were done")
            server.kill()
            promised += adding.result(LONGEST)
    with world.serving():
        wait_until(settled(world, promised), "every promised job was done")

    assert 30 < len(promised) < 600
    for text, times in done(world).items():
        assert 1 <= times <= (3 if text.startswith("first") else 2)


def test_a_killed_process_is_replaced_at_once_by_its_sibling(world: World) -> None:
    """The operating system drops its lock, so that nobody waits for the end of the lease."""
    with world.serving() as one, world.serving() as other:
        wait_until(lambda: len(world.effects("up")) == 2, "both servers were up")
        one.get("/add/gated/a")
        [first] = wait_until(lambda: world.effects("start"), "the job had started")
        by_pid = {one.pid: one, other.pid: other}
        killed_at = time.time()
        by_pid[first.pid].kill()
        wait_until(lambda: len(world.effects("start")) == 2, "the job had started again")
        second = world.effects("start")[1]
        world.gate.touch()
        wait_until(settled(world, ["a"]), "the job was done")

        assert second.at - killed_at < 2.0
        assert {second.pid} == set(by_pid) - {first.pid}
        assert {"a": 1} == done(world)
        job = world.jobs()["a"]
        assert [Outcome.LOST, Outcome.DONE] == [attempt.outcome for attempt in job.history]


@pytest.mark.alone
def test_a_stopped_process_hands_its_jobs_to_its_sibling(world: World) -> None:
    """At once, and without the attempt being counted: a rolling deploy."""
    with world.serving(GRACE="0.2") as one, world.serving() as other:
        wait_until(lambda: len(world.effects("up")) == 2, "both servers were up")
        one.get("/add/gated/a")
        [first] = wait_until(lambda: world.effects("start"), "the job had started")
        if first.pid != one.pid:
            pytest.fail("a job that is due starts where it was added")
        one.stop()
        stopped_at = time.time()
        wait_until(lambda: len(world.effects("start")) == 2, "the job had started again")
        second = world.effects("start")[1]
        world.gate.touch()
        wait_until(settled(world, ["a"]), "the job was done")

        assert other.pid == second.pid
        assert second.at - stopped_at < 1.0
        job = world.jobs()["a"]
        assert (1, {"a": 1}) == (job.attempt, done(world))
        assert [Outcome.RELEASED, Outcome.DONE] == [attempt.outcome for attempt in job.history]


def test_no_file_is_left_beside_the_store(world: World) -> None:
    """A server that stopped takes its lock and its socket with it."""
    with world.serving() as server:
        wait_until(lambda: os.listdir(f"{world.folder}/errands.db-workers"), "it was enlisted")  # noqa: PTH208  # names alone
        server.stop()

    assert [] == list(world.folder.glob("errands.db-workers"))

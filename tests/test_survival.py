"""What is promised when processes die, freeze or block, and when the disk is full or gone.

`docs/faults.md` is the table of these faults. `KILLS=200` kills more, `JOBS=1000000` runs longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest
from server_driver import HERE, LONGEST, Effect, Server, World, wait_until
from stored_jobs import stored_at

from errands import Errands, Job, Outcome, State
from errands.errors import SchemaTooNew, StoreUnavailable
from errands.stores import store_at
from errands.stores.sqlite import _schema

APP = "apps_survival:app"
KILLS = int(os.environ.get("KILLS", "5"))
JOBS = int(os.environ.get("JOBS", "100000"))
TRIES = 4  # of a measurement, on a machine that may have other work


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def asked(world: World, sql: str) -> list[tuple[Any, ...]]:
    """What the file answers to a connection of its own."""
    db = apsw.Connection(world.url.removeprefix("sqlite:///"))
    try:
        db.set_busy_timeout(5000)
        return list(db.execute(sql).fetchall())
    finally:
        db.close()


def stored(world: World) -> dict[str, Job]:
    """All jobs in the store, however many, by the text that each was given."""
    return stored_at(world.url)


def is_done(world: World, *texts: str) -> bool:
    """Whether the store says so of all these jobs."""
    jobs = stored(world)
    return all(text in jobs and jobs[text].state is State.DONE for text in texts)


def wait_until_done(world: World, *texts: str) -> None:
    wait_until(partial(is_done, world, *texts), lambda: f"done: {stored(world)}")


def outcomes(job: Job) -> list[Outcome]:
    return [attempt.outcome for attempt in job.history]


def output_of(*command: str) -> dict[str, Any]:
    """What one of our programs says in its last line; it has to end well."""
    ended = subprocess.run(
        [sys.executable, str(HERE / command[0]), *command[1:]],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip  # a row
    assert (0, "") == (ended.returncode, ended.stderr)
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


# ---------------------------------------------------------------- kill -9


@dataclass
class Fleet:
    """Two servers on one file, of which one is killed now and then."""

    world: World
    servers: dict[int, Server] = field(default_factory=dict)
    promised: list[str] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    ports: list[int] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def load(self, label: str) -> None:
        """Add jobs, one after another, to whichever server is there."""
        number = 0
        while not self.is_over.is_set():
            number += 1
            text = f"{label}-{number}"
            server = random.choice([*self.servers.values()])
            if server.status(f"/add/step/{text}") == 202:
                self.promised.append(text)

    @contextmanager
    def under_load(self, clients: int) -> Iterator[None]:
        """Have so many clients add jobs while in the block."""
        threads = [
            threading.Thread(target=self.load, args=(str(number),)) for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join(LONGEST)

    def kill(self, slot: int) -> None:
        """End a server as a power cut would."""
        server = self.servers[slot]
        self.killed[server.pid] = time.time()
        server.kill()


@pytest.mark.slow
def test_random_kills_under_load_lose_nothing_and_repeat_little(world: World) -> None:
    """`KILLS` of them, 5 by default; each costs one more start of what ran there, and no more."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    dice, fleet = random.Random(seed), Fleet(world)
    with served_again_and_again(fleet) as restart:
        with fleet.under_load(4):
            for _ in range(KILLS):
                time.sleep(dice.uniform(0.05, 0.3))  # the fault is to come at any time
                slot = dice.randrange(2)
                fleet.kill(slot)
                restart(slot)
        wait_until(lambda: not unfinished(world), f"all jobs had ended; SEED={seed}", 60)
    jobs, starts = stored(world), starts_of(world)

    assert len(fleet.promised) > 10 * KILLS
    assert set(fleet.promised) <= set(jobs), f"SEED={seed}"
    assert any(job.attempt > 1 for job in jobs.values()), f"no kill met a job; SEED={seed}"
    for text, job in jobs.items():
        tries, note = starts[text], f"{text}: {job}, {starts[text]}; SEED={seed}"
        assert State.DONE is job.state, note
        assert [*[Outcome.LOST] * (job.attempt - 1), Outcome.DONE] == outcomes(job), note
        assert 1 <= len(tries) <= job.attempt <= 1 + KILLS, note
        for earlier, later in pairwise(tries):
            assert earlier.pid in fleet.killed, note
            assert fleet.killed[earlier.pid] <= later.at, note
    assert [("ok",)] == asked(world, "pragma integrity_check")


def unfinished(world: World) -> int:
    """How many jobs wait or run."""
    [(number,)] = asked(
        world, "select count(*) from errands_jobs where state in ('queued', 'running')"
    )
    return int(number)


@contextmanager
def served_again_and_again(fleet: Fleet) -> Iterator[Callable[[int], None]]:
    """Two servers, and what starts one anew in its slot."""
    open_ones: list[Any] = []

    def start(slot: int) -> None:
        serving = fleet.world.serving(app=APP)
        fleet.servers[slot] = serving.__enter__()
        open_ones.append(serving)

    try:
        start(0)
        start(1)
        yield start
    finally:
        for serving in open_ones:
            serving.__exit__(None, None, None)


def starts_of(world: World) -> defaultdict[str, list[Effect]]:
    """When and where each job was started, in order."""
    starts: defaultdict[str, list[Effect]] = defaultdict(list)
    for effect in sorted(world.effects("start"), key=lambda effect: effect.at):
        starts[effect.text].append(effect)
    return starts


@pytest.mark.slow
@pytest.mark.alone
def test_a_killed_process_loses_its_jobs_to_its_sibling_within_a_second(world: World) -> None:
    """The best of three, although their leases have an hour to go."""
    waits = []
    with served_again_and_again(fleet := Fleet(world)) as restart:
        for number in range(3):
            world.gate.unlink(missing_ok=True)
            text = f"job{number}"
            fleet.servers[0].get(f"/add/gated/{text}")
            [first] = wait_until(partial(world.effects, "start", text), f"{text} had started")
            slot = next(slot for slot, each in fleet.servers.items() if each.pid == first.pid)
            fleet.kill(slot)
            wait_until(lambda t=text: len(world.effects("start", t)) == 2, f"{text} was taken")  # type: ignore[misc]  # a default argument
            second = world.effects("start", text)[1]
            waits.append(second.at - fleet.killed[first.pid])
            assert {fleet.servers[1 - slot].pid} == {second.pid}
            world.gate.touch()
            wait_until_done(world, text)
            restart(slot)

    assert min(waits) < 1.0, waits


# ---------------------------------------------------------------- frozen, blocked, stopped


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("is_early", [True, False], ids=["while it runs", "when it is done"])
def test_a_frozen_process_loses_its_jobs_after_its_lease(world: World, is_early: bool) -> None:
    """When it wakes, its late outcome is refused and logged; the sibling's is the one kept."""
    with (
        world.serving(app=APP, LEASE="1") as one,
        world.serving(app=APP, LEASE="1") as other,
    ):
        one.get("/add/gated/a")
        [first] = wait_until(lambda: world.effects("start"), "the job had started")
        by_pid = {one.pid: one, other.pid: other}
        frozen = by_pid.pop(first.pid)
        [sibling] = by_pid.values()
        with frozen_for_a_while(frozen) as frozen_at:
            wait_until(lambda: len(world.effects("start")) == 2, "the sibling had taken the job")
            second = world.effects("start")[1]
            if not is_early:
                world.gate.touch()
                wait_until_done(world, "a")
        late = rf"job {stored(world)['a'].id} .* its outcome, \w+, is (refused|dropped)"
        wait_until(
            lambda: re.search(late, frozen.said()), lambda: f"it was logged: {frozen.said()}"
        )
        world.gate.touch()
        wait_until_done(world, "a")
        frozen.get("/add/gated/b")  # it goes on, as before
        wait_until_done(world, "b")

        assert sibling.pid == second.pid
        assert 0.5 < second.at - frozen_at < 1 + 2
        job = stored(world)["a"]
        assert [Outcome.LOST, Outcome.DONE] == outcomes(job)
        assert (State.DONE, 2, str(sibling.pid)) == (job.state, job.attempt, job.result)
        assert 2 == len(world.effects("start", "a"))
        assert not re.search("refused|dropped", sibling.said())


@contextmanager
def frozen_for_a_while(server: Server) -> Iterator[float]:
    """Stop a process as a debugger does, and let it go on at the end of the block."""
    frozen_at = time.time()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield frozen_at
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.alone
def test_a_loop_blocked_for_three_leases_keeps_its_jobs(world: World) -> None:
    """Although a sibling is looking for work; the log names the task that blocks."""
    with (
        world.serving(app=APP, LEASE="0.6") as one,
        world.serving(app=APP, LEASE="0.6") as other,
    ):
        one.get("/add/blocker/2.0")  # seconds: more than three leases
        wait_until_done(world, "2.0")

        [start], [end] = world.effects("start"), world.effects("done")
        assert start.pid == end.pid
        assert end.at - start.at > 3 * 0.6
        job = stored(world)["2.0"]
        assert (1, [Outcome.DONE]) == (job.attempt, outcomes(job))
        blocked = {one.pid: one, other.pid: other}[start.pid].said()
        assert re.search(rf"has been blocked for .* by blocker \(job {job.id}\)", blocked)
        assert "refused" not in blocked


@pytest.mark.slow
@pytest.mark.alone
def test_an_idle_server_ends_within_half_a_second(world: World) -> None:
    """From SIGTERM to the end of its process; the best of three."""
    seconds = []
    for text in ("a", "b", "c"):
        with world.serving(app=APP) as server:
            server.get(f"/add/step/{text}")
            wait_until_done(world, text)
            seconds.append(server.stop())
            assert "Traceback" not in server.said()
        if seconds[-1] < 0.5:
            break

    assert min(seconds) < 0.5, seconds


# ---------------------------------------------------------------- many who write


@pytest.mark.slow
@pytest.mark.alone
def test_many_who_add_at_once_wait_for_nobody_long(world: World) -> None:
    """Eight processes of four threads: never locked, nothing lost, p99 under 50 ms.

    Where all are slow, as on a machine that is busy with other things, nobody waits four times as
    long as they do on average: writers take turns.
    """
    tries = list[str]()
    for number in range(1, 1 + TRIES):
        answers = added_by_eight_processes(world, str(number))
        seconds = sorted(each for answer in answers for each in answer["seconds"])
        p99, mean = seconds[len(seconds) * 99 // 100], sum(seconds) / len(seconds)
        assert [] == [each for answer in answers for each in answer["errors"]]
        assert number * 8 * 4 * 25 == len(stored(world))
        if p99 < 0.05 or (mean > 0.05 / 4 and p99 < 4 * mean):
            break
        tries.append(f"p99 {p99:.4f}, mean {mean:.4f} s")

    assert len(tries) < TRIES, tries
    assert [("ok",)] == asked(world, "pragma integrity_check")


def added_by_eight_processes(world: World, label: str) -> list[dict[str, Any]]:
    """What each of them says, after they have all begun together."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "apps_adders.py"), world.url, f"{label}-{number}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(8)
    ]  # fmt: skip  # a row
    try:
        for process in processes:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        answers = []
        for process in processes:
            assert process.stdout is not None
            answers.append(json.loads(process.stdout.read()))
            assert 0 == process.wait(LONGEST)
        return answers
    finally:
        for process in processes:
            process.kill()
            with process:  # its pipes are closed at the end of the block
                process.wait(LONGEST)


# ---------------------------------------------------------------- a full disk


@dataclass
class Disk(World):
    """A world whose store may find no more room; what happens is written elsewhere."""

    at: Path
    quota: Path
    ballast: Path | None = None

    @property
    def url(self) -> str:
        """The store's."""
        return f"sqlite:///{self.at}/errands.db"

    def serving_here(self) -> AbstractContextManager[Server]:
        """A server whose SQLite knows the quota."""
        if self.ballast is None:
            return self.serving(app=APP, QUOTA=str(self.quota))
        return self.serving(app=APP)

    def fill(self) -> None:
        """Leave no room at all, nor any in the write-ahead log."""
        if self.ballast is None:
            self.quota.touch()
        assert [(0,)] == [row[:1] for row in asked(self, "pragma wal_checkpoint(truncate)")]
        if self.ballast is not None:
            with self.ballast.open("ab", buffering=0) as file, suppress(OSError):
                while file.write(b"x" * 4096):
                    pass

    def clear(self) -> None:
        """Make room again."""
        (self.quota if self.ballast is None else self.ballast).unlink()

    def states(self) -> list[str]:
        """Those of the jobs, from a connection that only reads."""
        return [state for (state,) in asked(self, "select state from errands_jobs order by id")]


@pytest.fixture(params=["quota", "tmpfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be filled: SQLite's file system with a quota, or a real small one."""
    quota, folder = tmp_path / "full", tmp_path / "disk"
    folder.mkdir()
    if request.param == "quota":
        yield Disk(tmp_path, folder, quota)
        return
    mounting = ["mount", "-t", "tmpfs", "-o", "size=2m", "errands", str(folder)]
    if not shutil.which("mount") or subprocess.run(mounting, capture_output=True).returncode:  # noqa: PLW1510  # asked for
        pytest.skip("only root may mount a file system; the quota stands in for it")
    try:
        yield Disk(tmp_path, folder, quota, folder / "ballast")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_who_adds_to_a_full_disk_is_told(disk: Disk) -> None:
    """By StoreFull; what was promised is done, and with room again there is nothing to mend."""
    with disk.serving_here() as server:
        promised = [text for text in "abc" if server.get(f"/add/step/{text}?after=0.5")]
        disk.fill()
        answers = [server.text(f"/add/step/refused-{number}") for number in range(5)]
        disk.clear()
        promised += [text for text in "def" if server.get(f"/add/step/{text}")]
        wait_until_done(disk, *promised)

        assert all(answer and answer.startswith("StoreFull: ") for answer in answers), answers
        assert all(f"{disk.at}/errands.db" in (answer or "") for answer in answers)
        assert list("abcdef") == sorted(stored(disk))
        assert dict.fromkeys("abcdef", 1) == Counter(e.text for e in disk.effects("start"))
        assert [("ok",)] == asked(disk, "pragma integrity_check")


@pytest.mark.slow
def test_a_worker_that_cannot_claim_for_want_of_room_waits_for_it(disk: Disk) -> None:
    """It says so once, and goes on by itself."""
    with disk.serving_here() as server:
        server.get("/add/step/a?after=0.5")
        server.get("/add/step/b?after=0.5")
        disk.fill()
        wait_until(lambda: "the store is unavailable" in server.said(), "the worker said so")
        time.sleep(0.5)  # some tries long
        before = disk.effects("start"), disk.states()
        disk.clear()
        wait_until_done(disk, "a", "b")

        assert ([], ["queued", "queued"]) == before
        assert {"a": 1, "b": 1} == Counter(effect.text for effect in disk.effects("start"))
        assert {1} == {job.attempt for job in stored(disk).values()}
        assert 1 == server.said().count("the store is unavailable")
        assert re.search(r"unavailable.*errands\.db.*Make room", server.said())
        assert [("ok",)] == asked(disk, "pragma integrity_check")


@pytest.mark.slow
def test_an_outcome_that_finds_no_room_is_saved_later(disk: Disk) -> None:
    """The job does not run twice, and its whole result is there."""
    with disk.serving_here() as server:
        server.get("/add/big/a")
        wait_until(lambda: disk.effects("start"), "the job had started")
        disk.fill()
        disk.gate.touch()
        wait_until(lambda: "the store is unavailable" in server.said(), "the worker said so")
        before = len(disk.effects("done")), disk.states()
        disk.clear()
        wait_until_done(disk, "a")

        assert (1, ["running"]) == before
        job = stored(disk)["a"]
        assert (1, [Outcome.DONE]) == (job.attempt, outcomes(job))
        assert '"' + "x" * 400_000 + '"' == job.result
        assert 1 == len(disk.effects("start"))
        assert [("ok",)] == asked(disk, "pragma integrity_check")


# ---------------------------------------------------------------- the file


@pytest.mark.slow
@pytest.mark.parametrize("store", ["inherited", "own"])
def test_a_fork_after_opening_is_refused_or_handled(world: World, store: str) -> None:
    """As `gunicorn --preload` does it: the child is not left hanging, its parent not disturbed."""
    told = output_of("apps_fork.py", world.url, store)
    child = told["child"]

    assert 0 == told["status"]
    assert child["error"] is None or child["is_ours"], f"the child met {child['error']}"
    if child["error"] is not None:
        assert "fork" in child["words"]
    kept = {job_id for (job_id,) in asked(world, "select id from errands_jobs")}
    assert {*told["added"], *child["added"]} == kept
    assert [("ok",)] == asked(world, "pragma integrity_check")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["deleted", "moved", "replaced"])
def test_a_file_that_is_gone_is_no_silence(world: World, fault: str) -> None:
    """The worker's log says so at once, and so is told who adds; nothing is promised."""
    path = world.folder / "errands.db"
    with world.serving(app=APP) as server:
        server.get("/add/step/a")
        wait_until_done(world, "a")
        lose(path, fault)
        wait_until(
            lambda: re.search(r"errands\.db.*(deleted|moved|replaced)", server.said()),
            lambda: f"the log told of it: {server.said()}", 8,
        )  # fmt: skip  # a row
        answer = server.text("/add/step/b") or ""

        assert answer.startswith("StoreUnavailable: "), answer
        assert str(path) in answer
        assert re.search("deleted|moved|replaced", answer)
        assert 1 == len(world.effects("start"))


def lose(path: Path, fault: str) -> None:
    """Take the store's file away, with the two beside it."""
    files = [each for each in path.parent.glob("errands.db*") if each.is_file()]
    if fault == "replaced":
        other = path.with_name("other.db")

        async def make() -> None:
            async with store_at(f"sqlite:///{other}"):
                pass

        asyncio.run(make())
    for file in files:
        if fault == "deleted":
            file.unlink()
        else:
            file.rename(file.with_name(f"lost-{file.name}"))
    if fault == "replaced":
        path.with_name("other.db").rename(path)


@pytest.fixture
def older(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of jobs in a file of the last version; ours is one ahead, and adds a column."""

    async def add() -> list[str]:
        errands = Errands(world.url)
        errands.task(name="t")(one)
        async with errands:
            return [(await errands.add_task(one, str(number))).id for number in range(20)]

    ids = asyncio.run(add())
    monkeypatch.setattr(_schema, "VERSION", _schema.VERSION + 1)
    step = "alter table errands_jobs add column colour text default 'red'"
    monkeypatch.setattr(_schema, "UPGRADES", {**_schema.UPGRADES, _schema.VERSION - 1: step})
    return ids


async def one(text: str) -> str:
    return text


def schema(world: World) -> object:
    [(version,)] = asked(world, "select value from errands_meta where name = 'schema'")
    return version


async def test_a_file_of_an_older_version_is_upgraded(world: World, older: list[str]) -> None:
    """Its jobs are there, and are done."""
    errands = Errands(world.url)
    errands.task(name="t")(one)
    async with errands.working():
        results = [await errands.result(job_id, timeout=LONGEST) for job_id in older]

    assert [str(number) for number in range(20)] == results
    assert _schema.VERSION == schema(world)
    assert [("red", 20)] == asked(world, "select colour, count(*) from errands_jobs group by 1")


async def test_many_may_upgrade_a_file_at_once(world: World, older: list[str]) -> None:
    """As the processes of a web server do after a deploy: one of them does it."""
    stores = [store_at(world.url) for _ in range(6)]
    await asyncio.gather(*(store.__aenter__() for store in stores))
    for store in stores:
        await store.__aexit__(None, None, None)

    assert _schema.VERSION == schema(world)
    assert len(older) == len(asked(world, "select colour from errands_jobs"))


async def test_an_upgrade_that_fails_leaves_the_file_as_it_was(
    world: World, older: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it or nothing; the older version can go on."""
    before = asked(world, "select * from errands_jobs")
    newest = _schema.VERSION
    half = f"{_schema.UPGRADES[newest - 1]}; alter table errands_nothing add column x"
    monkeypatch.setattr(_schema, "UPGRADES", {newest - 1: half})
    with pytest.raises(StoreUnavailable, match="errands_nothing"):
        await opened_and_closed(world)
    assert (newest - 1, before) == (schema(world), asked(world, "select * from errands_jobs"))

    monkeypatch.setattr(_schema, "VERSION", newest - 1)
    async with Errands(world.url) as errands:
        assert len(older) == len(await errands.jobs())


async def test_a_file_of_a_newer_version_is_refused(
    world: World, older: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the version before, after an upgrade; its jobs stay as they were."""
    await opened_and_closed(world)
    before = asked(world, "select * from errands_jobs")
    monkeypatch.setattr(_schema, "VERSION", _schema.VERSION - 1)

    with pytest.raises(SchemaTooNew, match=rf"has schema {_schema.VERSION + 1}.*install"):
        await opened_and_closed(world)
    assert len(older) == len(before)
    assert before == asked(world, "select * from errands_jobs")


async def opened_and_closed(world: World) -> None:
    async with store_at(world.url):
        pass


# ---------------------------------------------------------------- a long life


@pytest.mark.slow
def test_many_jobs_leave_nothing_behind(world: World) -> None:
    """`JOBS` of them, 100,000 by default: under 1 MB more for each 100,000, and no loose end."""
    told = output_of("apps_noop.py", world.url, str(JOBS))

    assert {"done": JOBS} == told["count"]
    assert slope(told["memory"][len(told["memory"]) // 5 :]) * 100_000 < 2**20, told["memory"]
    assert told["before"] == told["after"]


def slope(points: list[tuple[int, int]]) -> float:
    """By how much the second number grows for each one of the first: least squares."""
    middle_x, middle_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    rise = sum((x - middle_x) * (y - middle_y) for x, y in points)
    run = sum((x - middle_x) * (x - middle_x) for x, _ in points)
    return float(rise / run)

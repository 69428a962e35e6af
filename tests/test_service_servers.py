"""Services under real servers: many processes, signals, new code, and power cuts."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from deaths import Anywhere
from server_driver import World, wait_until

pytestmark = pytest.mark.slow

APP = "apps_services:app"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Anywhere:
    """On a store that processes can share."""
    if request.param == "postgres":
        return Anywhere(tmp_path, str(request.getfixturevalue("postgres_url")))
    return Anywhere(tmp_path, f"sqlite:///{tmp_path}/errands.db")


def test_four_workers_have_one_service_together_and_one_each(world: World) -> None:
    """All of them end in order at SIGTERM: before the pool that they use, and the store."""
    with world.serving("--workers", "4", app=APP) as server:
        wait_until(lambda: len(world.effects("begin", "every")) == 4, "each process had its own")
        wait_until(lambda: len(world.effects("begin", "poll")) == 4, "each had its thread")
        wait_until(lambda: world.effects("begin", "follow"), "one process had the one")
        seconds = server.stop()

        assert {4} == {len({e.pid for e in world.effects("begin", t)}) for t in ("every", "poll")}
        assert Counter(e.pid for e in world.effects("begin", "every")) == Counter(
            e.pid for e in world.effects("end", "every")
        )
        assert 4 == len(world.effects("end", "poll"))
        assert len(world.effects("begin", "follow")) == len(world.effects("end", "follow"))
        assert [] == world.effects("no-pool")
        assert is_in_order(world)
        assert seconds < 5
        assert "Traceback" not in server.said()


def is_in_order(world: World) -> bool:
    """Whether in each process no service lived outside of the lifespan."""
    up = {effect.pid: effect.at for effect in world.effects("up")}
    down = {effect.pid: effect.at for effect in world.effects("down")}
    begins = all(up[effect.pid] < effect.at for effect in world.effects("begin"))
    return begins and all(effect.at < down[effect.pid] for effect in world.effects("end"))


@pytest.mark.alone
def test_a_killed_process_loses_its_service_within_a_second(place: Anywhere) -> None:
    """To a sibling, which sees the lock that the system has dropped."""
    with place.serving(app=APP) as one, place.serving(app=APP) as other:
        [begin] = wait_until(lambda: place.effects("begin", "follow"), "one had it")
        holder, heir = (one, other) if begin.pid == one.pid else (other, one)
        before = time.time()
        holder.kill()
        wait_until(lambda: len(place.effects("begin", "follow")) == 2, "the other had it")

        begin = place.effects("begin", "follow")[1]
        assert heir.pid == begin.pid
        assert begin.at - before < 1.0
        assert [] == place.effects("end")


@pytest.mark.alone
def test_a_stopped_process_hands_its_service_over_at_once(place: Anywhere) -> None:
    """As soon as the service has ended there, and not before."""
    with place.serving(app=APP) as one, place.serving(app=APP) as other:
        [begin] = wait_until(lambda: place.effects("begin", "follow"), "one had it")
        holder, heir = (one, other) if begin.pid == one.pid else (other, one)
        holder.stop()
        wait_until(lambda: len(place.effects("begin", "follow")) == 2, "the other had it")

        [end], [_, begin] = place.effects("end", "follow"), place.effects("begin", "follow")
        assert (holder.pid, heir.pid) == (end.pid, begin.pid)
        assert 0 < begin.at - end.at < 0.5


@pytest.mark.alone
def test_a_worker_that_is_killed_is_replaced_and_its_services_as_well(place: Anywhere) -> None:
    """Under one server, whose parent starts another worker."""
    with place.serving("--workers", "2", app=APP) as server:
        wait_until(lambda: len(place.effects("begin", "every")) == 2, "each process had its own")
        [begin] = wait_until(lambda: place.effects("begin", "follow"), "one process had the one")
        before = time.time()
        os.kill(begin.pid, signal.SIGKILL)
        wait_until(lambda: len(place.effects("begin", "follow")) == 2, "another had it")
        assert place.effects("begin", "follow")[1].at - before < 1.0
        wait_until(lambda: len(place.effects("begin", "every")) == 3, "the new worker had its own")
        server.stop()

    assert is_in_order(place)


def test_services_that_do_not_end_do_not_keep_the_server(world: World) -> None:
    """They are cancelled once, given their grace, and named in the log."""
    with world.serving(app=APP, KIND="stubborn", GRACE="0.3") as server:
        wait_until(lambda: len(world.effects("begin")) == 2, "both had begun")
        seconds = server.stop()

        assert 0.3 <= seconds < 0.3 + 3
        assert 1 == len(world.effects("cancelled", "swallow"))
        assert 1 == len(world.effects("down"))
        assert "service swallow did not stop within 0.3 s and is abandoned" in server.said()
        assert "service stuck did not stop within 0.3 s and is abandoned" in server.said()


def test_a_service_that_is_given_up_harms_nobody(world: World) -> None:
    """The application serves, and the other service runs."""
    with world.serving(app=APP, KIND="falling") as server:
        expected = {"fall": "failed", "one": "running"}
        wait_until(lambda: json.loads(server.get("/services")) == expected, "it was given up")
        server.stop()

        assert 3 == len(world.effects("begin", "fall"))
        assert "service fall failed and is given up after 3 starts" in server.said()
        assert "ConnectionError: no exchange" in server.said()

    with world.serving(app=APP, KIND="falling") as server:  # the next start lets it be
        wait_until(lambda: "service fall ended as failed" in server.said(), "it is named")
        assert 3 == len(world.effects("begin", "fall"))


@pytest.mark.alone
def test_worker_processes_have_services_as_well(place: Anywhere) -> None:
    """Two of them, of which one is killed and replaced; and both stop in order."""
    with place.working(processes=2, target="apps_services:errands") as worker:
        wait_until(lambda: len(place.effects("begin", "every")) == 2, "each process had its own")
        [begin] = wait_until(lambda: place.effects("begin", "follow"), "one process had the one")
        before = time.time()
        os.kill(begin.pid, signal.SIGKILL)
        wait_until(lambda: len(place.effects("begin", "follow")) == 2, "another had it")
        assert place.effects("begin", "follow")[1].at - before < 1.0
        wait_until(lambda: len(place.effects("begin", "every")) == 3, "the new child had its own")
        worker.stop()

        assert 0 == worker.process.returncode
        assert len(place.effects("end", "every")) == 2
        assert "no task is declared" not in worker.output


RELOADED = """
import asyncio
import os
os.environ["KIND"] = "none"
from apps_services import app, errands, tell

@errands.service(name="versioned")
async def versioned():
    tell("begin", "version-{version}")
    try:
        await asyncio.Event().wait()
    finally:
        tell("end", "version-{version}")
"""


def test_new_code_is_run_by_the_service_soon(world: World) -> None:
    """With `--reload`; the old one has ended before."""
    source = world.folder / "source" / "reloaded.py"
    source.parent.mkdir()
    source.write_text(RELOADED.format(version=1))
    path = {"PYTHONPATH": str(Path(__file__).parent), "PYTHONDONTWRITEBYTECODE": "1"}
    watch = ["--reload", "--reload-dir", str(source.parent), "--reload-delay", "0.01"]

    with world.serving(*watch, app="reloaded:app", cwd=source.parent, **path):
        wait_until(lambda: world.effects("begin", "version-1"), "the service had begun")
        source.write_text(RELOADED.format(version=2))
        wait_until(lambda: world.effects("begin", "version-2"), "the new one had begun", 10)

        effects = [(e.what, e.text) for e in world.effects() if "version" in e.text]
        assert [("begin", "version-1"), ("end", "version-1"), ("begin", "version-2")] == effects


def test_a_module_that_cannot_be_imported_is_named(world: World) -> None:
    """The server does not start, and its last lines say why."""
    source = world.folder / "broken.py"
    source.write_text("import apps_services\nimport no_such_module\napp = apps_services.app\n")

    with (
        pytest.raises(RuntimeError, match="No module named 'no_such_module'"),
        world.serving(app="broken:app", cwd=world.folder, PYTHONPATH=str(Path(__file__).parent)),
    ):
        pass
    assert [] == world.effects()

"""`errands doctor`: it finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from cli_driver import HOUR, NOW, SECOND, ask, errands, in_terminal, job, keep
from server_driver import wait_until
from worker_driver import Workplace

from errands import Errands, Examination, Heartbeat, Job, Schedule, every
from errands.cli import _checks as checks
from errands.stores import store_at
from errands.testing import JumpingClock

CHECKS = [
    "store", "version", "schema", "clock", "workers", "leases", "tasks", "schedules", "services",
    "paused",
]  # fmt: skip  # a list


STORES = ("sqlite", "postgres")  # that other processes see


def now() -> datetime:
    """Not the instant at which the tests began: what is late by now is told by it."""
    return datetime.now(UTC).replace(microsecond=0)


def worker(name: str = "w", **fields: object) -> Heartbeat:
    """One that is alive."""
    usual: dict[str, object] = {
        "worker": name, "host": "h", "pid": 7, "queues": None, "slots": 5, "running": 1,
        "version": "1", "started_at": NOW - HOUR, "seen_at": now(), "tasks": ("shop.resize",),
    }  # fmt: skip  # a row
    return Heartbeat(**(usual | fields))  # type: ignore[arg-type]  # of several kinds


def schedule(**fields: object) -> Schedule:
    """One that is due in an hour."""
    usual: dict[str, object] = {
        "name": "tidy", "task": "shop.tidy", "spec": every(hours=1).text, "payload": "{}",
        "next_tick": now() + HOUR, "known_at": now(), "known_by": "w",
    }  # fmt: skip  # a row
    return Schedule(**(usual | fields))  # type: ignore[arg-type]  # as above


def make(
    url: str,
    jobs: Sequence[Job] = (),
    workers: Sequence[Heartbeat] = (),
    schedules: Sequence[Schedule] = (),
) -> None:
    """A store that has this."""
    keep(url, jobs)

    async def tell() -> None:
        async with store_at(url) as store:
            for each in workers:
                await store.beat(each)
            if schedules:
                await store.put_schedules(schedules)

    asyncio.run(tell())


def found(url: str) -> dict[str, dict[str, str | None]]:
    """What the doctor finds wrong, by check; its exit status says whether that is anything."""
    ended = errands("doctor", "--json", url=url)
    findings = {each["check"]: each for each in ended.json}
    ill = {name: each for name, each in findings.items() if not each["ok"]}
    assert ended.status == bool(ill)
    assert CHECKS == list(findings)
    return ill


@pytest.mark.slow
def test_a_healthy_store_has_a_line_for_each_check(tmp_path: Path) -> None:
    """With a worker at work; status 0."""
    place = Workplace(tmp_path)
    with place.working():
        wait_until(place.workers, "the worker is known")
        ended = errands("doctor", url=place.url)

    assert 0 == ended.status, ended.out
    assert [("✔", check) for check in CHECKS] == [
        (line.split()[0], line.split()[1]) for line in ended.out.splitlines()
    ]
    assert f"SQLite {apsw.sqlite_lib_version()}" in ended.out


def test_no_worker_at_work_is_ill(url: str) -> None:
    """And nothing else is, in an empty store."""
    make(url)

    [(check, ill)] = found(url).items()

    assert ("workers", "none is at work") == (check, ill["text"])
    assert "start one: errands worker MODULE:NAME" == ill["cure"]


def test_a_silent_worker_is_ill(url: str) -> None:
    """It is named, with its process."""
    make(url, workers=[worker(), worker("lost", seen_at=NOW - HOUR)])

    [(check, ill)] = found(url).items()

    assert "workers" == check
    assert f"nothing was heard of lost (process 7 on h) since {NOW - HOUR:%Y-%m-%d}" in str(
        ill["text"]
    )


def test_a_job_that_nobody_holds_any_more_is_ill(url: str) -> None:
    """Its lease is over, and no worker takes it."""
    lost = job().claimed("dead", NOW - HOUR, HOUR / 2)
    make(url, [lost], workers=[worker()])

    ill = found(url)["leases"]

    assert f"1 job held by nobody any more: {lost.id} (shop.resize)" == ill["text"]


def test_a_task_that_no_worker_knows_is_ill(url: str) -> None:
    """It is named with its queue; a queue for which nobody works has another cure."""
    make(
        url,
        [job(), job(task="shop.gone")],
        workers=[worker()],
    )
    [(check, ill)] = found(url).items()

    assert "tasks" == check
    assert "no worker would take shop.gone in default, since " in str(ill["text"])
    assert "shop.resize" not in str(ill["text"])
    assert "deploy the code that declares it" in str(ill["cure"])


def test_a_queue_for_which_nobody_works_is_ill(url: str) -> None:
    """The task is known."""
    make(url, [job(queue="slow")], workers=[worker(queues=("mail",))])

    ill = found(url)["tasks"]

    assert "shop.resize in slow" in str(ill["text"])
    assert "start a worker for the queue" in str(ill["cure"])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"next_tick": HOUR}, "overdue: tidy"),
        ({"known_at": HOUR}, "no process declares tidy"),
        ({"next_tick": None, "is_paused": True, "known_at": HOUR}, None),
        ({"next_tick": SECOND}, None),
    ],
)
def test_a_schedule_that_nobody_sees_to_is_ill(
    url: str, fields: dict[str, object], text: str | None
) -> None:
    """One that is paused, or due just now, is not."""
    ago = {name: now() - v if isinstance(v, timedelta) else v for name, v in fields.items()}
    make(url, workers=[worker()], schedules=[schedule(**ago)])

    assert text == found(url).get("schedules", {}).get("text")


def test_a_service_that_failed_is_ill(url: str) -> None:
    """It is named."""
    service = job(task="shop.follow", key="service:shop.follow", queue="services", payload="{}")
    make(url, [service.claimed("w", NOW, HOUR).failed("no", NOW)], workers=[worker()])

    [(check, ill)] = found(url).items()

    assert ("services", "not up: shop.follow (failed)") == (check, ill["text"])
    assert "then: errands restart shop.follow" in str(ill["cure"])


def test_what_is_paused_is_told_and_is_in_order(url: str) -> None:
    """Somebody wanted it so."""
    make(url, workers=[worker()])
    ask(url, lambda errands: errands.pause("mail"))

    assert {} == found(url)
    assert "queue mail since " in errands("doctor", url=url).out


def test_a_worker_from_the_future_is_ill(url: str) -> None:
    """The store's clock was set back."""
    make(url, workers=[worker(seen_at=now() + HOUR)])

    assert "was seen in the future" in str(found(url)["clock"]["text"])


@pytest.mark.parametrize(("seconds", "way"), [(-90, "ahead of"), (90, "behind")])
async def test_a_machine_whose_clock_is_wrong_is_ill(seconds: float, way: str) -> None:
    """The store's is the one that counts."""
    clock = JumpingClock()
    async with Errands("memory:", clock=clock) as there:
        clock.jump(datetime.now(UTC) - clock.now() + timedelta(seconds=seconds))
        finding = await checks.clock(there)

    assert not finding.is_well
    assert f" {way} the store's" in finding.text


def test_a_flaw_of_the_engine_is_ill() -> None:
    """What to do comes from the store."""
    sound = Examination(engine="SQLite 3.51.3", schema=4, known=4)
    ill = Examination(engine="SQLite 3.40.1", schema=4, known=4, flaw="update it")

    assert [True] * 3 == [each.is_well for each in checks.of_store(Errands("memory:"), sound)]
    assert ["update it"] == [
        each.cure for each in checks.of_store(Errands("memory:"), ill) if not each.is_well
    ]


def test_an_older_schema_is_ill_and_stays(tmp_path: Path, file: str) -> None:
    """The rest is not looked at, since that would upgrade it."""
    make(file)
    db = apsw.Connection(f"{tmp_path}/errands.db")
    db.execute("update errands_meta set value = 3 where name = 'schema'")

    ended = errands("doctor", url=file)

    [[left]] = db.execute("select value from errands_meta where name = 'schema'")
    db.close()
    assert (1, 3, 3) == (ended.status, left, len(ended.out.splitlines()))
    assert "✘ schema     3, and this version of Errands has" in ended.out


def test_a_store_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """With what to do, and no file is made."""
    ended = errands("doctor", "-s", f"sqlite:///{tmp_path}/typo.db")

    assert 1 == ended.status
    [line] = ended.out.splitlines()
    assert line.startswith(f"✘ store      {tmp_path}/typo.db is not there: correct the path")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_worker_is_found_and_then_its_jobs(tmp_path: Path) -> None:
    """Real processes: the worker is gone, and its job waits for another."""
    place = Workplace(tmp_path)
    with place.working() as command:
        held = place.add("gated", "x")
        wait_until(lambda: place.effects("start", "x"), "its start")
        wait_until(place.workers, "the worker is known")
        command.end()
    db = apsw.Connection(f"{tmp_path}/errands.db")  # as if a minute had passed
    db.execute("update errands_workers set seen_at = seen_at - 60000")
    db.execute("update errands_jobs set free_at = free_at - 60000")
    db.close()

    ended = errands("doctor", url=place.url)

    assert 1 == ended.status
    assert f"(process {command.pid} on " in ended.out
    assert f"✘ leases     1 job held by nobody any more: {held.id} (gated)" in ended.out


@pytest.mark.slow
def test_marks_are_coloured_in_a_terminal(file: str) -> None:
    """And each line stays one."""
    make(file, workers=[])

    status, shown = in_terminal("doctor", "-s", file, columns=200)

    assert 1 == status
    assert ["✔", "✘"] == sorted({line[0] for line in shown.splitlines()})

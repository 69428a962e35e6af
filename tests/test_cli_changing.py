"""The commands that change schedules, services and workers, and what they say of strangers."""

from __future__ import annotations

import pytest
from cli_driver import APP, ask, errands, keep, know, work_once

from errands import State

STORES = ("sqlite", "postgres")  # that other processes see


# Schedules


def test_a_schedule_is_paused_resumed_and_removed(url: str) -> None:
    """By the store alone, whoever declared it."""
    work_once(url)

    def state() -> list[str]:
        return [row[1] for row in errands("schedules", url=url).rows]

    assert "schedule tidy is paused\n" == errands("schedules", "pause", "tidy", url=url).out
    assert ["paused"] == state()
    assert "schedule tidy goes on\n" == errands("schedules", "resume", "tidy", url=url).out
    assert ["on"] == state()
    assert "schedule tidy is removed\n" == errands("schedules", "remove", "tidy", url=url).out
    assert [] == state()


def test_a_schedule_is_run(url: str) -> None:
    """Now, beside its ticks; the answer is the job's id."""
    work_once(url)

    ended = errands("schedules", "run", "tidy", *APP, url=url)

    assert 0 == ended.status
    [job] = ask(url, lambda there: there.jobs(task="shop.tidy"))
    assert (job.id, State.QUEUED) == (ended.out.strip(), job.state)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["run", "nosuch"], 1, "no schedule is named 'nosuch'. There are: 'tidy'."),
        (["pause", "nosuch"], 1, "no schedule is named 'nosuch'"),
        (["run", "tidy"], 1, "name the application, --app app.main:errands"),
        (["run"], 2, "run which schedule?"),
        (["stop", "tidy"], 2, "'stop' is not one of 'run', 'pause', 'resume', 'remove'"),
    ],
)
def test_what_cannot_be_done_to_a_schedule_is_said(
    file: str, arguments: list[str], status: int, said: str
) -> None:
    """With what to do instead."""
    work_once(file)

    ended = errands("schedules", *arguments, url=file)

    assert status == ended.status
    assert said in ended.err


# Services


def test_a_service_is_started_again(url: str) -> None:
    """One whose process has stopped is the next one's; the end of its name will do."""
    work_once(url)

    ended = errands("restart", "follow", url=url)

    assert "service shop.follow was stopped, and starts again\n" == ended.out
    [job] = ask(url, lambda there: there.jobs(queue="services"))
    assert (State.QUEUED, 0) == (job.state, job.attempt)


def test_a_service_is_forgotten(url: str) -> None:
    """With its history."""
    work_once(url)

    ended = errands("forget", "shop.follow", url=url)

    assert "service shop.follow is forgotten\n" == ended.out
    assert [] == errands("services", url=url).rows


@pytest.mark.parametrize("command", ["restart", "forget"])
def test_a_service_that_is_not_there_is_said(file: str, command: str) -> None:
    """With those that there are."""
    work_once(file)

    ended = errands(command, "nosuch", url=file)

    assert 1 == ended.status
    assert "no service of the cluster is named 'nosuch': there are shop.follow" in ended.err


# Workers


def test_a_worker_gets_other_slots(url: str) -> None:
    """And those it began with again; the beginning of its name will do."""
    keep(url)
    know(url, worker="web-1-4711")

    more = errands("set-slots", "web-1", "7", url=url)
    orders = ask(url, lambda there: there.orders())
    as_before = errands("set-slots", "web-1-4711", url=url)

    assert "worker web-1-4711 runs 7 jobs side by side\n" == more.out
    assert [("slots", "web-1-4711", 7)] == [(each.kind, each.name, each.value) for each in orders]
    assert "worker web-1-4711 runs as many jobs as it began with side by side\n" == as_before.out
    assert [] == ask(url, lambda there: there.orders())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["db-1", "7"], 1, "no worker at work is named 'db-1': there are web-1, web-2"),
        (["web", "7"], 1, "'web' begins the names of several workers: web-1, web-2"),
        (["web-1", "0"], 2, "0 is not in the range x>=1"),
    ],
)
def test_what_cannot_be_done_to_a_worker_is_said(
    file: str, arguments: list[str], status: int, said: str
) -> None:
    """With those that there are."""
    keep(file)
    for worker in ("web-1", "web-2"):
        know(file, worker=worker)

    ended = errands("set-slots", *arguments, url=file)

    assert status == ended.status
    assert said in ended.err

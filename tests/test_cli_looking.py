"""The commands that look: what they show of jobs, and that they change nothing."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

import pytest
from cli_driver import (
    APP,
    HOUR,
    NOW,
    SECOND,
    TRACEBACK,
    ask,
    done,
    errands,
    failed,
    job,
    keep,
    know,
    work_once,
)

from errands import Heartbeat, Job, LogLine, Progress
from errands._ids import first_id
from errands.stores import store_at

SECRET = '{"address":"a@b.c","token":"tok-12345","smtp":{"password":"p4ss-w0rd","port":25}}'

STORES = ("sqlite", "postgres")  # that other processes see


# Jobs


def test_jobs_are_listed_newest_first(url: str) -> None:
    """A line for each, its fields parted by tabs, after their titles."""
    old, new = keep(url, [done(queue="mail"), failed()])

    ended = errands("jobs", url=url)

    assert 0 == ended.status
    assert ["id", "state", "task", "queue"] == ended.out.splitlines()[0].split("\t")[:4]
    assert [[new.id, "failed"], [old.id, "done"]] == [row[:2] for row in ended.rows]
    assert "OSError: no route" == ended.rows[0][-1]


@pytest.mark.parametrize(
    "options",
    [
        ["--state", "queued"],
        ["--state", "queued", "--state", "running"],
        ["--queue", "mail"],
        ["--task", "shop.mail"],
        ["--key", "k"],
        ["--group", "g"],
        ["--text", "needle"],
        ["--limit", "1"],
        ["--since", "1h"],
        ["--since", f"{NOW - 2 * HOUR:%Y-%m-%dT%H:%M:%S}", "--until", "0s"],
    ],
)
def test_each_filter_leaves_what_does_not_match(url: str, options: list[str]) -> None:
    """Here, all but one job."""
    other = done(id=first_id(NOW - 3 * HOUR))
    wanted = job(queue="mail", task="shop.mail", key="k", group="g", payload='{"a":"needle"}')
    keep(url, [other, wanted])

    assert [wanted.id] == [each["id"] for each in errands("jobs", *options, "--json", url=url).json]


def test_the_end_of_a_tasks_name_will_do(url: str) -> None:
    """Where only one ends like that of those that somebody knows."""
    [resize, _] = keep(url, [job(task="shop.resize"), job(task="shop.mail")])
    know(url, "shop.resize", "shop.mail", "news.mail")

    found = errands("jobs", "--task", "resize", url=url)
    unclear = errands("jobs", "--task", "mail", url=url)
    cancelled = errands("cancel", "--task", "resize", "--yes", url=url)

    assert [resize.id] == [row[0] for row in found.rows]
    assert (1, "Error: 'mail' ends the names of several tasks: news.mail, shop.mail\n") == (
        unclear.status, unclear.err,
    )  # fmt: skip  # a row
    assert "1 job cancelled, or told to stop\n" == cancelled.out


def test_a_task_that_nobody_knows_is_told(url: str) -> None:
    """Beside the answer, so that a program reads no more than that."""
    keep(url, [job()])
    know(url, "shop.resize")

    for command, said in (("jobs", ""), ("retry", "there are no such jobs")):
        ended = errands(command, "--task", "resiz", url=url)
        assert "no task is known as 'resiz'; there are shop.resize\n" in ended.out + ended.err
        assert 0 == ended.status
        assert said in ended.out


@pytest.mark.parametrize("given", ["tomorrow", "9999999999999w", "2026-13-01"])
def test_what_is_no_time_is_refused(file: str, given: str) -> None:
    """With what to write instead."""
    keep(file, [job()])

    ended = errands("jobs", "--since", given, url=file)

    assert (2, True) == (ended.status, f"Invalid value for '--since': '{given}'" in ended.err)


def test_before_is_the_next_page(file: str) -> None:
    """As the face has it."""
    old, new = keep(file, [job(), job()])

    assert [old.id] == [row[0] for row in errands("jobs", "--before", new.id, url=file).rows]


def test_json_tells_everything(url: str) -> None:
    """With plain names, and instants as ISO 8601."""
    keep(url, [failed(group="g")])

    [told] = errands("jobs", "--json", url=url).json

    assert {"path": "cat.png", "sizes": [1]} == told["arguments"]
    assert ("failed", "g", 1, "w") == (
        told["state"], told["group"], told["attempt"], told["worker"],
    )  # fmt: skip  # a row
    assert (NOW + SECOND).isoformat() == told["finished_at"]


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (job(), "queued"),
        (job(free_at=NOW + HOUR, due_at=NOW + HOUR), "scheduled"),
        (job(blocked_by="jobs", free_at=NOW + 9 * HOUR), "waiting"),
        (job().claimed("w", NOW, HOUR).failed("no", NOW, 3600), "retrying"),
        (job().claimed("w", NOW, HOUR), "running"),
        (job(is_cancelling=True).claimed("w", NOW, HOUR), "stopping"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_state_is_shown_as_people_say_it(file: str, found: Job, word: str) -> None:
    """`state` in the JSON stays what it is."""
    keep(file, [found])

    [told] = errands("jobs", "--json", url=file).json

    assert (word, str(found.state)) == (told["shown_as"], told["state"])


@pytest.mark.parametrize("command", [["jobs"], ["show", "{id}"]])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_secrets_are_hidden(file: str, command: list[str], form: list[str]) -> None:
    """In the arguments by their names, in errors by their values, in URLs by their place."""
    error = "OSError: tok-12345 p4ss-w0rd smtp://me:open-sesame@host"
    [kept] = keep(file, [job(payload=SECRET).claimed("w", NOW, HOUR).failed(error, NOW)])
    arguments = [part.format(id=kept.id) for part in command] + form

    hidden = errands(*arguments, url=file).out
    shown = errands(*arguments, "--reveal", url=file).out

    assert [] == [word for word in ("tok-12345", "p4ss-w0rd", "sesame") if word in hidden]
    assert "smtp://me:•••@host" in hidden
    assert "smtp://me:open-sesame@host" in shown


def test_what_a_stranger_wrote_does_not_reach_the_terminal(file: str) -> None:
    """No escape sequence, no other line, no text that runs backwards."""
    evil = "\x1b]0;title\x07\x1b[31m\u202e[bold]\r\n\x9b2J"
    [kept] = keep(file, [job(task=evil, queue=evil).claimed(evil, NOW, HOUR).failed(evil, NOW)])

    for command in (["jobs"], ["show", kept.id]):
        out = errands(*command, url=file).out
        assert [] == [c for c in out if not c.isprintable() and c not in "\n\t"]
        assert "\\x1b[31m\\u202e[bold]" in out


# One job


def test_show_has_a_timeline(url: str) -> None:
    """Each attempt: how long it waited, how long it ran, who ran it, and what it said."""
    first = job().claimed("w", NOW + SECOND, HOUR).failed(TRACEBACK, NOW + 3 * SECOND, 5)
    [kept] = keep(url, [first.claimed("v", NOW + 9 * SECOND, HOUR).done("7", NOW + 10 * SECOND)])

    ended = errands("show", kept.id, url=url)
    told = errands("show", kept.id, "--json", url=url).json

    assert 0 == ended.status
    assert re.search(r"^state +done$", ended.out, re.MULTILINE)
    assert re.search(r"^result +7$", ended.out, re.MULTILINE)
    assert re.search(r"^1\t.*\t1.0 s\t2.0 s\tfailed\tw$", ended.out, re.MULTILINE)
    assert re.search(r"^2\t.*\t6.0 s\t1.0 s\tdone\tv$", ended.out, re.MULTILINE)
    assert [(1.0, 2.0), (6.0, 1.0)] == [(each["waited"], each["ran"]) for each in told["attempts"]]
    assert "attempt 1 failed:\n  Traceback" in ended.out


def test_show_says_why_a_job_is_not_running(url: str) -> None:
    """As `errands.why` does."""
    [kept] = keep(url, [job(queue="mail")])
    ask(url, lambda errands: errands.pause("mail"))

    assert "The queue 'mail' is paused since" in errands("show", kept.id, url=url).out
    assert "is paused" in errands("show", kept.id, "--json", url=url).json["why"]


def test_show_has_the_attempt_that_runs(file: str) -> None:
    """With how far it is."""
    running = job().claimed("w", NOW, HOUR).progressed(Progress(2, 8, "pages"))
    keep(file, [running])

    out = errands("show", running.id, url=file).out

    assert re.search(r"^progress +2 of 8 pages$", out, re.MULTILINE)
    assert re.search(r"^1\t.*\trunning\tw$", out, re.MULTILINE)


def test_the_beginning_of_an_id_will_do(url: str) -> None:
    """If it is long enough, and only one begins like that."""
    one, two = keep(url, [job(), job()])

    assert two.id == errands("show", two.id[:18], "--json", url=url).json["id"]
    unclear = errands("show", one.id[:13], url=url)
    assert 1 == unclear.status
    assert f"begins more than one id: {two.id}, {one.id}" in unclear.err
    assert "too short" in errands("show", one.id[:4], url=url).err


def test_the_beginning_of_an_id_is_the_next_page(url: str) -> None:
    """What begins none is told; a whole id is a place, also when its job is forgotten."""
    one, two = keep(url, [job(), job()])

    assert [one.id] == [row[0] for row in errands("jobs", "--before", two.id[:18], url=url).rows]
    assert "is no id" in errands("jobs", "--before", "x", url=url).err
    gone = f"{two.id[:-1]}{'0' if two.id[-1] != '0' else '1'}"
    assert 0 == errands("jobs", "--before", gone, url=url).status


def test_a_queue_that_has_no_jobs_is_told(url: str) -> None:
    """With those that have."""
    keep(url, [job(queue="mail")])

    ended = errands("jobs", "--queue", "mial", url=url)

    assert (0, []) == (ended.status, ended.rows)
    assert "there are no jobs in a queue 'mial' so far; there are mail" in ended.err
    assert "there are mail" in errands("retry", "--queue", "mial", "--yes", url=url).out


@pytest.mark.parametrize(
    "command", ["jobs --limit 99999999999999999999", "prune --keep 99999999d --yes"]
)
def test_what_no_store_can_count_is_refused(file: str, command: str) -> None:
    """And not by a traceback."""
    keep(file)

    assert 2 == errands(*command.split(), url=file).status


def test_slots_in_use_are_those_of_the_jobs_that_run(url: str) -> None:
    """What a worker says of itself is some seconds old."""
    keep(url, [job().claimed("web-1", NOW, HOUR), job().claimed("web-1", NOW, HOUR)])
    know(url, worker="web-1")

    [row] = errands("workers", "--json", url=url).json
    assert (2, 5) == (row["running"], row["slots"])
    assert "2 of 5 slots in use" in errands("doctor", url=url).out
    [row] = errands("top", "--json", url=url).json["workers"]
    assert 2 == row["running"]


def test_a_job_that_is_not_there_is_said(url: str) -> None:
    """With the store, and status 1."""
    keep(url)

    ended = errands("show", "01a03b9d-9d43-7000-8000-000000000000", url=url)

    assert 1 == ended.status
    assert re.match(r"Error: there is no job '01a0.*' in .*: `errands jobs` lists", ended.err)
    assert "secret" not in ended.err


# Workers, schedules, services


def test_workers_are_listed(url: str) -> None:
    """One that is silent says so, one that went is left out."""
    keep(url)

    def beat(worker: str, minutes: int, *, is_gone: bool = False) -> Heartbeat:
        seen = datetime.now(UTC).replace(microsecond=0) - minutes * 60 * SECOND
        return Heartbeat(
            worker=worker, host="h", pid=7, queues=("mail",), slots=5, running=2, version="1",
            started_at=NOW - HOUR, seen_at=seen, gone_at=seen if is_gone else None,
        )  # fmt: skip  # a row

    async def tell() -> None:
        async with store_at(url) as store:
            for each in (beat("a", 0), beat("b", 5), beat("c", 5, is_gone=True)):
                await store.beat(each)

    asyncio.run(tell())

    assert [["b", "silent"], ["a", "alive"]] == [
        row[:2] for row in errands("workers", url=url).rows
    ]
    everyone = {
        each["worker"]: each["state"]
        for each in errands("workers", "--all", "--json", url=url).json
    }
    assert {"a": "alive", "b": "silent", "c": "gone"} == everyone


def test_schedules_are_listed_by_the_store_alone(url: str) -> None:
    """Those that a process at work declared."""
    work_once(url)

    [tidy] = errands("schedules", "--json", url=url).json

    assert ("tidy", "0 3 29 2 *", "on") == (tidy["name"], tidy["spec"], tidy["state"])


def test_services_are_listed_by_the_store_alone(url: str) -> None:
    """As a process at work left them."""
    work_once(url)

    [follow] = errands("services", "--json", url=url).json

    assert ("shop.follow", "stopped") == (follow["name"], follow["state"])


def test_a_service_is_shown_with_its_last_lines(url: str) -> None:
    """And why it fell; passwords in URLs are hidden, and nobody steers the terminal."""
    at = NOW - HOUR
    bad = job(task="shop.follow", key="service:shop.follow", queue="services", payload="{}")
    keep(url, [bad.claimed("w", NOW, HOUR).failed(TRACEBACK, NOW, 7200)])
    line = LogLine("shop.follow", at, "WARNING", "no smtp://me:open-sesame@host\x1b[31m")
    know(url, log=(line, LogLine("other", at, "INFO", "not its own")))

    shown = errands("services", "follow", url=url)
    told = errands("services", "shop.follow", "--json", url=url).json

    assert "state       backing off for " in shown.out
    assert f"  {at:%Y-%m-%d %H:%M:%S}  WARNING  no smtp://me:•••@host\\x1b[31m" in shown.out
    assert "  OSError: no route" in shown.out
    assert "not its own" not in shown.out
    assert ("backing off", "WARNING") == (told["state"], told["log"][0]["level"])
    assert (NOW + 2 * HOUR).isoformat() == told["starts_at"]
    assert "in 1h" in errands("services", url=url).rows[0]


def test_a_service_that_nobody_knows_is_not_shown(file: str) -> None:
    """Those that there are, are named."""
    keep(file)

    ended = errands("services", "shop.follow", url=file)

    assert 1 == ended.status
    assert "no service of the cluster is named 'shop.follow': there is none" in ended.err


def test_the_job_of_a_service_shows_no_arguments(url: str) -> None:
    """It was given none."""
    work_once(url)

    [row] = errands("jobs", "--queue", "services", url=url).rows

    assert ("shop.follow", "") == (row[2], row[-1])


def test_an_application_knows_services_that_never_ran(file: str) -> None:
    """They are declared there."""
    keep(file)

    assert [] == errands("services", url=file).rows
    assert [["shop.follow", "stopped"]] == [
        row[:2] for row in errands("services", *APP, url=file).rows
    ]

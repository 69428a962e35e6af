"""The commands that pause, resume and add."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_driver import (
    APP,
    HOUR,
    SECOND,
    ask,
    errands,
    job,
    keep,
    know,
    there,
)

from errands import State

MANY = 3000

STORES = ("sqlite", "postgres")  # that other processes see


@pytest.mark.parametrize(
    ("arguments", "kind", "name"),
    [
        (["mail"], "queue", "mail"),
        (["--task", "shop.resize"], "task", "shop.resize"),
        (["--key", "k"], "key", "k"),
        (["--task", "resize"], "task", "shop.resize"),
        (["--worker", "web-1"], "worker", "web-1-4711"),
    ],
)
def test_things_are_paused_and_resumed(
    url: str, arguments: list[str], kind: str, name: str
) -> None:
    """They are listed meanwhile; the end of a task's name will do, and a worker's beginning."""
    keep(url)
    know(url, "shop.resize", worker="web-1-4711")

    assert f"{kind} {name} is paused\n" == errands("pause", *arguments, url=url).out
    assert [[kind, name]] == [row[:2] for row in errands("pause", url=url).rows]
    assert f"{kind} {name} goes on\n" == errands("resume", *arguments, url=url).out
    again = errands("resume", *arguments, url=url)
    assert 1 == again.status
    assert f"the {kind} {arguments[-1]!r} is not paused" in again.err
    assert [] == ask(url, lambda errands: errands.orders())


def test_a_worker_that_is_not_there_cannot_be_paused(file: str) -> None:
    """It would begin with another name."""
    keep(file)
    know(file, worker="web-1-4711")

    ended = errands("pause", "--worker", "web-2", url=file)

    assert 1 == ended.status
    assert "no worker at work is named 'web-2': there are web-1-4711" in ended.err


def test_what_is_paused_and_unknown_may_be_mistyped(url: str) -> None:
    """It is paused ahead, and the names that there are stand beside."""
    keep(url, [job(queue="mail")])
    know(url, "shop.resize")

    queue, task = errands("pause", "mial", url=url), errands("pause", "--task", "sell", url=url)

    assert (0, "queue mial is paused\n") == (queue.status, queue.out)
    assert "there are no jobs in a queue 'mial' so far; there are mail" in queue.err
    assert (0, "task sell is paused\n") == (task.status, task.out)
    assert "no task is known as 'sell'; there are shop.resize" in task.err
    assert "" == errands("pause", "mail", url=url).err


@pytest.mark.parametrize("kind", [[], ["--task"], ["--key"]])
def test_what_nothing_can_be_called_cannot_be_paused(file: str, kind: list[str]) -> None:
    """It is said in a line."""
    keep(file)

    ended = errands("pause", *kind, 3_000 * "q", url=file)

    assert 1 == ended.status
    assert "is no name that a" in ended.err


def test_a_schedule_that_is_not_there_cannot_be_paused(file: str) -> None:
    """Those that are, are named."""
    keep(file)

    ended = errands("pause", "--schedule", "tidy", url=file)

    assert 1 == ended.status
    assert "no schedule is named 'tidy'. There are: none." in ended.err


# Add


def add(url: str, *arguments: str, given: str | None = None) -> str:
    """The id of a job that was added."""
    ended = errands("add", *APP, *arguments, url=url, given=given)
    assert 0 == ended.status, ended.err
    return ended.out.strip()


def test_a_job_is_added_with_typed_arguments(url: str) -> None:
    """Text after =, JSON after :=, and what the annotations say."""
    keep(url)

    added = add(url, "shop.mail.welcome", "address=7", "at=2026-02-01T00:00:00Z")

    kept = there(url)[added]
    assert ("shop.mail.welcome", "mail", State.QUEUED) == (kept.task, kept.queue, kept.state)
    assert {"address": "7", "at": "2026-02-01T00:00:00Z"} == json.loads(kept.payload)
    second = add(url, "resize", "path=a=b", "sizes:=[1, 2]")
    assert {"path": "a=b", "sizes": [1, 2]} == json.loads(there(url)[second].payload)


def test_arguments_may_come_from_the_standard_input(file: str) -> None:
    """Where no other user of the machine sees them."""
    keep(file)

    added = add(file, "welcome", "--args", "-", given='{"address": "a@b.c", "token": "secret"}')

    assert {"address": "a@b.c", "token": "secret"} == json.loads(there(file)[added].payload)
    assert "secret" not in errands("show", added, url=file).out


def test_a_job_is_added_with_options(file: str) -> None:
    """As `errands.options` has them."""
    keep(file)

    added = add(
        file, "resize", "--args", '{"path": "p", "sizes": []}', "--after", "1h", "--key", "k",
        "--queue", "slow", "--priority", "-3", "--group", "g",
    )  # fmt: skip  # a command
    again = errands("add", *APP, "resize", "path=q", "sizes:=[]", "--key", "k", url=file)

    kept = there(file)[added]
    assert ("k", "slow", -3, "g") == (kept.key, kept.queue, kept.priority, kept.group)
    assert abs((kept.due_at - kept.added_at) - HOUR) < SECOND
    assert (added, 1) == (again.out.strip(), len(there(file)))
    assert "an unfinished job has the key 'k': that one" in again.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nosuch"], 1, "'nosuch' is no task. There are: shop.mail.welcome, shop.resize,"),
        (["resize", "path=p"], 2, "missing required field `sizes`"),
        (["resize", "path=p", "sizes=3"], 2, "NAME=TEXT is text, NAME:=JSON what is not"),
        (["resize", "path=p", "sizes:=[3"], 2, "sizes: this is no JSON"),
        (["resize", "path"], 2, "'path': write path=cat.png for text"),
        (["resize", "--args", "[]"], 2, "--args: write a JSON object"),
        (["resize", "path=p", "sizes:=[]", "--at", "soon"], 2, "'soon': write 2026-02-01T03:00"),
        (["resize", "path=p", "sizes:=[]", "--at", "2030-01-01", "--after", "1h"], 2, "at"),
    ],
)
def test_what_cannot_be_added_is_said(
    file: str, arguments: list[str], status: int, said: str
) -> None:
    """And nothing is."""
    keep(file)

    ended = errands("add", *APP, *arguments, url=file)

    assert status == ended.status
    assert said in ended.err
    assert {} == there(file)


def test_adding_makes_no_file(tmp_path: Path, file: str) -> None:
    """A path that the application got wrong is wrong here, too."""
    ended = errands("add", *APP, "resize", "path=p", "sizes:=[]", url=file)

    assert 1 == ended.status
    assert [] == list(tmp_path.iterdir())

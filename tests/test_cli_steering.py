"""The commands that change jobs: what they ask, what they change, and what they answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_driver import (
    APP,
    HOUR,
    NOW,
    SECOND,
    Terminal,
    ask,
    done,
    errands,
    failed,
    in_terminal,
    job,
    keep,
    there,
)

from errands import State

MANY = 3000


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store that other processes see."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/errands.db"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/errands.db"


# By id


def test_jobs_are_cancelled_by_id(url: str) -> None:
    """One that is queued at once; the beginning of an id will do."""
    first, second = keep(url, [job(), job()])

    ended = errands("cancel", first.id[:18], url=url)

    assert (0, f"{first.id} (shop.resize) cancelled\n") == (ended.status, ended.out)
    assert [State.CANCELLED, State.QUEUED] == [
        there(url)[each.id].state for each in (first, second)
    ]


def test_a_running_job_is_told_to_stop(url: str) -> None:
    """And the answer says that it still runs."""
    running = job().claimed("w", NOW, HOUR)
    keep(url, [running])

    ended = errands("cancel", running.id, url=url)

    assert f"{running.id} (shop.resize) running, and told to stop\n" == ended.out
    assert there(url)[running.id].is_cancelling


def test_jobs_are_retried_by_id(url: str) -> None:
    """Those of the others stay as they are."""
    first, second = keep(url, [failed(), failed()])

    ended = errands("retry", first.id, url=url)

    assert (0, f"{first.id} (shop.resize) queued\n") == (ended.status, ended.out)
    assert State.QUEUED is there(url)[first.id].state
    assert second == there(url)[second.id]


def test_what_cannot_be_changed_is_told_and_the_rest_is_done(url: str) -> None:
    """Status 1."""
    running, over = job().claimed("w", NOW, HOUR), done()
    keep(url, [running, over])

    ended = errands("delete", running.id, "01a03b9d-9d43-7000-8000-000000000000", over.id, url=url)

    assert 1 == ended.status
    assert f"job {running.id} runs at w: cancel it before" in ended.err
    assert "there is no job '01a03b9d" in ended.err
    assert f"{over.id} (shop.resize) forgotten\n" == ended.out
    assert {running.id} == there(url).keys()


# By what they have in common


@pytest.mark.parametrize(
    ("verb", "changed", "said"),
    [
        ("cancel", [State.CANCELLED], "1 job cancelled, or told to stop"),
        ("retry", [State.QUEUED], "1 job queued again"),
        ("delete", [], "1 job forgotten"),
    ],
)
def test_all_that_match_are_changed(url: str, verb: str, changed: list[State], said: str) -> None:
    """And no others."""
    mine, other = (job, failed, done)[["cancel", "retry", "delete"].index(verb)], "pictures"
    [wanted, kept] = keep(url, [mine(queue="mail"), mine(queue=other)])

    ended = errands(verb, "--queue", "mail", "--yes", url=url)

    now = there(url)
    assert (0, f"{said}\n") == (ended.status, ended.out)
    assert changed == [now[wanted.id].state] if wanted.id in now else changed == []
    assert kept == now[kept.id]


def test_retry_by_text_means_what_failed(url: str) -> None:
    """Where no state is named."""
    keep(url, [failed(), failed(payload='{"a":"b"}'), job(), done()])

    ended = errands("retry", "--text", "cat.png", "--yes", url=url)

    assert "1 job queued again\n" == ended.out


def test_nothing_that_matches_is_no_error(file: str) -> None:
    """Nobody is asked."""
    keep(file, [job()])

    ended = errands("retry", "--all", url=file)

    assert (0, "there are no such jobs\n") == (ended.status, ended.out)


@pytest.mark.parametrize("command", ["cancel --all", "prune --keep 0", "retry --queue mail"])
def test_where_nobody_can_be_asked_nothing_happens(file: str, command: str) -> None:
    """The question stands in the error; status 2."""
    before = keep(file, [job(), failed(queue="mail"), done()])

    ended = errands(*command.split(), url=file)

    assert 2 == ended.status
    assert "? Nobody can be asked here: add --yes" in ended.err
    assert {each.id: each for each in before} == there(file)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("retry", "which jobs?"),
        ("cancel 01a03b9d --queue mail", "and not by both"),
        ("delete 01a03b9d --all", "and not by both"),
        ("prune", "Missing option '--keep'"),
        ("prune --keep soon", "'soon': write seconds, or 90s, 15m, 12h, 7d, 2w"),
        ("pause mail --task t", "name one thing, and not queue and task"),
        ("resume", "what? A queue, or --task"),
        ("add shop.resize", "a store alone knows no tasks"),
    ],
)
def test_what_is_unclear_is_refused(file: str, command: str, said: str) -> None:
    """As a usage error, before the store is opened."""
    ended = errands(*command.split(), url=file)

    assert 2 == ended.status
    assert said in ended.err


def test_prune_forgets_what_finished_long_ago(url: str) -> None:
    """And nothing that is younger."""
    old = job().claimed("w", NOW - 3 * HOUR, HOUR).done(None, NOW - 2 * HOUR)
    young = done()
    keep(url, [old, young, job()])

    ended = errands("prune", "--keep", "1h", "--yes", url=url)

    assert (0, "1 job forgotten\n") == (ended.status, ended.out)
    assert old.id not in there(url)
    assert young.id in there(url)


# In a terminal


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 3)])
def test_somebody_is_asked_with_the_number(file: str, answer: str, left: int) -> None:
    """And a no changes nothing."""
    keep(file, [failed() for _ in range(3)])
    terminal = Terminal("retry", "--all", "-s", file)

    terminal.wait_for("Retry 3 jobs? [y/N]:")
    terminal.type(answer)
    status = terminal.end()

    assert (left > 0) == status
    assert left == sum(each.state is State.FAILED for each in there(file).values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "label"),
    [("retry --text cat", "counting"), ("retry --all", "retry"), ("prune --keep 0", "forgotten")],
)
def test_long_work_shows_a_bar(file: str, command: str, label: str) -> None:
    """How much of how much is done."""
    keep(file, [failed() for _ in range(MANY)])

    status, shown = in_terminal(*command.split(), "--yes", "-s", file)

    assert 0 == status
    assert f"{label}  [####################################]  {MANY}/{MANY}" in shown
    assert f"{MANY:,} jobs " in shown


# Pause


@pytest.mark.parametrize(
    ("arguments", "kind", "name"),
    [
        (["mail"], "queue", "mail"),
        (["--task", "shop.resize"], "task", "shop.resize"),
        (["--key", "k"], "key", "k"),
        (["--worker", "w-1"], "worker", "w-1"),
    ],
)
def test_things_are_paused_and_resumed(
    url: str, arguments: list[str], kind: str, name: str
) -> None:
    """They are listed meanwhile."""
    keep(url)

    assert f"{kind} {name} is paused\n" == errands("pause", *arguments, url=url).out
    assert [[kind, name]] == [row[:2] for row in errands("pause", url=url).rows]
    assert f"{kind} {name} goes on\n" == errands("resume", *arguments, url=url).out
    again = errands("resume", *arguments, url=url)
    assert 1 == again.status
    assert f"the {kind} {name!r} is not paused" in again.err
    assert [] == ask(url, lambda errands: errands.orders())


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

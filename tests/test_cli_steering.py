"""The commands that change jobs: what they ask, what they change, and what they answer."""

from __future__ import annotations

import re

import pytest
from cli_driver import (
    HOUR,
    NOW,
    Terminal,
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
IMPATIENT = (
    "import os, signal; from errands.cli import _bar; drawn = _bar._drawn; "
    "_bar._drawn = lambda *of: (os.kill(os.getpid(), signal.SIGINT), drawn(*of))[1]"
)

STORES = ("sqlite", "postgres")  # that other processes see


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


def test_jobs_that_run_cannot_be_forgotten(url: str) -> None:
    """What to do instead is said, and nobody is asked for a yes."""
    keep(url, [job().claimed("w", NOW, HOUR)])

    ended = errands("delete", "--state", "running", url=url)

    assert 1 == ended.status
    assert "Error: a job that runs cannot be forgotten: cancel it before" in ended.err


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
def test_whoever_is_asked_may_leave(file: str) -> None:
    """By Ctrl-C, at once."""
    keep(file, [failed()])
    terminal = Terminal("retry", "--all", "-s", file)

    terminal.wait_for("Retry 1 job? [y/N]:")
    terminal.wait_until_it_reads()
    terminal.interrupt()

    assert 1 == terminal.end()
    assert "Aborted!" in terminal.shown
    assert "0/0" not in terminal.shown
    assert [State.FAILED] == [each.state for each in there(file).values()]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["delete --all", "prune --keep 0"])
def test_whoever_stops_long_work_is_told_how_far_it_is(file: str, command: str) -> None:
    """What was done stays so; the rest is as it was."""
    keep(file, [failed() for _ in range(MANY)])

    # Ctrl-C, as soon as the bar is there
    status, shown = in_terminal(*command.split(), "--yes", "-s", file, before=IMPATIENT)

    [done] = re.findall(r"stopped after ([\d,]+) jobs", shown)
    assert 1 == status
    assert 0 < int(done.replace(",", "")) <= MANY - len(there(file)) < MANY


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

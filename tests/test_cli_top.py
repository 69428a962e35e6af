"""`errands top`: what it shows, in what room, and how it ends."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cli_driver import HOUR, NOW, SECOND, Terminal, ask, done, errands, failed, job, keep
from rich.console import Console
from worker_driver import Workplace

from errands import Errands, Heartbeat, State, Tally
from errands.cli import _top
from errands.cli._drawing import Drawing
from errands.cli._records import of_job, of_worker
from errands.cli._view import Minute, QueueView, View, look
from errands.errors import StoreUnavailable
from errands.stores import store_at

ALT = "\x1b[?1049h"  # the terminal's other screen, which leaves what was there before

STORES = ("sqlite", "postgres")  # that other processes see


def queue(name: str, number: int = 1) -> QueueView:
    return QueueView(
        name=name, queued=number, running=2, failed=3, ended=9, rate=1.5, age=HOUR,
        is_paused=False,
    )  # fmt: skip  # a row


def worker(name: str) -> Heartbeat:
    return Heartbeat(
        worker=name, host="h", pid=7, queues=("mail",), slots=5, running=2, version="1",
        started_at=NOW - HOUR, seen_at=NOW,
    )  # fmt: skip  # a row


def view(number: int) -> View:
    """One with so many of everything."""
    return View(
        address="sqlite:///errands.db",
        now=NOW,
        queues=[queue(f"queue-{n}", n) for n in range(number)],
        workers=[of_worker(worker(f"worker-{n}-{'x' * 60}"), NOW) for n in range(number)],
        failures=[of_job(failed(task="shop." + "t" * 90), NOW) for _ in range(number)],
        hour=[Minute(number * n, number * n // 50) for n in range(60)],
    )


def drawn(seen: View, columns: int = 80, lines: int = 24, trouble: str = "") -> list[str]:
    console = Console(width=columns, height=lines, file=io.StringIO(), record=True)
    console.print(Drawing(seen, 1.0, trouble))
    return console.export_text().splitlines()


@pytest.mark.parametrize("number", [0, 1, 5, 50])
@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60)])
def test_it_fits_the_terminal(number: int, columns: int, lines: int) -> None:
    """However much there is; what is left out is counted."""
    shown = drawn(view(number), columns, lines)

    assert lines >= len(shown)
    assert columns >= max(map(len, shown))
    assert (number == 50) == any("QUEUE and " in line for line in shown)
    assert "q ends" in shown[-1]


def test_the_busiest_queue_comes_first() -> None:
    """And the last row that there is room for is not the quietest."""
    rows = [line.split() for line in drawn(view(50)) if line.startswith("queue-")]

    assert ["queue-49", "49", "2", "3", "1.5", "1h"] == rows[0]


def test_the_last_hour_is_a_row_of_bars() -> None:
    """As high as the busiest minute; what is there has a bar, and the newest are the last."""
    hour = [Minute(), Minute(1), Minute(400), Minute(800, 1)]

    [line] = [line for line in drawn(replace(view(1), hour=hour)) if "last hour" in line]
    quiet = drawn(replace(view(1), hour=[Minute()] * 60))

    assert "last hour  ▁▄█ 800/min at most" == line.rstrip()
    assert [] == [line for line in quiet if "last hour" in line]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_bars_fit_the_terminal(columns: int) -> None:
    """The oldest are left out."""
    [line] = [each for each in drawn(view(50), columns) if "last hour" in each]

    assert columns >= len(line.rstrip())
    assert "█ 2,950/min at most" in line


async def test_the_last_hour_is_that_of_the_history(url: str) -> None:
    """Of all queues and tasks, the minute that has begun as the last."""
    async with store_at(url) as store, Errands(url) as there:
        now = (await store.now()).replace(second=0, microsecond=0)

        def tally(minutes: int, task: str, **counts: int) -> Tally:
            at = now - timedelta(minutes=minutes)
            return Tally(at=at, step=timedelta(minutes=1), queue="q", task=task, counts=counts)

        await store.add_history(
            [tally(61, "a", done=9), tally(5, "a", done=3, failed=2), tally(5, "b", done=1)]
        )
        seen = await look(there)

    assert [Minute(6, 2)] == [each for each in seen.hour if each.ended]
    assert Minute(6, 2) in seen.hour[53:55]  # the next minute may have begun meanwhile
    assert 60 == len(seen.hour)


def test_a_store_that_is_away_leaves_the_picture() -> None:
    """And says so."""
    shown = drawn(view(1), trouble="the store is away: no route")

    assert any(line.startswith("queue-0") for line in shown)
    assert "the store is away: no route" == shown[-1].rstrip()


async def test_what_ended_since_the_look_before_is_the_rate(url: str) -> None:
    """In a second, per queue; where old jobs were forgotten nobody knows."""
    async with store_at(url) as store, Errands(url) as there:
        await store.add([done(queue="mail")])
        first = await look(there)
        earlier = replace(first, now=first.now - 2 * SECOND)
        await store.add([failed(queue="mail"), done(queue="mail"), done(queue="mail"), job()])
        second = await look(there, earlier)
        await there.prune(0)
        third = await look(there, replace(second, now=second.now - SECOND))

    rates = {each.name: each.rate for each in second.queues}
    assert first.rate is None
    assert rates["mail"] == pytest.approx(1.5, rel=0.5)
    assert rates["default"] == 0
    assert None is {each.name: each.rate for each in third.queues}.get("mail")


async def test_the_age_is_that_of_the_job_that_waits_longest(url: str) -> None:
    """Those whose time has not come do not count, nor does a queue that is paused."""
    later = job(due_at=NOW + HOUR, free_at=NOW + HOUR)
    old = job(queue="mail", free_at=NOW - HOUR, due_at=NOW - HOUR)
    async with store_at(url) as store, Errands(url) as there:
        await store.add([later, old, job(queue="mail"), job(queue="slow")])
        await there.pause("slow")
        seen = {each.name: each for each in (await look(there)).queues}

    assert seen["default"].age is None
    assert HOUR <= (seen["mail"].age or timedelta()) < HOUR + 600 * SECOND
    assert (None, True) == (seen["slow"].age, seen["slow"].is_paused)


def test_a_look_that_takes_long_is_followed_by_a_rest() -> None:
    """So that the store has nine tenths of its time for others."""
    assert [1.0, 1.0, 20.0] == [_top.pause_after(seconds) for seconds in (0.001, 0.1, 2.0)]


async def test_a_store_that_goes_away_leaves_what_was_seen(file: str) -> None:
    """And the trouble is told."""
    async with Away(file) as there:
        before = await look(there)
        there.is_away = True
        same, pause, trouble = await _top.next_look(there, before)

    assert (before, 1.0, "the store is away: no route") == (same, pause, trouble)


class Away(Errands):
    """Its store does not answer, once it is away."""

    is_away = False

    async def count(self) -> Mapping[tuple[str, State], int]:
        if self.is_away:
            raise StoreUnavailable("no route")
        return await super().count()


def test_json_looks_once(url: str) -> None:
    """What the picture shows, with its secrets hidden."""
    keep(url, [failed(payload='{"token": "tok-12345"}'), job(queue="mail")])

    told = errands("top", "--json", url=url).json

    assert {"default", "mail"} == {each["name"] for each in told["queues"]}
    assert {"token": "•••"} == told["failures"][0]["arguments"]
    assert [] == told["workers"]


def test_without_a_terminal_there_is_no_picture(file: str) -> None:
    """Status 2, with what to type."""
    keep(file)

    ended = errands("top", url=file)

    assert 2 == ended.status
    assert "this is no terminal: errands top --json looks once" in ended.err


@pytest.mark.slow
def test_without_rich_there_is_no_picture(file: str) -> None:
    """Status 1, with what to install."""
    keep(file)
    terminal = Terminal("top", "-s", file, before="import sys; sys.modules['rich'] = None")

    assert 1 == terminal.end()
    assert "pip install 'errands[cli]'" in terminal.shown


@pytest.mark.slow
@pytest.mark.parametrize("way", ["q", "Ctrl-C"])
def test_it_is_live_until_somebody_has_had_enough(tmp_path: Path, way: str) -> None:
    """It shows what a real worker does meanwhile, and leaves the terminal as it was."""
    place = Workplace(tmp_path)
    with place.working("--slots", "7") as command:
        terminal = Terminal("top", "-s", place.url)
        terminal.wait_for("0/7")
        place.add("note", "x", "mail")
        terminal.wait_for("mail")
        terminal.wait_for("jobs/s")
        if way == "q":
            terminal.type("q")
        else:
            terminal.interrupt()
        status = terminal.end()
        command.stop()

    assert 0 == status
    assert terminal.text.count(ALT) == 1 == terminal.text.count("\x1b[?1049l")
    assert "Traceback" not in terminal.shown


def test_the_look_of_an_empty_store_is_drawn(file: str) -> None:
    """Nobody is at work, and nothing has failed."""
    keep(file)

    shown = drawn(ask(file, look))

    assert any("none is at work" in line for line in shown)

"""The dashboard: each page shows what there is, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from importlib.resources import files
from itertools import cycle
from typing import Any

import pytest
from dashboard_visitor import OURS, rows_of, text_of, visitor
from httpx import AsyncClient, Response
from patience import eventually, soon

from errands import (
    Attempt,
    Errands,
    Job,
    Limit,
    Outcome,
    Sketch,
    State,
    Tally,
    every,
    new_id,
    progress,
    ready,
)
from errands._history import bucket_of
from errands._job import NEVER
from errands.dashboard._markup import join
from errands.dashboard._pages import _job, _jobs
from errands.dashboard._routes import paced
from errands.dashboard._visit import Page
from errands.errors import JobFailed
from errands.testing import JumpingClock

STATIC = files("errands.dashboard").joinpath("static")
PAGES = ("", "jobs", "groups", "errors", "queues", "schedules", "services", "workers")
NUMBERS = cycle(range(0x1000))
NASTY = "<script>alert(1)</script>\"'&\u202eevil\0\ud800"


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def errands(url: str, clock: JumpingClock) -> Errands:
    return Errands(url, clock=clock, grace=2)


@pytest.fixture
async def client(errands: Errands) -> AsyncIterator[AsyncClient]:
    async with errands, visitor(errands) as client:
        yield client


def id_of(at: datetime) -> str:
    """One that sorts by this time, whatever was made before."""
    text = f"{round(at.timestamp() * 1000):012x}"
    return f"{text[:8]}-{text[8:]}-7{next(NUMBERS):03x}-8000-000000000000"


def job_of(errands: Errands, *, ago: float = 0, **fields: Any) -> Job:
    """A job that was added so many seconds ago."""
    at = errands.now() - timedelta(seconds=ago)
    plain = {"id": id_of(at), "task": "shop.sell", "payload": "{}", "due_at": at, "free_at": at}
    return Job(**{**plain, "added_at": at, **fields})


def ended(job: Job, outcome: Outcome, error: str | None = None, ran: float = 1) -> Job:
    """As it is after one attempt, which began half a second after it was due."""
    start = job.due_at + timedelta(seconds=0.5)
    end = start + timedelta(seconds=ran)
    attempt = Attempt(1, "w", start, end, outcome, error)
    return job._with(
        state=State(str(outcome)), attempt=1, worker="w", started_at=start, finished_at=end,
        history=(attempt,), version=3,
    )  # fmt: skip  # a call


async def keep(errands: Errands, *jobs: Job) -> None:
    await errands._engine.store.add(jobs)


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_is_there_when_nothing_else_is(client: AsyncClient, page: str) -> None:
    """It says that there is nothing, and not only by being empty."""
    answer = await client.get(page)

    assert 200 == answer.status_code
    assert 'class="nothing"' in answer.text


async def test_now_counts_what_there_is(client: AsyncClient, errands: Errands) -> None:
    """States and workers; and what failed last."""
    good = [ended(job_of(errands, ago=n + 5), Outcome.DONE) for n in range(3)]
    bad = ended(job_of(errands, ago=9), Outcome.FAILED, "ValueError: no")
    await keep(errands, *good, bad, job_of(errands))

    shown = text_of(await client.get(""))

    assert "Queued 1 Running 0 Failed 1 Done 3 Workers 0 nobody works" in shown
    assert (
        "Fail, last hour - Wait, median - Run, median -" in shown
    )  # nothing was told to the history
    assert "The last hour" not in shown
    assert "ValueError: no" in shown


async def test_now_draws_the_last_hour(
    client: AsyncClient, errands: Errands, clock: JumpingClock
) -> None:
    """Failures, waits and runs, all together and in each minute."""
    clock.jump(30 - errands.now().second)  # in the middle of a minute, so that none is parted

    def tally(minutes: int, counts: dict[str, int], wait: int, run: int) -> Tally:
        at = errands.now().replace(second=0, microsecond=0) - timedelta(minutes=minutes)
        sketches = [Sketch({bucket_of(ms): sum(counts.values())}) for ms in (wait, run)]
        return Tally(
            at=at, step=timedelta(minutes=1), queue="q", task="t", counts=counts,
            wait=sketches[0], run=sketches[1],
        )  # fmt: skip  # a call

    await errands._engine.store.add_history(
        [
            tally(0, {"done": 6}, 1, 2),
            tally(59, {"done": 9, "failed": 5, "retried": 40}, 3, 1000),
            tally(60, {"failed": 1000}, 60_000, 60_000),
        ]
    )

    answer = await client.get("")

    shown = text_of(answer)
    assert "Fail, last hour 25.0 % 1.0 attempts a minute" in shown
    assert "Wait, median 3 ms 95 % within 3 ms" in shown
    assert "Ended a minute at most 54" in shown
    bars = re.findall(r"UTC: (\d[^<]*)<", answer.text)
    assert ["6 done", *["9 done, 40 retried, 5 failed"] * 3] == sorted(bars, key=len)


async def test_jobs_can_be_filtered(client: AsyncClient, errands: Errands) -> None:
    """By state, task, queue, key, group, text, and when they were added."""
    await keep(
        errands,
        job_of(errands, ago=7200, task="a.old"),
        job_of(errands, ago=5, task="a.mail", queue="mail", key="k1"),
        job_of(errands, ago=4, task="a.text", payload='{"to": "ada@example.org"}', group="g"),
        ended(job_of(errands, ago=3, task="a.bad"), Outcome.FAILED, "OSError: disk"),
    )
    hour_ago = f"{errands.now() - timedelta(hours=1):%Y-%m-%dT%H:%M}"

    for query, expected in (
        ({"state": "failed"}, ["bad"]),
        ({"task": "a.mail"}, ["mail"]),
        ({"queue": "mail"}, ["mail"]),
        ({"key": "k1"}, ["mail"]),
        ({"group": "g"}, ["text"]),
        ({"text": "ada@"}, ["text"]),
        ({"text": "disk", "state": "failed"}, ["bad"]),
        ({"text": "disk", "state": "done"}, []),
        ({"since": hour_ago}, ["bad", "text", "mail"]),
        ({"until": hour_ago}, ["old"]),
        ({"state": "nonsense", "since": "nonsense", "until": ""}, ["bad", "text", "mail", "old"]),
    ):
        found = await client.get("jobs", params=query)

        names = re.findall(r'<span class="module">a.</span>(\w+)', found.text)
        assert expected == names, query


async def test_tabs_count_the_states(client: AsyncClient, errands: Errands) -> None:
    """Of the queue that is looked at; a filter of another kind leaves no count that is true."""
    await keep(errands, *(job_of(errands, queue=q) for q in ("a", "a", "b")))

    assert "All 3 Queued 3 Running 0" in text_of(await client.get("jobs"))
    assert "All 2 Queued 2 Running 0" in text_of(await client.get("jobs?queue=a"))
    assert "All Queued Running" in text_of(await client.get("jobs?key=x"))


async def test_jobs_come_a_page_at_a_time(client: AsyncClient, errands: Errands) -> None:
    """Each of them once, newest first, whatever is filtered by."""
    jobs = [job_of(errands, ago=n, task=f"t{n:03d}") for n in range(120)]
    await keep(errands, *jobs)
    seen, link = list[str](), "jobs?state=queued"
    while link:
        answer = await client.get(link)
        seen += re.findall(r"data-row>(t\d+)<", answer.text)
        link = next_of(answer)

    assert [job.task for job in jobs] == seen


def next_of(answer: Response) -> str:
    """The link to the page after this one; empty if there is none."""
    found = re.search(r'<a href="/errands/([^"]+)" rel="next">', answer.text)
    return unescape(found[1]) if found else ""


def linked_jobs(answer: Response) -> list[str]:
    """The ids of the jobs that the rows of a page lead to."""
    return re.findall(r'<a href="/errands/jobs/([^"]+)" data-row>', answer.text)


async def test_a_page_in_the_middle_stays_as_it_is(client: AsyncClient, errands: Errands) -> None:
    """Only the first one is live: nobody wants to lose their place."""
    await keep(errands, *(job_of(errands, ago=n) for n in range(60)))

    first = (await client.get("jobs")).text
    older = (await client.get("jobs", params={"before": job_of(errands, ago=55).id})).text

    assert "hx-trigger" in first
    assert "hx-trigger" not in older
    assert "Newest" in older


async def test_a_filter_looks_through_so_many_jobs_and_no_more(
    errands: Errands, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the newest; then of those before them, four times as many: a link leads there."""
    monkeypatch.setattr(_jobs, "REACH", 3)
    tasks = ["rare" if n in (1, 10) else "many" for n in range(12)]
    jobs = [job_of(errands, ago=20 - n, task=task) for n, task in enumerate(tasks)]
    await keep(errands, *(ended(job, Outcome.DONE) for job in jobs))

    page = await client.get("jobs?task=rare")
    assert [jobs[10].id] == linked_jobs(page)
    assert "Looked through the newest 3 jobs. Look further back" in text_of(page)
    page = await client.get(next_of(page))
    assert [jobs[1].id] == linked_jobs(page)
    assert "Look" not in text_of(page)  # there are no others
    assert "No job matches so far." in text_of(await client.get("jobs?task=nosuch"))


async def test_a_filter_finds_the_one_that_waits_behind_many_others(
    errands: Errands, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a state of which there are few, only those of it count."""
    monkeypatch.setattr(_jobs, "REACH", 3)
    monkeypatch.setattr(_jobs, "REACH_APART", 2)
    queued, failed = (job_of(errands, ago=99 + n, task="rare") for n in range(2))
    others = [ended(job_of(errands, ago=n), Outcome.DONE) for n in range(9)]
    await keep(errands, queued, ended(failed, Outcome.FAILED, "Boom"), *others)

    for state, job in (("queued", queued), ("failed", failed)):
        page = await client.get(f"jobs?task=rare&state={state}")
        assert [job.id] == linked_jobs(page), state
        assert "Look" not in text_of(page)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "queued"),
        ({"free_at": timedelta(minutes=5)}, "scheduled"),
        ({"free_at": timedelta(minutes=5), "attempt": 1}, "retrying"),
        ({"free_at": timedelta(days=900), "blocked_by": "jobs"}, "waiting"),
    ],
)
async def test_a_queued_job_is_shown_as_people_say_it(
    client: AsyncClient, errands: Errands, fields: dict[str, Any], word: str
) -> None:
    """Its time has not come, or it is tried again, or something has to happen first."""
    given = {k: errands.now() + v if k == "free_at" else v for k, v in fields.items()}
    await keep(errands, job_of(errands, **given))

    [row] = rows_of(await client.get("jobs"))

    assert row.startswith(word)


async def test_a_job_shows_all_of_its_life(client: AsyncClient, errands: Errands) -> None:
    """Arguments, result, each attempt with its waits, runs and traceback."""
    job = job_of(errands, ago=60, payload='{"path": "cat.png", "n": 3}', queue="q", key="k")
    first = Attempt(
        1, "w1", job.due_at + timedelta(seconds=2), job.due_at + timedelta(seconds=5),
        Outcome.FAILED, "Traceback:\n  File x\nValueError: no cat",
    )  # fmt: skip  # a row
    last = Attempt(
        2, "w2", job.due_at + timedelta(seconds=9), job.due_at + timedelta(seconds=10), Outcome.DONE
    )
    done = job._with(
        state=State.DONE, history=(first, last), attempt=2, worker="w2", result='{"sizes": 3}',
        started_at=last.started_at, finished_at=last.ended_at, version=5,
    )  # fmt: skip  # a call
    await keep(errands, done)

    answer = await client.get(f"jobs/{job.id}")

    shown = text_of(answer)
    for words in (
        "shop.sell", f"done {job.id}", 'path "cat.png"', "n 3", '{ "sizes": 3 }', "Waited 2.0 s",
        "Ran 1.0 s", "In all 10 s", "done Attempt 2 waited 4.0 s ran 1.0 s",
        "failed Attempt 1 waited 2.0 s ran 3.0 s", "ValueError: no cat", "Queue q", "Key k",
    ):  # fmt: skip  # a list
        assert words in shown, words
    tones = re.findall(r'class="bar (\w+)"', answer.text)
    assert ["wait", "failed", "wait", "done"] == tones
    assert "hx-trigger" not in answer.text  # it does not change any more


async def test_a_job_has_the_buttons_that_do_something(
    client: AsyncClient, errands: Errands
) -> None:
    """One that waits for others, or is due, can only be cancelled."""
    due, later = job_of(errands, task="due"), job_of(errands, ago=-90, task="later")
    waiting = job_of(errands, ago=-90, blocked_by="jobs")
    failed = ended(job_of(errands), Outcome.FAILED, "no")
    for job, buttons in (
        (due, ["Cancel"]), (later, ["Start now", "Cancel"]), (waiting, ["Cancel"]),
        (failed, ["Retry"]),
    ):  # fmt: skip  # a table
        await keep(errands, job)
        page = (await client.get(f"jobs/{job.id}")).text
        head = page.partition('<div class="head">')[2].partition("</div>")[0]

        assert buttons == re.findall(r">([A-Z][a-z ]+)</button>", head)


async def test_a_job_that_waits_for_others_shows_them(
    client: AsyncClient, errands: Errands
) -> None:
    """Those before it above, those after it below, each a link with its state."""
    before = ended(job_of(errands, ago=9, task="first"), Outcome.DONE)
    job = job_of(errands, waits_for=(before.id,), task="second")
    last = job_of(errands, waits_for=(job.id,), task="a.module.of.ours.and.its.third")
    await keep(errands, before, job, last)

    pages = [await client.get(f"jobs/{each.id}") for each in (before, job, last)]

    expected = ["After it", "Before it, and after it", "Before it"]
    drawn = re.compile(r'<a href="/errands/jobs/([^"]+)"[^>]*class="(\w+)"><title>([\w.]+),')
    shown = [(before.id, "done", "first"), (job.id, "queued", "second")]
    shown.append((last.id, "queued", last.task))
    assert [shown[:2], shown, shown[1:]] == [drawn.findall(page.text) for page in pages]
    assert all(title in text_of(page) for title, page in zip(expected, pages, strict=True))
    assert ">third</text>" in pages[2].text


async def test_many_that_wait_for_a_job_are_summed_up(
    client: AsyncClient, errands: Errands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are drawn, the others counted, up to so many."""
    job = job_of(errands)
    after = [job_of(errands, waits_for=(job.id,)) for _ in range(40)]
    many = job_of(errands, waits_for=tuple(each.id for each in after[:4]))
    await keep(errands, job, *after, many)

    page = await client.get(f"jobs/{job.id}")
    four = await client.get(f"jobs/{many.id}")
    monkeypatch.setattr(_job, "MOST", 10)
    longer = await client.get(f"jobs/{job.id}")

    assert "and 37 more" in text_of(page)
    assert 4 == page.text.count('rx="6"')
    assert "more" not in re.findall(r'<div class="graph">.*?</div>', four.text)[0]
    assert "and more than 7 more" in text_of(longer)


async def test_a_queued_job_says_why_it_is_not_running(
    client: AsyncClient, errands: Errands
) -> None:
    """Each thing that keeps it; one that has ended needs no reason."""
    job = job_of(errands, queue="mail", free_at=errands.now() + timedelta(minutes=5))
    done = ended(job_of(errands), Outcome.DONE)
    await keep(errands, job, done)
    await errands.pause("mail")

    shown = text_of(await client.get(f"jobs/{job.id}"))

    why = await errands.why(job)
    assert len(why.reasons) > 1
    for reason in why.reasons:
        assert reason.text in shown
    assert "Why it is not running" not in text_of(await client.get(f"jobs/{done.id}"))


async def test_the_limit_of_a_secret_does_not_tell_it(
    client: AsyncClient, errands: Errands
) -> None:
    """A limit has the value of its argument in its name."""
    secret = "sk_live_42_secret"
    job = job_of(
        errands, payload=f'{{"api_key":"{secret}"}}', blocked_by=f'limit:ask:api_key="{secret}"',
        free_at=NEVER,
    )  # fmt: skip  # a call
    await keep(errands, job)
    page = await client.get(f"jobs/{job.id}")

    assert "Why it is not running" in text_of(page)
    assert secret not in page.text


async def test_a_job_that_is_not_there_is_not_found(client: AsyncClient) -> None:
    """It may have been forgotten."""
    answer = await client.get("jobs/none")

    assert 404 == answer.status_code
    assert "or no longer" in answer.text


async def test_a_running_job_shows_how_far_it_is(url: str) -> None:
    """In the list and on its own page."""
    errands = Errands(url, grace=0)
    has_told = asyncio.Event()

    @errands.task(name="slow")
    async def slow() -> None:
        progress(3, 12, "three of them")
        has_told.set()
        await asyncio.Event().wait()

    async with errands.working(), visitor(errands) as client:
        job = await errands.add_task(slow)
        await soon(has_told.wait())

        async def shown() -> bool:
            pages = [text_of(await client.get(page)) for page in ("", "jobs", f"jobs/{job.id}")]
            return all("3 of 12 three of them" in page for page in pages)

        await eventually(True, shown)
        assert 'value="0.2500"' in (await client.get(f"jobs/{job.id}")).text


TRACE = """Traceback (most recent call last):
  File "/app/shop/{module}.py", line {line}, in {function}
    call()
  File "/venv/lib/python3.12/site-packages/httpx/_client.py", line 9, in send
    raise error
{said}
"""


async def test_the_same_errors_stand_together(client: AsyncClient, errands: Errands) -> None:
    """Whatever numbers and names are in them; another place, task or kind is another error."""

    def failed(ago: float, said: str, function: str = "pay", task: str = "shop.pay") -> Job:
        text = TRACE.format(module="pay", line=ago, function=function, said=said)
        return ended(job_of(errands, ago=ago, task=task), Outcome.FAILED, text)

    await keep(
        errands,
        failed(7200, "TimeoutError: no answer from 'a.example' in 30 s"),
        failed(600, "TimeoutError: no answer from 'b.example' in 31 s"),
        failed(50, "TimeoutError: no answer from 'b.example' in 31 s", function="refund"),
        failed(40, "TimeoutError: no answer from 'b.example' in 31 s", task="shop.check"),
        failed(30, "KeyError: 'b.example'"),
    )

    rows = rows_of(await client.get("errors"))

    assert [
        "KeyError : 'b.example' pay.py, in pay shop. pay 1 28 s ago 28 s ago Retry 1",
        "TimeoutError : no answer from 'b.example' in 31 s pay.py, in pay shop. check 1 38 s ago"
        " 38 s ago Retry 1",
        "TimeoutError : no answer from 'b.example' in 31 s pay.py, in refund shop. pay 1 48 s ago"
        " 48 s ago Retry 1",
        "TimeoutError : no answer from 'b.example' in 31 s pay.py, in pay shop. pay 2 2 h ago"
        " 10 min ago Retry 2",
    ] == [re.sub(r"\s+", " ", row) for row in rows]


async def test_groups_show_how_far_they_are(client: AsyncClient, errands: Errands) -> None:
    """A row for each, backward by name, so many on a page."""
    done = [ended(job_of(errands, ago=90, group="import"), Outcome.DONE) for _ in range(3)]
    bad = ended(job_of(errands, ago=90, group="import"), Outcome.FAILED, "OSError: disk")
    await keep(errands, *done, bad, job_of(errands, group="import"))
    await keep(errands, *(job_of(errands, group=f"a{n:02d}") for n in range(25)), job_of(errands))

    answer = await client.get("groups")

    rows = rows_of(answer)
    assert ["import 4 of 5 1 1 min 30 s 3 done 1 failed", "a24 0 of 1"] == rows[:2]
    assert 20 == len(rows)
    link = re.search(r'<a href="/errands/(groups[^"]+)" rel="next">', answer.text)
    assert link is not None
    assert [f"a{n:02d} 0 of 1" for n in range(5, -1, -1)] == rows_of(await client.get(link[1]))


async def test_a_group_shows_its_jobs(client: AsyncClient, errands: Errands) -> None:
    """And what became of them; by state, if that is asked for."""
    done = ended(job_of(errands, ago=60, group="i/m ?", task="a.one"), Outcome.DONE)
    await keep(errands, done, job_of(errands, group="i/m ?", task="a.two"), job_of(errands))

    answer = await client.get("groups", params={"group": "i/m ?"})
    queued = await client.get("groups", params={"group": "i/m ?", "state": "queued"})

    shown = text_of(answer)
    for words in ("i/m ? 1 of 2 Cancel 1", "Ended 50 %", "All 2 Queued 1 Running 0 Done 1"):
        assert words in shown, words
    names = [re.findall(r'"module">a.</span>(\w+)', each.text) for each in (answer, queued)]
    assert [["two", "one"], ["two"]] == names
    assert 'href="/errands/groups?group=i%2Fm+%3F"' in (await client.get(f"jobs/{done.id}")).text
    assert 404 == (await client.get("groups?group=nobody")).status_code


async def test_queues_show_their_depth(client: AsyncClient, errands: Errands) -> None:
    """A row for each, with its states."""
    await keep(
        errands, job_of(errands, queue="a", ago=20), job_of(errands, queue="b", ago=30),
        ended(job_of(errands, queue="a"), Outcome.DONE), job_of(errands, queue="b", ago=9),
    )  # fmt: skip  # a call

    answer = await client.get("queues")

    assert ["a 1 1 20 s 1 queued Pause", "b 2 30 s 2 queued Pause"] == rows_of(answer)


async def test_of_many_queues_the_deepest_are_shown(client: AsyncClient, errands: Errands) -> None:
    """And those that are paused; the filter has them named, and not chosen from."""
    names = [f"queue-{n:03}" for n in range(300)]
    await keep(errands, *(job_of(errands, queue=name) for name in names))
    await keep(errands, *(job_of(errands, queue="deep") for _ in range(2)))
    await errands.pause("queue-299")

    for page, most in (("", 12), ("queues", 100)):
        rows = rows_of(answer := await client.get(page))
        assert most == len(rows)
        assert rows[0].startswith("deep 2")
        assert rows[-1].startswith("queue-299 paused")
        assert f"{301 - most} more, less deep" in answer.text
    assert '<input type="text" name="queue"' in (await client.get("jobs")).text
    assert ["queue-150"] == [job.queue for job in await errands.jobs(queue="queue-150")]


async def test_slots_in_use_are_those_of_the_jobs_that_run(url: str) -> None:
    """What a worker says of itself is some seconds old."""
    errands, is_over = Errands(url, grace=1, slots=3), asyncio.Event()

    @errands.task(name="wait")
    async def wait() -> None:
        await is_over.wait()

    async with errands.working(), visitor(errands) as client:
        await eventually(1, lambda: _number_of_workers(errands))
        jobs = await errands.add_tasks([(wait,), (wait,)])
        for job in jobs:
            await soon_running(errands, job.id)

        assert "2 of 3 slots in use" in text_of(await client.get(""))
        assert "2 of 3" in rows_of(await client.get("workers"))[0]
        is_over.set()


async def soon_running(errands: Errands, job_id: str) -> None:
    async def is_running() -> bool:
        job = await errands.job(job_id)
        return job is not None and job.state is State.RUNNING

    await eventually(True, is_running)


async def test_queues_show_which_limits_hold(url: str) -> None:
    """How many run of how many, and how many are kept back; those that keep back most first."""
    errands = Errands(url, grace=0)

    @errands.task(name="sync", concurrency=Limit(2, per="customer"))
    async def sync(customer: str) -> None:
        await asyncio.Event().wait()

    @errands.task(name="call", rate="1/h")
    async def call() -> None: ...

    @errands.task(name="ask", concurrency=Limit(9, per="api_key"))
    async def ask(api_key: str) -> None:
        await asyncio.Event().wait()

    async with errands.working(), visitor(errands) as client:
        await errands.add_tasks([(sync, name) for name in "aaaaab"] + [(call,)] * 3)
        await errands.add_task(ask, "sk_live_1")
        expected = ['limit:sync:customer="a" 2 of 2 3 2 running', "rate:call 1/h 2"]
        expected.append("limit:ask:api_key=••• 1 of 9 1 running")
        expected.append('limit:sync:customer="b" 1 of 2 1 running')

        await eventually(expected, lambda: _limits_of(client))


async def _limits_of(client: AsyncClient) -> list[str]:
    return [row for row in rows_of(await client.get("queues")) if ":" in row]


async def test_schedules_can_be_paused_resumed_and_run(url: str) -> None:
    """By their buttons."""
    errands = Errands(url, grace=2)

    @errands.schedule(every(hours=6), "people", name="tidy up")
    async def tidy(what: str) -> None: ...

    async with errands.working(), visitor(errands) as client:
        form = {"schedule": "tidy up", "back": "/errands/schedules"}

        async def told(do: str) -> str:
            answer = await client.post(f"do/{do}", data=form, headers=OURS, follow_redirects=True)
            return text_of(answer)

        assert "on tidy up" in text_of(await client.get("schedules"))
        assert "every 6 h" in text_of(await client.get("schedules"))
        assert "Paused. Schedules" in (paused := await told("pause"))
        assert "paused tidy up" in paused
        assert "on tidy up" in await told("resume")
        await told("run")
        [job] = await errands.jobs()
        assert '{"what": "people"}' == json.dumps(json.loads(job.payload))


async def test_a_schedule_that_is_gone_cannot_be_paused(client: AsyncClient) -> None:
    """The page says which there are."""
    answer = await client.post("do/pause", data={"schedule": "none"}, headers=OURS)

    assert 409 == answer.status_code
    assert "no schedule is named" in answer.text


async def test_why_a_job_failed_stands_where_one_looks_first(
    client: AsyncClient, errands: Errands
) -> None:
    """Above its times and arguments; nothing stands there where a later attempt did it."""
    now = errands.now()
    plain: dict[str, Any] = {"payload": "{}", "added_at": now, "due_at": now, "free_at": now}
    job = Job(id=new_id(now), task="t", **plain).claimed("w", now, timedelta(hours=1))
    again = Job(id=new_id(now), task="t", **plain).claimed("w", now, timedelta(hours=1))
    again = again.failed("OSError: once", now, 0).claimed("w", now, timedelta(hours=1))
    await errands._engine.store.add([job.failed("OSError: no route", now), again.done("1", now)])

    failed = text_of(await client.get(f"jobs/{job.id}"))
    done = text_of(await client.get(f"jobs/{again.id}"))

    assert failed.index("OSError: no route") < failed.index("Time ")
    assert done.index("OSError: once") > done.index("Time ")


def test_a_page_that_takes_long_is_looked_up_seldom() -> None:
    """It keeps the server busy for a twentieth of the time at the most."""
    page = Page("Jobs", join(), live=3)

    assert [3, 3, 4, 200] == [paced(page, took).live for took in (0.0, 0.15, 0.2, 10.0)]
    assert None is paced(replace(page, live=None), 10.0).live


@pytest.mark.errands_falls
async def test_services_show_how_they_do_and_can_be_started(url: str) -> None:
    """One that is up, and one that was given up."""
    errands = Errands(url, grace=1)
    starts = list[int]()

    @errands.service(name="up")
    async def up() -> None:
        ready()
        await asyncio.Event().wait()

    @errands.service(name="down", restart="never")
    async def down() -> None:
        starts.append(1)
        raise ConnectionError("nobody answers")

    async with errands.working(), visitor(errands) as client:
        await errands.started(up, timeout=10)
        with pytest.raises(JobFailed):
            await errands.started(down, timeout=10)

        rows = rows_of(await client.get("services"))
        assert [True, True] == [
            rows[0].startswith("failed down ConnectionError: nobody answers"),
            rows[1].startswith("running up"),
        ]
        await client.post("do/restart", data={"service": "down"}, headers=OURS)
        await eventually(2, lambda: len(starts))


@pytest.mark.errands_falls
async def test_services_show_what_they_logged_and_when_they_start(url: str) -> None:
    """Harmless text, without passwords, the newest line first."""
    errands = Errands(url, grace=1)

    @errands.service(name="feed")
    async def feed() -> None:
        logging.getLogger("shop").warning("<b>lost</b> smtp://me:open-sesame@host")
        raise ConnectionError("nobody answers")

    async with errands.working(), visitor(errands) as client:

        async def is_shown() -> bool:
            answer = await client.get("services")
            assert "<b>lost" not in answer.text
            assert "sesame" not in answer.text
            [row] = rows_of(answer)
            words = ("backing off feed starts again", "WARNING  <b>lost</b> smtp://me:•••@host",
                     "ERROR    service feed failed")  # fmt: skip  # a row
            return all(" ".join(each.split()) in row for each in words)

        await eventually(True, is_shown)


async def test_workers_show_who_is_there(url: str) -> None:
    """And where, and what runs there."""
    errands = Errands(url, grace=1, slots=7, queues=["default", "mail"])

    async with errands.working(), visitor(errands) as client:
        await eventually(1, lambda: _number_of_workers(errands))
        [row] = rows_of(await client.get("workers"))

        worker = errands.worker
        assert worker is not None
        for words in ("alive", worker.worker, f"process {worker.pid}", "0 of 7", "default, mail"):
            assert words in row


async def _number_of_workers(errands: Errands) -> int:
    return len(await errands.workers())


async def test_strange_texts_are_harmless(client: AsyncClient, errands: Errands) -> None:
    """Tags, quotes, what turns the direction, and what is no character: on every page."""
    is_file = "sqlite" in errands.address
    nasty = NASTY.replace("\0", "").replace("\ud800", "") if is_file else NASTY  # as it can keep
    job = ended(
        job_of(
            errands, task=nasty, queue=nasty, key=nasty, group=nasty,
            payload=json.dumps({NASTY: NASTY}),
        ),
        Outcome.FAILED,
        f"Traceback\n{nasty}: {nasty}",
    )  # fmt: skip  # a call
    await keep(errands, job)

    for page in (*PAGES, f"jobs/{job.id}", "jobs?text=%3Cscript%3Ealert(1)%3C/script%3E"):
        text = (await client.get(page)).text
        assert "<script>alert" not in text
        assert not set("\u202e\0") & set(text)
    shown = text_of(await client.get(f"jobs/{job.id}"))
    assert "<script>alert(1)</script>\"'&\\u202eevil\\u0000\\ud800" in shown


@pytest.mark.parametrize(
    "query",
    [
        "text=%00", "before=%00", "key=%ff%fe", "state=%00", "told=<b>",
        f"told=retry&n={'9' * 5_000}&left={'9' * 5_000}",
    ],
)  # fmt: skip  # a table
async def test_strange_questions_are_harmless(client: AsyncClient, query: str) -> None:
    """They find nothing, or everything."""
    answer = await client.get(f"jobs?{query}")

    assert 200 == answer.status_code
    assert "<b>" not in answer.text


async def test_a_long_traceback_is_shown_in_part(client: AsyncClient, errands: Errands) -> None:
    """Its beginning and its end; all of it on a page of its own, as plain text."""
    error = "Traceback: begin\n" + "<x>\n" * 250_000 + "ValueError: the end"
    job = ended(job_of(errands), Outcome.FAILED, error)
    await keep(errands, job)

    page = await client.get(f"jobs/{job.id}")
    whole = await client.get(f"jobs/{job.id}/errors/0")

    assert len(page.text) < 150_000
    for words in ("Traceback: begin", "ValueError: the end", "980 kB left out", "all of it"):
        assert words in page.text
    assert error == whole.text
    for place in ("1", "-1", "01", "x", "9" * 5_000):
        assert 404 == (await client.get(f"jobs/{job.id}/errors/{place}")).status_code
    assert "text/plain; charset=utf-8" == whole.headers["content-type"]
    for path in ("", "jobs", "groups", "errors"):
        assert len((await client.get(path)).text) < 20_000
    assert 404 == (await client.get(f"jobs/{job.id}/errors/1")).status_code


async def test_long_arguments_are_not_laid_out(client: AsyncClient, errands: Errands) -> None:
    """The page says how long they are."""
    job = job_of(errands, payload=json.dumps({"text": "<i>" * 300_000}))
    await keep(errands, job)

    assert "900 kB of arguments" in text_of(await client.get("jobs"))
    assert "too long to be shown" in text_of(await client.get(f"jobs/{job.id}"))


async def test_arguments_that_are_no_json_are_shown(client: AsyncClient, errands: Errands) -> None:
    """Another program may have written them."""
    job = job_of(errands, payload="{'a': <b>")
    await keep(errands, job)

    assert "{'a': <b>" in text_of(await client.get("jobs"))
    assert "{'a': <b>" in text_of(await client.get(f"jobs/{job.id}"))


async def test_a_store_that_is_not_open_is_said_so(errands: Errands) -> None:
    """By a page."""
    async with visitor(errands) as client:
        answer = await client.get("jobs")

    assert 503 == answer.status_code
    assert "The store is not open" in answer.text


async def test_a_file_is_kept_for_good(client: AsyncClient) -> None:
    """Its name changes with what is in it."""
    page = (await client.get("")).text
    names = re.findall(r'(?:href|src)="/errands/(static/[^"]+)"', page)

    assert 4 == len(names)
    for name in names:
        answer = await client.get(name)
        assert 200 == answer.status_code
        assert "immutable" in answer.headers["cache-control"]
        assert hashlib.sha256(answer.content).hexdigest()[:12] in name
    assert 404 == (await client.get("static/SHA256SUMS")).status_code


def test_what_is_not_ours_is_as_it_was_published() -> None:
    """Htmx 2.0.11 from the npm registry, with its licence."""
    lines = STATIC.joinpath("SHA256SUMS").read_text().splitlines()
    listed = {name: mark for mark, name in (line.split("  ") for line in lines)}

    assert {"htmx-LICENSE.txt", "htmx.min.js"} == set(listed)
    for name, mark in listed.items():
        assert mark == hashlib.sha256(STATIC.joinpath(name).read_bytes()).hexdigest()
    assert 'version:"2.0.11"' in STATIC.joinpath("htmx.min.js").read_text()
    assert "Zero-Clause BSD" in STATIC.joinpath("htmx-LICENSE.txt").read_text()


def test_the_style_sheet_is_small() -> None:
    """Under 12 KB, and asks for nothing from elsewhere."""
    text = STATIC.joinpath("dashboard.css").read_bytes()

    assert len(text) < 12_000
    assert b"url(" not in text
    assert b"@import" not in text

"""What the buttons of the dashboard do: retry, cancel, delete, run again, pause, drain."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dashboard_visitor import OURS, rows_of, text_of, visitor
from httpx import AsyncClient, Response
from patience import eventually, soon

from errands import Errands, Job, Retry, State, new_id
from errands._ids import first_id
from errands.dashboard._changes import TASK


async def do(client: AsyncClient, action: str, **form: Any) -> Response:
    """Press a button."""
    return await client.post(f"do/{action}", data=form, headers=OURS)


def told(answer: Response) -> dict[str, str]:
    """What is said of it where it leads."""
    assert answer.status_code == 303, answer.text
    return {
        name: value
        for name, [value] in parse_qs(urlsplit(answer.headers["location"]).query).items()
    }


async def kept(errands: Errands, state: State = State.FAILED, **fields: Any) -> Job:
    """A job of the store, in this state."""
    now = errands.now()
    plain = {"id": new_id(now), "task": "shop.sell", "payload": "{}", "due_at": now, "free_at": now}
    job = Job(**{**plain, "added_at": now, "state": state, **fields})
    [job] = await errands._engine.store.add([job])
    return job


async def states(errands: Errands, *jobs: Job) -> list[str]:
    """Of the jobs, as they are now."""
    found = [await errands.job(job.id) for job in jobs]
    return ["gone" if job is None else str(job.state) for job in found]


async def test_one_job_is_retried_cancelled_or_deleted(errands: Errands) -> None:
    """By the buttons of its page."""
    async with errands, visitor(errands) as client:
        failed, queued = await kept(errands), await kept(errands, State.QUEUED)

        assert {"told": "retry", "n": "1", "left": "0"} == told(
            await do(client, "retry", id=failed.id)
        )
        await do(client, "cancel", id=queued.id)
        assert ["queued", "cancelled"] == await states(errands, failed, queued)
        await do(client, "delete", id=queued.id)
        assert ["queued", "gone"] == await states(errands, failed, queued)


async def test_a_running_job_is_told_to_stop(url: str) -> None:
    """And is cancelled once it has stopped."""
    errands, runs = Errands(url, grace=1), asyncio.Event()

    @errands.task(name="long")
    async def long() -> None:
        runs.set()
        await asyncio.Event().wait()

    async with errands.working(), visitor(errands) as client:
        job = await errands.add_task(long)
        await soon(runs.wait())
        await do(client, "cancel", id=job.id)
        await eventually(["cancelled"], lambda: states(errands, job))


async def test_those_that_are_ticked_are_changed(errands: Errands) -> None:
    """And no others; a row's own button is for that row alone."""
    async with errands, visitor(errands) as client:
        jobs = [await kept(errands) for _ in range(4)]
        page = (await client.get("jobs?state=failed")).text
        assert 4 == page.count('type="checkbox"')
        assert 4 == page.count('data-key="r"')

        await do(client, "retry", id=[job.id for job in jobs[:2]])
        assert ["queued", "queued", "failed", "failed"] == await states(errands, *jobs)
        await do(client, "retry", id=jobs[2].id, one=jobs[3].id)
        assert ["queued", "queued", "failed", "queued"] == await states(errands, *jobs)


async def test_what_has_changed_meanwhile_is_told(errands: Errands) -> None:
    """It is gone, or runs, or another one has its key."""
    async with errands, visitor(errands) as client:
        await kept(errands, State.QUEUED, key="k")
        rival, running = await kept(errands, key="k"), await kept(errands, State.RUNNING)
        good = await kept(errands)

        retried = told(await do(client, "retry", id=[rival.id, "gone", good.id]))
        deleted = told(await do(client, "delete", id=[running.id]))

        assert {"told": "retry", "n": "1", "left": "2"} == retried
        assert {"told": "delete", "n": "0", "left": "1"} == deleted
        shown = text_of(await client.get("jobs", params=retried))
        assert "Queued again: 1. It could not be done with 2" in shown


@pytest.mark.parametrize("form", [{}, {"state": "failed"}, {"all": "no"}])
async def test_nothing_selected_changes_nothing(errands: Errands, form: dict[str, str]) -> None:
    """It is not taken for everything."""
    async with errands, visitor(errands) as client:
        job = await kept(errands)
        answer = await do(client, "delete", **form)

        assert 409 == answer.status_code
        assert "Nothing was selected" in answer.text
        assert ["failed"] == await states(errands, job)


async def test_all_that_match_are_counted_first(errands: Errands) -> None:
    """By a page that changes nothing, and says what it would."""
    async with errands, visitor(errands) as client:
        jobs = [await kept(errands, task=task) for task in ("a", "a", "b")]
        for query, number in (
            ("", 3), ("&state=failed", 3), ("&task=a", 2), ("&task=a&text={", 2), ("&key=none", 0),
            ("&state=queued", 0), ("&state=nonsense", 0),
        ):  # fmt: skip  # a table
            page = (await client.get(f"change?do=retry{query}")).text
            assert (f"Retry {number}<" in page) is bool(number), query
            assert ("There is no job to retry that matches" in page) is (not number)

        assert ["failed"] * 3 == await states(errands, *jobs)


async def test_all_that_match_are_changed_at_once_where_nobody_works(errands: Errands) -> None:
    """Those of the state and the filter alone."""
    async with errands, visitor(errands) as client:
        jobs = [await kept(errands, task=task) for task in ("a", "a", "b")]
        jobs.append(await kept(errands, State.DONE, task="a"))

        answer = await do(client, "retry", all="yes", task="a")

        assert {"told": "retry", "n": "2"} == told(answer)
        assert ["queued", "queued", "failed", "done"] == await states(errands, *jobs)
        assert {"told": "delete", "n": "0"} == told(
            await do(client, "delete", all="yes", state="x")
        )


async def test_all_that_match_are_changed_by_a_job(url: str) -> None:
    """Where this process is at work; its result is how many those were."""
    errands = Errands(url, grace=1, queues=["mail"])

    async with errands.working(), visitor(errands) as client:
        jobs = [await kept(errands, task=task) for task in ("a", "a", "b")]
        answer = await do(client, "cancel", all="yes", task="a")
        assert {"told": "begun"} == told(answer)
        [first] = await errands.jobs(task=TASK)
        assert 0 == await errands.result(first, timeout=10)  # those have ended already

        answer = await do(client, "delete", all="yes", task="a")
        [job, _] = await errands.jobs(task=TASK)
        assert answer.headers["location"].startswith(f"/errands/jobs/{job.id}?")
        assert 2 == await errands.result(job, timeout=10)
        assert ["gone", "gone", "failed"] == await states(errands, *jobs)
        assert "127.0.0.1" == json.loads(job.payload)["who"]
        shown = text_of(await client.get(answer.headers["location"].removeprefix("/errands/")))
        assert "This job changes all that match" in shown


async def test_a_time_is_never_forgotten(errands: Errands) -> None:
    """All that match are those that were added then, also on the page that asks for a yes."""
    async with errands, visitor(errands) as client:
        old = await kept(errands, id=first_id(errands.now() - timedelta(hours=2)))
        new = [await kept(errands) for _ in range(2)]
        since = f"{errands.now() - timedelta(hours=1):%Y-%m-%dT%H:%M}"

        listed = await client.get("jobs", params={"since": since, "state": "failed"})
        [link] = re.findall(r'href="/errands/([^"]*do=retry[^"]*)"', listed.text)
        asked = text_of(await client.get(unescape(link)))
        await do(client, "retry", all="yes", since=since)

        assert f"Added since {since.replace('T', ' ')}:00 UTC" in asked
        assert "Retry 2 Back" in asked
        assert ["failed", "queued", "queued"] == await states(errands, old, *new)


@pytest.mark.parametrize("name", ["since", "until"])
async def test_what_is_no_time_changes_nothing(url: str, name: str) -> None:
    """Instead of everything; also where a job would do it."""
    errands = Errands(url, grace=1)
    async with errands, visitor(errands) as client:
        job = await kept(errands)

        answers = [
            await client.get("change", params={"do": "delete", name: "tomorrow"}),
            await do(client, "delete", all="yes", **{name: "tomorrow"}),
        ]
        async with errands.working():
            answers.append(await do(client, "delete", all="yes", **{name: "tomorrow"}))

        assert [409] * 3 == [answer.status_code for answer in answers]
        assert "'tomorrow' is no time" in unescape(answers[0].text)
        assert [job] == await errands.jobs()


async def test_to_delete_is_asked_for_twice(errands: Errands) -> None:
    """The first page shows what would go."""
    async with errands, visitor(errands) as client:
        jobs = [await kept(errands) for _ in range(3)]
        ids = [job.id for job in jobs[:2]]

        page = await client.get("change", params={"do": "delete", "id": ids})

        assert "Delete 2<" in page.text
        assert 2 == len(rows_of(page))
        assert ["failed"] * 3 == await states(errands, *jobs)
        await do(client, "delete", id=ids)
        assert ["gone", "gone", "failed"] == await states(errands, *jobs)


async def test_the_same_error_is_retried_wherever_it_was(errands: Errands) -> None:
    """By the button of its row."""
    from test_dashboard import TRACE

    from errands import Attempt, Outcome

    async with errands, visitor(errands) as client:
        now, jobs = errands.now(), list[Job]()
        for said in ("TimeoutError: 1", "TimeoutError: 2", "KeyError: 'a'"):
            text = TRACE.format(module="m", line=1, function="f", said=said)
            attempt = Attempt(1, "w", now, now, Outcome.FAILED, text)
            jobs.append(await kept(errands, history=(attempt,)))
        page = (await client.get("errors")).text
        [row] = [row for row in page.split("<tr>") if "TimeoutError" in row]
        ids = [part.partition('"')[0] for part in row.split('name="id" value="')[1:]]

        await do(client, "retry", id=ids)

        assert ["queued", "queued", "failed"] == await states(errands, *jobs)


@pytest.fixture
def pay(errands: Errands) -> Errands:
    @errands.task(name="pay", queue="money", retry=Retry(attempts=1))
    async def pay(amount: int, to: dict[str, str], api_key: str) -> str:
        return f"{amount} {to['name']} {api_key}"

    return errands


PAY = {"amount": 1, "to": {"name": "ada", "pin": "0000"}, "api_key": "sk_live_1"}


async def test_a_job_is_run_again_with_other_arguments(pay: Errands) -> None:
    """What was hidden stays as it was; the first job does, too."""
    async with pay.working(), visitor(pay) as client:
        job = await kept(pay, task="pay", payload=json.dumps(PAY), queue="money", group="g")
        page = (await client.get(f"jobs/{job.id}")).text
        shown = page.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
        assert "sk_live_1" not in page
        edited = shown.replace('"amount": 1', '"amount": 2').replace("ada", "bob")

        answer = await do(client, "again", id=job.id, arguments=edited)

        new = await pay.job(answer.headers["location"].partition("jobs/")[2].partition("?")[0])
        assert new is not None
        assert "2 bob sk_live_1" == await pay.result(new, timeout=10)
        assert {"amount": 2, "to": {"name": "bob", "pin": "0000"}, "api_key": "sk_live_1"} == (
            json.loads(new.payload)
        )
        assert ("money", "g", None) == (new.queue, new.group, new.key)
        assert ["failed"] == await states(pay, job)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{", "The arguments are no JSON"),
        ("[1]", "no JSON object"),
        ("[" * 100_000, "The arguments are no JSON"),
        ('{"amount": "much"}', "pay: arguments cannot be read"),
    ],
)
async def test_arguments_that_cannot_be_meant_are_refused(
    pay: Errands, arguments: str, said: str
) -> None:
    """Nothing is added, and the page says what is wrong."""
    async with pay, visitor(pay) as client:
        job = await kept(pay, task="pay", payload=json.dumps(PAY))
        answer = await do(client, "again", id=job.id, arguments=arguments)

        assert 409 == answer.status_code
        assert said in answer.text
        assert 1 == len(await pay.jobs())


async def test_a_task_of_another_process_cannot_be_edited(errands: Errands) -> None:
    """Nobody here can tell whether the arguments fit."""
    async with errands, visitor(errands) as client:
        job = await kept(errands, task="elsewhere")

        assert "<textarea" not in (await client.get(f"jobs/{job.id}")).text
        assert 409 == (await do(client, "again", id=job.id, arguments="{}")).status_code


async def test_a_queue_is_paused_and_goes_on(errands: Errands) -> None:
    """It says so, also when it is empty."""
    async with errands, visitor(errands) as client:
        await kept(errands, State.QUEUED, queue="mail")

        for queue in ("mail", "empty"):
            await do(client, "pause", queue=queue)
        assert {("queue", "empty"), ("queue", "mail")} == {
            (o.kind, o.name) for o in await errands.orders()
        }
        assert ["empty paused Resume", "mail paused 1 1 queued Resume"] == rows_of(
            await client.get("queues")
        )
        await do(client, "resume", queue="mail")
        await do(client, "resume", queue="empty")
        assert ["mail 1 1 queued Pause"] == rows_of(await client.get("queues"))


async def test_what_else_is_paused_is_shown(errands: Errands) -> None:
    """A task, and the job of a key."""
    async with errands, visitor(errands) as client:
        await errands.pause(task="shop.sell")

        assert "task shop.sell" in rows_of(await client.get("queues"))[0]
        await do(client, "resume", task="shop.sell")
        assert [] == await errands.orders()


@pytest.mark.parametrize(
    ("action", "form"),
    [
        ("pause", {"queue": "q" * 10_000}),
        ("pause", {"queue": "\0"}),
        ("slots", {"worker": "w", "slots": "9" * 5_000}),
    ],
)
async def test_what_nothing_can_be_called_is_refused(
    errands: Errands, action: str, form: dict[str, str]
) -> None:
    """And the page says so."""
    async with errands, visitor(errands) as client:
        answer = await do(client, action, **form)

        assert 409 == answer.status_code
        assert "This cannot be done" in answer.text
        assert [] == await errands.orders()


async def test_what_an_action_said_is_not_said_again(errands: Errands) -> None:
    """By the next one, nor by the links of the page."""
    async with errands, visitor(errands) as client:
        await kept(errands, State.QUEUED)
        page = await client.get("queues?told=retry&n=3&left=1")

        assert "Queued again: 3. It could not be done with 1" in text_of(page)
        assert 'name="back" value="/errands/queues"' in page.text


@pytest.mark.parametrize("form", [{}, {"queue": "a", "task": "b"}])
async def test_one_thing_is_paused_at_a_time(errands: Errands, form: dict[str, str]) -> None:
    """Else nothing is."""
    async with errands, visitor(errands) as client:
        assert 409 == (await do(client, "pause", **form)).status_code
        assert [] == await errands.orders()


async def test_a_worker_is_drained_and_gets_other_slots(url: str) -> None:
    """By the buttons of its row."""
    errands = Errands(url, grace=1, slots=4)

    async with errands.working(), visitor(errands) as client:
        worker = errands.worker
        assert worker is not None
        await do(client, "pause", worker=worker.worker)

        async def shown() -> str:
            return next(iter(rows_of(await client.get("workers"))), "").partition(" ")[0]

        await eventually("drained", shown)
        await do(client, "resume", worker=worker.worker)
        await eventually("alive", shown)
        await do(client, "slots", worker=worker.worker, slots="9")
        await eventually(9, lambda: errands.worker and errands.worker.slots)
        await do(client, "slots", worker=worker.worker, slots="")
        await eventually(4, lambda: errands.worker and errands.worker.slots)
        for slots in ("0", "-1", "many", "99999"):
            assert 409 == (await do(client, "slots", worker="w", slots=slots)).status_code


async def test_a_reader_declares_nothing(errands: Errands) -> None:
    """A dashboard without buttons leaves the tasks as they are."""
    async with errands, visitor(errands, read_only=True) as client:
        assert [] == errands.tasks
        await kept(errands)
        for page in ("jobs", "errors", "queues"):
            text = (await client.get(page)).text
            assert "<button" not in text.partition("<main")[2].partition("<dialog")[0].replace(
                "<button>Filter</button>", ""
            )


async def test_two_dashboards_of_one_object_get_along(errands: Errands) -> None:
    """One for readers of the company, one for admins."""
    async with visitor(errands), visitor(errands):
        assert [TASK] == errands.tasks

"""`GroupProgress`: a bar that says how far many jobs are, and asks again until all have ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fasthtml.common import Div, P
from fasthtml_site import PATIENCE, Site
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from test_fasthtml_status import HTMX, address_of, rendered

from errands import Errands, Group, State
from errands.fasthtml import GroupProgress
from errands.testing import drain

JSON = {"accept": "application/json"}
NAMES = ["import-42", "a/events", "../b", "50 % & more?", "línea\n2", "<script>", "x.y", "."]


def group(name: str = "g", /, **counts: int) -> Group:
    return Group(name=name, counts={State(state): number for state, number in counts.items()})


def numbers_in(page: str) -> tuple[str, ...]:
    """What a bar says: how much of how much, as an attribute and as text."""
    [bar] = re.findall("<progress[^>]*>", page)
    found = [re.search(f'{name}="([^"]*)"', bar) for name in ("value", "max")]
    return tuple(match[1] for match in found if match)


class Import:
    """A site with `/start`, which adds a group of three jobs; one fails, when all may end."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.site = Site(folder, **options)
        self.may_end = Event()
        self.task = self.site.errands.task(name="work")(self._work)
        self.site.get("/start")(self._start)
        self.site.get("/login")(self._login)

    @contextmanager
    def client(self) -> Iterator[Any]:
        with self.site.client() as client:
            try:
                yield client
            finally:
                self.may_end.set()

    def end(self, client: Any) -> None:
        """Return once all jobs have ended."""
        self.may_end.set()
        client.portal.call(drain, self.site.errands)

    def _work(self, number: int) -> None:
        self.may_end.wait(PATIENCE)
        if number == 2:
            raise ValueError("this one cannot be read")

    async def _start(self, name: str = "import-42", live: bool = False) -> Any:
        await self.site.errands.map(self._work, range(3), group=name)
        return GroupProgress(await self.site.errands.group(name), live=live)

    def _login(self, request: Request, user: str) -> str:
        request.session["user"] = user
        return f"You are {user}"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def work(tmp_path: Path) -> Import:
    return Import(tmp_path)


# How it looks


@pytest.mark.parametrize(
    ("counts", "word", "bar", "says"),
    [
        ({}, "queued", (), ()),
        ({"queued": 3}, "queued", ("0", "3"), ("0 of 3",)),
        ({"queued": 2, "running": 1}, "running", ("0", "3"), ("0 of 3",)),
        ({"queued": 1500, "done": 500}, "running", ("500", "2000"), ("500 of 2,000",)),
        (
            {"queued": 1, "done": 5, "failed": 3, "cancelled": 1}, "running", ("9", "10"),
            ("5 of 10", "3 failed, 1 cancelled"),
        ),
        ({"done": 3}, "done", ("3", "3"), ("3 of 3",)),
        ({"done": 2, "failed": 1}, "failed", ("3", "3"), ("2 of 3", "1 failed")),
        ({"done": 2, "cancelled": 1}, "done", ("3", "3"), ("2 of 3", "1 cancelled")),
        ({"cancelled": 3}, "cancelled", ("3", "3"), ("0 of 3", "3 cancelled")),
    ],
)  # fmt: skip  # a table
def test_it_says_how_many_ended_and_how(
    site: Site, counts: Mapping[str, int], word: str, bar: tuple[str, ...], says: tuple[str, ...]
) -> None:
    """The bar is full when all have ended, well or not."""
    page = rendered(site, lambda: GroupProgress(group(**counts)))

    assert f'<span class="errands-state">{word}</span>' in page
    assert f'class="errands errands-{word}"' in page
    assert bar == numbers_in(page)
    assert says == tuple(re.findall(r">(\d[^<]*)<", page))


@pytest.mark.parametrize(
    ("counts", "asks"),
    [
        ({}, True),
        ({"queued": 1, "done": 2}, True),
        ({"running": 1, "failed": 2}, True),
        ({"done": 3}, False),
        ({"done": 1, "failed": 1, "cancelled": 1}, False),
    ],
)
def test_it_asks_again_until_all_have_ended(
    site: Site, counts: Mapping[str, int], asks: bool
) -> None:
    """One that has no jobs yet is waited for."""
    page = rendered(site, lambda: GroupProgress(group(**counts)))

    assert asks == ('hx-trigger="every 1s"' in page)
    assert asks == ('hx-get="/_errands/groups/g.' in page)
    assert asks == ('hx-swap="outerHTML"' in page)


def test_a_returned_group_shows_how_it_does(site: Site) -> None:
    """Alone, among other things, and inside of them."""
    site.get("/alone")(lambda: group(queued=1))
    site.get("/among")(lambda: (P("Hello"), Div(group(queued=1))))
    with site.client() as client:
        pages = [client.get(path, headers=HTMX).text for path in ("/alone", "/among")]

    assert [1, 1] == [page.count('class="errands errands-queued"') for page in pages]


# From its start to its end


@pytest.mark.parametrize("url_of", ["memory:", "sqlite:///{}/errands.db"], ids=["memory", "sqlite"])
def test_a_browser_follows_a_group_from_its_start_to_its_end(tmp_path: Path, url_of: str) -> None:
    """What each answer asks for leads to the next one, until one asks for nothing."""
    work = Import(tmp_path, url=url_of.format(tmp_path))
    with work.client() as client:
        page = client.get("/start", headers=HTMX).text
        address = address_of(page).partition("?")[0]  # as for one who has seen nothing
        running = client.get(address, headers=HTMX)
        while ">running<" not in running.text:
            running = client.get(address, headers=HTMX)
        work.end(client)
        ended = client.get(address_of(running.text), headers=HTMX)

    assert ("0", "3") == numbers_in(page)
    assert ">running</span>" in running.text
    assert (200, ("3", "3")) == (ended.status_code, numbers_in(ended.text))
    assert (True, True) == ("2 of 3" in ended.text, "1 failed" in ended.text)
    assert "hx-" not in ended.text
    assert "no-store" == ended.headers["cache-control"]


def test_a_page_stays_as_it_is_while_nothing_changes(site: Site) -> None:
    """204: htmx leaves it alone, and asks again."""
    site.get("/start")(lambda: GroupProgress(group()))
    with site.client() as client:
        address = address_of(client.get("/start", headers=HTMX).text)
        answer = client.get(address, headers=HTMX)
        typed = client.get(address.partition("?")[0])

    assert (204, "") == (answer.status_code, answer.text)
    assert (200, True) == (
        typed.status_code,
        "queued" in typed.text,
    )  # an empty page is no answer


def test_a_group_whose_jobs_are_forgotten_ends_the_polling(site: Site) -> None:
    """286 is htmx's sign to stop; an event says so in a stream, and then 204."""
    site.get("/start")(lambda: GroupProgress(group(queued=3)))  # which no store has
    with site.client() as client:
        address = address_of(client.get("/start", headers=HTMX).text)
        gone = client.get(address, headers=HTMX)
        stream = client.get(address.replace("?", "/events?"))
        [seen] = re.findall("id: (.*)", stream.text)
        again = client.get(address.replace("?", "/events?"), headers={"Last-Event-ID": seen})

    assert (286, True, False) == (gone.status_code, "no longer" in gone.text, "hx-" in gone.text)
    assert "event: end" in stream.text
    assert "no longer" in stream.text
    assert 204 == again.status_code


def test_a_live_group_is_followed_by_a_stream(work: Import) -> None:
    """It begins where the page ends, and its last event is the last."""
    with work.client() as client:
        page = client.get("/start?live=1", headers=HTMX).text
        work.end(client)
        stream = client.get(address_of(page, "src"))
        [seen] = re.findall("id: (.*)", stream.text)
        again = client.get(address_of(page, "src"), headers={"Last-Event-ID": seen})

    assert "<errands-live" in page
    assert "hx-" not in page
    assert "text/event-stream; charset=utf-8" == stream.headers["content-type"]
    assert 1 == stream.text.count('event: end\ndata: <div role="status"')
    assert "1 failed" in stream.text
    assert 204 == again.status_code


def test_a_program_may_ask_for_json(work: Import) -> None:
    """At the same address."""
    with work.client() as client:
        address = address_of(client.get("/start", headers=HTMX).text)
        work.end(client)
        told = client.get(address, headers=JSON).json()

    assert ("import-42", 3, True) == (told["name"], told["total"], told["is_final"])
    assert {"queued": 0, "running": 0, "done": 2, "failed": 1, "cancelled": 0} == told["counts"]


@pytest.mark.parametrize("has_time", [True, False], ids=["in time", "later"])
def test_a_handler_answers_in_time_or_later(work: Import, has_time: bool) -> None:
    """With the group in either case; later also with 202, and where to ask."""
    errands = work.site.errands
    if has_time:
        work.may_end.set()

    @work.site.get("/wait")
    async def wait() -> Any:
        name = await errands.map(work.task, range(3))
        return await errands.wait_or_202(await errands.group(name), PATIENCE if has_time else 0)

    with work.client() as client:
        answer = client.get("/wait", headers=HTMX)
        if has_time:
            assert (200, ("3", "3")) == (answer.status_code, numbers_in(answer.text))
            return
        work.end(client)
        told = client.get(answer.headers["location"], headers=JSON)

    assert (202, True) == (answer.status_code, 'hx-trigger="every 1s"' in answer.text)
    assert 3 == told.json()["ended"]


# Whose it is, and where


@pytest.mark.parametrize("name", NAMES)
def test_any_name_makes_a_link(work: Import, name: str) -> None:
    """Also one that has signs which mean something in an address."""
    with work.client() as client:
        page = client.get("/start", params={"name": name}, headers=HTMX).text
        work.end(client)
        told = client.get(address_of(page), headers=JSON).json()
        stream = client.get(address_of(page).replace("?", "/events?")).text

    assert (name, 3) == (told["name"], told["ended"])
    assert "event: end" in stream
    assert "<script" not in page


@pytest.mark.parametrize("token", ["import-42", "import-42.", "import-42.x", "%00", "~!.x"])
def test_a_name_alone_is_no_link(work: Import, token: str) -> None:
    """404, as for any page that is not there."""
    with work.client() as client:
        client.get("/start", headers=HTMX)
        answers = [client.get(f"/_errands/groups/{token}{end}") for end in ("", "/events")]
        shown = client.get(f"/_errands/groups/{token}", headers=HTMX)

    assert {(404, "404 Not Found")} == {(answer.status_code, answer.text) for answer in answers}
    assert (404, True) == (shown.status_code, ">no longer known<" in shown.text)


def test_a_link_to_a_group_is_none_to_a_job(work: Import) -> None:
    """Not even to one whose id the group has as its name."""

    @work.site.get("/same")
    async def same() -> Any:
        job = await work.site.errands.add_task(work.task, 1)
        return GroupProgress(group(job.id, queued=1))

    with work.client() as client:
        address = address_of(client.get("/same", headers=HTMX).text)
        answer = client.get(address.replace("/groups/", "/jobs/"), headers=HTMX)

    assert 404 == answer.status_code


def test_a_link_is_good_for_whom_it_was_made_only(tmp_path: Path) -> None:
    """For another user, and for nobody, there is no such page."""
    work = Import(tmp_path, setup={"status_key": lambda request: request.session.get("user")})
    with work.client() as client:
        client.get("/login?user=ann")
        address = address_of(client.get("/start", headers=HTMX).text)
        mine = client.get(address.partition("?")[0], headers=HTMX).status_code
        client.get("/login?user=bob")
        other = client.get(address, headers=HTMX).status_code
        stream = client.get(address.replace("?", "/events?")).status_code
        client.cookies.clear()
        nobody = client.get(address, headers=HTMX).status_code

    assert (200, 404, 404, 404) == (mine, other, stream, nobody)


def test_links_lead_into_a_mounted_application(tmp_path: Path) -> None:
    """Below the path where it is mounted, and that of a proxy."""
    from starlette.testclient import TestClient

    site = Site(tmp_path)
    site.get("/part")(lambda: GroupProgress(group("a b", queued=1)))
    parent = TestClient(Starlette(routes=[Mount("/shop", site.app)]), root_path="/proxy")

    address = address_of(parent.get("/proxy/shop/part", headers=HTMX).text)

    assert address.startswith("/proxy/shop/_errands/groups/~YSBi.")
    assert 286 == parent.get(address, headers=HTMX).status_code


# In Python


async def test_a_group_is_told_until_all_have_ended(errands: Errands) -> None:
    """Each change; one that has no jobs yet is waited for."""

    @errands.task
    async def step() -> None: ...

    totals = []
    async with errands.working(), asyncio.timeout(PATIENCE):
        async for each in errands.events(await errands.group("g")):
            totals.append((each.total, each.is_final))
            if not each.total:
                await errands.options(group="g").add_tasks([(step,)] * 3)

    assert ((0, False), (3, True)) == (totals[0], totals[-1])


async def test_a_group_that_is_forgotten_meanwhile_is_an_error(errands: Errands) -> None:
    """Whoever waits for it would wait without end."""

    @errands.task
    async def step() -> None: ...

    async with errands, asyncio.timeout(PATIENCE):
        job = await errands.options(group="g").add_task(step)
        events = errands.events(await errands.group("g"))
        await anext(events)
        await errands.delete(job)
        with pytest.raises(LookupError, match="of the group 'g' any longer"):
            await anext(events)

"""The guard: who is let in, whose forms are taken, and what is told to the browser."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import pytest
from dashboard_visitor import OURS, visitor
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from errands import Errands, every
from errands.dashboard import dashboard

PAUSE = {"schedule": "tick", "back": "/errands/schedules"}


@pytest.fixture
def errands(errands: Errands) -> Errands:
    @errands.schedule(every(hours=1), name="tick")
    async def tick() -> None: ...

    return errands


async def is_paused(errands: Errands) -> bool:
    [found] = await errands.schedules.list()
    return found.is_paused


def known(request: Request) -> str | None:
    return request.headers.get("x-user")


async def test_this_machine_is_let_in(errands: Errands) -> None:
    """By name and by number."""
    async with errands:
        for name, host in (
            ("localhost", "127.0.0.1"),
            ("127.0.0.1:8000", "127.0.0.2"),
            ("[::1]", "::1"),
        ):
            async with visitor(errands, host=host, name=name) as client:
                assert 200 == (await client.get("")).status_code


@pytest.mark.parametrize(
    ("host", "name", "headers"),
    [
        ("192.168.1.7", "localhost", {}),
        ("127.0.0.1", "shop.example", {}),  # a name that somebody lets point here
        ("127.0.0.1", "localhost", {"host": "[no-address"}),
        ("127.0.0.1", "localhost", {"x-forwarded-for": "127.0.0.1"}),
        ("127.0.0.1", "localhost", {"forwarded": "for=203.0.113.7"}),
    ],
    ids=["another machine", "another name", "no name", "a proxy", "a proxy of the standard"],
)
async def test_nobody_else_is_let_in_without_allow(
    errands: Errands, host: str, name: str, headers: Mapping[str, str]
) -> None:
    """And they are told what to write."""
    async with errands, visitor(errands, host=host, name=name) as client:
        answer = await client.get("", headers=dict(headers))

    assert 403 == answer.status_code
    assert "dashboard(errands, allow=is_admin)" in answer.text


async def test_allow_decides(errands: Errands) -> None:
    """For this machine, too; a file needs it as a page does."""
    async with errands, visitor(errands, allow=known) as client:
        page = (await client.get("", headers={"x-user": "ada"})).text
        file = page.partition('href="/errands/')[2].partition('"')[0]

        for path in ("", "jobs", file):
            assert 403 == (await client.get(path)).status_code
            assert 200 == (await client.get(path, headers={"x-user": "ada"})).status_code


async def test_allow_may_be_a_coroutine(errands: Errands) -> None:
    """It may have to ask a database."""

    async def slowly(request: Request) -> bool:
        return request.headers.get("x-user") == "ada"

    async with errands, visitor(errands, allow=slowly) as client:
        assert 403 == (await client.get("")).status_code
        assert 200 == (await client.get("", headers={"x-user": "ada"})).status_code


async def test_allow_may_answer_by_itself(errands: Errands) -> None:
    """With a way to log in."""
    allow = lambda request: RedirectResponse("/login")  # noqa: E731  # as a user writes it

    async with errands, visitor(errands, allow=allow) as client:
        answer = await client.get("")

    assert (307, "/login") == (answer.status_code, answer.headers["location"])


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"origin": "http://localhost"},
        {"sec-fetch-site": "same-origin", "origin": "https://as-the-proxy-has-it.example"},
    ],
)
async def test_a_form_of_ours_is_taken(errands: Errands, headers: dict[str, str]) -> None:
    """As every browser sends it."""
    async with errands.working(), visitor(errands) as client:
        answer = await client.post("do/pause", data=PAUSE, headers=headers)

        assert (303, "/errands/schedules?told=pause") == (
            answer.status_code, answer.headers["location"],
        )  # fmt: skip  # a pair
        assert await is_paused(errands)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "null"},
        {"origin": "http://[no-address"},
    ],
)
async def test_a_form_of_another_site_is_refused(
    errands: Errands, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is done, and a line says who tried."""
    async with errands.working(), visitor(errands) as client:
        answer = await client.post("do/pause", data=PAUSE, headers=headers)

        assert 403 == answer.status_code
        assert not await is_paused(errands)
    assert "refused '/errands/do/pause' who='127.0.0.1'" in caplog.text


async def test_an_action_is_no_link(errands: Errands) -> None:
    """A picture on another page could follow it."""
    async with errands.working(), visitor(errands) as client:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            answer = await client.request(method, "do/pause", params=PAUSE, headers=OURS)
            assert 405 == answer.status_code
        assert not await is_paused(errands)


async def test_a_reader_changes_nothing(errands: Errands) -> None:
    """There is no button, and no form is taken."""
    async with errands.working(), visitor(errands, read_only=True) as client:
        page = await client.get("schedules")
        answer = await client.post("do/pause", data=PAUSE, headers=OURS)

        assert 'method="post"' not in page.text
        assert 403 == answer.status_code
        assert not await is_paused(errands)


@pytest.mark.parametrize(
    ("verdict", "who"), [(True, "127.0.0.1"), ("ada", "ada"), ({"id": 7}, "{'id': 7}")]
)
async def test_every_action_leaves_a_line(
    errands: Errands, verdict: Any, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who it was, by the word of the application, and what was done."""
    caplog.set_level(logging.INFO, "errands.dashboard")
    async with errands.working(), visitor(errands, allow=lambda request: verdict) as client:
        await client.post("do/pause", data=PAUSE, headers=OURS)

    assert [f"pause who={who!a} from='127.0.0.1' schedule='tick'"] == [
        record.getMessage() for record in caplog.records if record.name == "errands.dashboard"
    ]


async def test_a_line_cannot_be_made_up(errands: Errands, caplog: pytest.LogCaptureFixture) -> None:
    """A newline in a field stays in its line."""
    caplog.set_level(logging.INFO, "errands.dashboard")
    async with errands.working(), visitor(errands) as client:
        await client.post("do/pause", data={"schedule": "a\npause who='eve'"}, headers=OURS)

    [line] = [r.getMessage() for r in caplog.records if r.name == "errands.dashboard"]
    assert "\n" not in line


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil.example", "/other", "", "jobs"]
)
async def test_an_action_leads_nowhere_else(errands: Errands, back: str) -> None:
    """Whatever the form says."""
    async with errands.working(), visitor(errands) as client:
        answer = await client.post("do/pause", data={**PAUSE, "back": back}, headers=OURS)

    assert "/errands/?told=pause" == answer.headers["location"]


@pytest.mark.parametrize("path", ["", "jobs", "jobs/none", "nothing", "do/none"])
async def test_every_answer_tells_the_browser_what_to_refuse(errands: Errands, path: str) -> None:
    """Also one that there is no page for."""
    async with errands, visitor(errands) as client:
        headers = (await client.get(path)).headers

    assert (
        "default-src 'none'; script-src 'self'; style-src 'self'"
        in (headers["content-security-policy"])
    )
    assert "unsafe" not in headers["content-security-policy"]
    assert "no-store" == headers["cache-control"]
    assert "nosniff" == headers["x-content-type-options"]
    assert "DENY" == headers["x-frame-options"]


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_a_page_is_only_read(errands: Errands, method: str) -> None:
    """An answer to anything else says how it may be asked."""
    async with errands, visitor(errands) as client:
        answer = await client.request(method, "jobs")
        head = await client.head("jobs")

    assert 405 == answer.status_code
    assert {"GET", "HEAD"} == set(answer.headers["allow"].split(", "))
    assert "This cannot be asked so" in answer.text
    assert 200 == head.status_code


async def test_a_proxy_may_take_a_prefix_away(errands: Errands) -> None:
    """Who says which, as `FastAPI(root_path=…)`, has links with it, and pages without."""
    app = Starlette(routes=[Mount("/errands", dashboard(errands))])

    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": "/prefix"}, receive, send)

    transport = ASGITransport(below, client=("127.0.0.1", 50_000))
    page = "/errands/schedules"
    async with errands, AsyncClient(transport=transport, base_url="http://localhost") as client:
        taken, kept = await client.get(page), await client.get(f"/prefix{page}")
        [style] = re.findall(r'href="/prefix(/errands/static/dashboard[^"]+)"', taken.text)

        for answer in (taken, kept):
            assert 200 == answer.status_code
            assert f'hx-get="/prefix{page}"' in answer.text
            assert f'href="/prefix{page}" aria-current="page"' in answer.text
        assert 200 == (await client.get(style)).status_code


async def test_what_allow_raises_is_for_the_application(errands: Errands) -> None:
    """It may send the visitor to a page where they log in."""

    def allow(request: Request) -> bool:
        raise HTTPException(401)

    async with errands, visitor(errands, allow=allow) as client:
        assert 401 == (await client.get("")).status_code


async def test_a_form_has_its_limit(errands: Errands) -> None:
    """It is not read to its end."""
    async with errands.working(), visitor(errands) as client:
        answer = await client.post("do/pause", data={"schedule": "x" * 9_000_000}, headers=OURS)

    assert 413 == answer.status_code

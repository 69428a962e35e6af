"""How a group is told by Starlette and FastAPI: as JSON, as a stream, and in time or later."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.routing import Route
from test_starlette_status import LONG, Shop, events_in, portal, stream


class Imports(Shop):
    """A shop with `/import?s=…`, which adds a group of three jobs; one of them fails."""

    def __init__(self, kind: str, **setup: Any) -> None:
        super().__init__(kind, **setup)
        if kind == "fastapi":
            self.app.get("/import")(self._import)
        else:
            self.app.router.routes.append(Route("/import", self._import))

    async def _import(self, request: Request) -> Any:
        calls = [(self.task, number, 2) for number in (-1, 0, 1)]
        await self.errands.options(group="import-42").add_tasks(calls)
        group = await self.errands.group("import-42")
        return await self.errands.wait_or_202(group, float(request.query_params["s"]))


@pytest.fixture(params=["starlette", "fastapi"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(kind: str) -> Imports:
    return Imports(kind)


def test_a_group_that_ends_in_time_is_told_at_once(shop: Imports) -> None:
    """All of it, and no more: no arguments, no errors."""
    shop.may_end.set()
    with shop.client() as client:
        answer = client.get(f"/import?s={LONG}")
    told = answer.json()

    assert (200, "import-42", 3, 3) == (
        answer.status_code, told["name"], told["total"], told["ended"],
    )  # fmt: skip  # a row
    assert {"queued": 0, "running": 0, "done": 2, "failed": 1, "cancelled": 0} == told["counts"]
    assert (1.0, True) == (told["fraction"], told["is_final"])
    assert set(told) == {
        "name", "total", "counts", "ended", "fraction", "is_final", "started_at", "finished_at",
    }  # fmt: skip  # a row


def test_an_answer_later_says_where_to_ask(shop: Imports) -> None:
    """The jobs go on, and their end is told there."""
    with shop.client() as client:
        answer = client.get("/import?s=0")
        told = answer.json()
        running = client.get(answer.headers["location"])
        shop.end(client)
        ended = client.get(answer.headers["location"])

    assert (202, told["url"]) == (answer.status_code, answer.headers["location"])
    assert told["url"].startswith("/_errands/groups/import-42.")
    assert ("1", "1") == (answer.headers["retry-after"], running.headers["retry-after"])
    assert (False, True) == (running.json()["is_final"], ended.json()["is_final"])
    assert "retry-after" not in ended.headers
    assert "no-store" == ended.headers["cache-control"]


def test_a_stream_tells_each_change_to_the_end(shop: Imports) -> None:
    """And ends with it; then the browser is told to stay away."""
    told: list[str] = []
    with shop.client() as client:
        url = client.get("/import?s=0").json()["events_url"]

        def heard(text: str) -> None:
            told.append(text)
            if '"is_final":false' in text:
                shop.may_end.set()

        portal(client).call(stream, shop.app, url, heard, LONG)
        events = events_in("".join(told))
        seen = client.get(url, headers={"Last-Event-ID": events[-1][0]})

    assert (False, True) == (events[0][1]["is_final"], events[-1][1]["is_final"])
    assert len({mark for mark, _ in events}) == len(events)
    assert (204, "") == (seen.status_code, seen.text)


def test_a_name_alone_is_no_link(shop: Imports) -> None:
    """404, with or without the stream."""
    with shop.client() as client:
        client.get("/import?s=0")
        answers = [
            client.get(f"/_errands/groups/{token}{end}")
            for token in ("import-42", "import-42.", "import-42.x", "%00")
            for end in ("", "/events")
        ]

    assert {404} == {answer.status_code for answer in answers}


def test_a_link_is_good_for_whom_it_was_made_only(kind: str) -> None:
    """What a user is told is what `status_key` says."""
    shop = Imports(kind, status_key=lambda request: request.session.get("user"))
    with shop.client() as client:
        client.get("/login?user=ann")
        told = client.get("/import?s=0").json()
        shop.end(client)
        mine = [client.get(told[url]).status_code for url in ("url", "events_url")]
        client.get("/login?user=bob")
        others = [client.get(told[url]).status_code for url in ("url", "events_url")]

    assert ([200, 200], [404, 404]) == (mine, others)

"""FastHTML: what a task is given, what it sees, and in which order tasks run."""

import contextvars
import json
from pathlib import Path
from typing import Any

import pytest
from fasthtml.common import P
from fasthtml_site import Site

from errands.fasthtml import BackgroundTasks

locale: contextvars.ContextVar[str] = contextvars.ContextVar("locale", default="none")


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_local_task_sees_the_context_in_which_it_was_added(
    tmp_path: Path, is_async: bool, kind: str
) -> None:
    """Also what a handler in a thread of its own set, and as it was at that moment."""
    site = Site(tmp_path, is_async=is_async)

    def plain(number: int) -> None:
        site.note(f"{number} {locale.get()}")

    async def coroutine(number: int) -> None:
        plain(number)

    task = plain if kind == "plain" else coroutine

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        locale.set("de")
        background.add_task(task, 1)
        locale.set("fr")
        background.add_task(task, 2)
        return P("page")

    site.visit("/page")

    assert ["1 de", "2 fr"] == site.notes
    assert "none" == locale.get()


def test_local_tasks_run_one_after_another_in_the_order_added(tmp_path: Path) -> None:
    """Plain ones and coroutines mixed, after the response was made."""
    site = Site(tmp_path)

    async def note_later(text: str) -> None:
        site.note(text)

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        for number in range(5):
            background.add_task(site.note if number % 2 else note_later, str(number))
        site.note("handler")
        return P("page")

    site.visit("/page")

    assert ["handler", "0", "1", "2", "3", "4"] == site.notes


def test_a_job_is_given_what_was_passed_when_it_was_added(tmp_path: Path) -> None:
    """A list that the handler changes later does not change the job."""
    site = Site(tmp_path)
    seen: list[str] = []

    @site.errands.task(name="count")
    def count(items: list[str]) -> None:
        seen.append(json.dumps(items))

    @site.get("/page")
    def page(background: BackgroundTasks) -> Any:
        items = ["a"]
        background.add_task(count, items)
        items.append("b")
        return P("page")

    site.visit("/page")

    assert ['["a"]'] == seen

"""FastHTML with `from __future__ import annotations`: each annotation is a string then."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fasthtml.common import APIRouter, Div, P
from fasthtml_site import Site
from starlette.testclient import TestClient

from errands.fasthtml import BackgroundTasks

OURS = "from errands.fasthtml import BackgroundTasks, JobStatus, setup_errands"
THEIRS = "from fasthtml.common import *"
FUTURE = "from __future__ import annotations"
APPLICATION = """
from errands import Errands

app, rt = fast_app(key_fname="{folder}/.sesskey", static_path="{folder}")
errands = Errands("memory:")
setup_errands(app, errands)
done = []

@errands.task(name="thumbnails")
def thumbnails(path: str) -> int:
    done.append(path)
    return 3

@rt
def upload(background: BackgroundTasks):
    job = background.add_task(thumbnails, "cat.png")
    background.add_task(done.append, "bye")
    return P("Working on it"), JobStatus(job)
"""


def imported(folder: Path, *lines: str) -> ModuleType:
    """A module that begins with these lines and goes on as `APPLICATION`."""
    file = folder / "site_of_a_user.py"
    file.write_text("\n".join([*lines, APPLICATION.format(folder=folder)]))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("first", [[], [FUTURE]], ids=["", "future"])
def test_ours_after_the_star_import_is_filled(tmp_path: Path, first: list[str]) -> None:
    """What the documentation shows works as it stands, and nothing is warned about."""
    module = imported(tmp_path, *first, THEIRS, OURS)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with TestClient(module.app) as client:
            response = client.get("/upload")

    assert 200 == response.status_code
    assert "Working on it" in response.text
    assert 'hx-get="/_errands/jobs/' in response.text
    assert ["bye", "cat.png"] == sorted(module.done)


@pytest.mark.parametrize("first", [[], [FUTURE]], ids=["", "future"])
def test_ours_before_the_star_import_is_warned_about(tmp_path: Path, first: list[str]) -> None:
    """The star hides our name; the warning says how to put it right."""
    module = imported(tmp_path, *first, OURS, THEIRS)

    with pytest.warns(RuntimeWarning) as caught, TestClient(module.app) as client:
        response = client.get("/upload")

    [message] = [str(w.message) for w in caught if w.category is RuntimeWarning]
    assert 400 == response.status_code
    assert "upload(background) is annotated with starlette.background.BackgroundTasks" in message
    assert "errands.fasthtml after `from fasthtml.common import *`" in message
    assert [] == module.done


@pytest.fixture(params=[False, True], ids=["local", "durable"])
def is_durable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_annotation_that_is_a_string_is_filled(
    tmp_path: Path, is_async: bool, is_durable: bool
) -> None:
    """In a handler, with other parameters beside it."""
    site = Site(tmp_path, is_async=is_async, is_durable=is_durable)

    @site.get("/page/{number}")
    def page(number: int, background: BackgroundTasks) -> Any:
        background.add_task(site.note, f"page {number + 1}")
        return P("page")

    response = site.visit("/page/1")

    assert 200 == response.status_code
    assert ["page 2"] == site.notes


def test_a_string_is_filled_wherever_it_is_written(tmp_path: Path, is_durable: bool) -> None:
    """In `before`, in a router and in a socket."""

    def before(background: BackgroundTasks) -> None:
        background.add_task(site.note, "before")

    site = Site(tmp_path, is_durable=is_durable, before=before)
    router = APIRouter(prefix="/shop")

    @router("/cart")
    def cart(background: BackgroundTasks) -> Any:
        background.add_task(site.note, "cart")
        return P("cart")

    @site.app.ws("/ws")
    def hear(msg: str, background: BackgroundTasks) -> Any:
        background.add_task(site.note, msg)
        return Div(msg)

    router.to_app(site.app)
    with site.client() as client:
        status = client.get("/shop/cart").status_code
        with client.websocket_connect("/ws") as socket:
            socket.send_json({"msg": "hello"})
            reply = socket.receive_text().strip()

    assert 200 == status
    assert "<div>hello</div>" == reply
    assert ["before", "cart", "hello"] == sorted(site.notes)

"""FastHTML behind a real server: what its own tasks do to a connection, ours do not."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fasthtml.common import P
from fasthtml_site import PATIENCE, Site

from errands.fasthtml import BackgroundTasks

pytestmark = pytest.mark.slow


@contextmanager
def served(app: Any, protocol: str) -> Iterator[int]:
    """Serve the application in a thread; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=protocol, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
    assert not thread.is_alive()


@pytest.mark.parametrize("protocol", ["h11", "httptools"])
def test_a_task_that_raises_leaves_the_connection_to_the_next_request(
    tmp_path: Path, protocol: str
) -> None:
    """The next one on it waits for the failure, and is answered after it."""
    site = Site(tmp_path)

    def boom() -> None:
        site.note("boom")
        raise ZeroDivisionError

    @site.get("/first")
    def first(background: BackgroundTasks) -> Any:
        background.add_task(boom)
        background.add_task(site.note, "later")
        return P("first")

    @site.get("/second")
    def second() -> Any:
        site.wait_for_notes(2)
        return P("second")

    with served(site.app, protocol) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        pages = []
        for path in ("/first", "/second", "/first"):
            connection.request("GET", path, headers={"hx-request": "true"})
            mine = connection.sock.getsockname()
            pages.append((connection.getresponse().read().decode().strip(), mine))
        connection.close()

    assert ["<p>first</p>", "<p>second</p>", "<p>first</p>"] == [text for text, _ in pages]
    assert 1 == len({name for _, name in pages})  # the same connection served all three
    assert ["boom", "later", "boom", "later"] == site.notes


def test_the_connection_is_free_while_a_task_runs(tmp_path: Path) -> None:
    """The next request on it is answered at once, and the end of the server waits."""
    site, may_end = Site(tmp_path), threading.Event()

    def slow() -> None:
        may_end.wait(PATIENCE)
        site.note("slow")

    @site.get("/first")
    def first(background: BackgroundTasks) -> Any:
        background.add_task(slow)
        return P("first")

    @site.get("/second")
    def second() -> Any:
        return P(f"{len(site.notes)} notes")

    with served(site.app, "h11") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        pages = []
        for path in ("/first", "/second"):
            connection.request("GET", path, headers={"hx-request": "true"})
            pages.append(connection.getresponse().read().decode().strip())
        connection.close()
        may_end.set()

    assert ["<p>first</p>", "<p>0 notes</p>"] == pages
    assert ["slow"] == site.notes

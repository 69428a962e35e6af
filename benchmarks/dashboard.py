"""Dashboard: what each page takes the server with a million jobs in the store.

Each is asked for in turn, without a network between, on SQLite and on PostgreSQL: as they are
just after the jobs were added, and once the statistics of the planner are there. `$N` stands for
another number of jobs.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import apsw
import psycopg
from measuring import heading
from measuring.past import STEP, fill
from measuring.postgres import database, postgres
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message

from errands import Errands
from errands.dashboard import dashboard

N = int(os.environ.get("N", "1_000_000"))
VISITS = 60  # of each page
MOST = 100.0  # milliseconds, 95 times of 100


def analyze(url: str) -> None:
    """Have the planner know what there is, as autovacuum does on PostgreSQL a while later."""
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("analyze")
        return
    with closing(apsw.Connection(url.removeprefix("sqlite:///"))) as file:
        file.execute("analyze")


async def visit(app: Starlette, path: str) -> float:
    """Milliseconds that the page takes."""
    where, _, query = path.partition("?")
    scope = {
        "type": "http", "method": "GET", "path": f"/errands/{where}", "root_path": "",
        "query_string": query.encode(), "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
    }  # fmt: skip  # a request
    statuses = list[int]()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if "status" in message:
            statuses.append(message["status"])

    began = time.perf_counter()
    await app(scope, receive, send)
    took = time.perf_counter() - began
    assert statuses == [200], (path, statuses)
    return took * 1000


async def measure(url: str, failed: str, what: str) -> None:
    pages = (
        "", "jobs", "jobs?state=queued", "jobs?state=running", "jobs?state=failed",
        "jobs?state=cancelled", "jobs?queue=mail&task=shop.task3", "jobs?text=ada",
        f"jobs?since={at(0.5)}", f"jobs?until={at(0.5)}&state=done",
        f"jobs?since={at(0.2)}&until={at(0.8)}&queue=mail", f"jobs?since={at(0.5)}&state=queued",
        "jobs?task=nosuch", "jobs?text=nosuch", "jobs?state=done&key=nosuch",
        "jobs?state=queued&task=nosuch", "jobs?state=failed&text=nosuch",
        "jobs?group=import-000000&text=nosuch",
        f"jobs/{failed}", "groups", "groups?group=import-000000", "errors", "queues",
        "schedules", "services", "workers",
        "change?do=retry&state=failed", f"change?do=delete&since={at(0.5)}",
        "change?do=delete&task=shop.task3",
    )  # fmt: skip  # a list
    errands = Errands(url)
    app = Starlette(routes=[Mount("/errands", dashboard(errands))])
    print(f"\n{what:42}    median    95 of 100, ms      target")
    async with errands:
        for page in pages:
            await visit(app, page)
            times = sorted([await visit(app, page) for _ in range(VISITS)])
            late = times[int(VISITS * 0.95)]
            word = "kept" if late < MOST else "MISSED"
            name = f"/{page.replace(failed, '...')}"
            name = re.sub(r"(since|until)=[^&]+", r"\1=…", name)
            print(f"{name:42}{times[VISITS // 2]:10.1f}{late:18.1f}    below {MOST:.0f}    {word}")


def at(part: float) -> str:
    """The instant from which on this part of all jobs was added."""
    then = datetime.now(UTC) - STEP * N * part
    return f"{then:%Y-%m-%dT%H:%M}"


def measure_all(url: str, name: str) -> None:
    """Just after the jobs were added, and once the planner knows them."""
    failed = asyncio.run(fill(url, N))
    asyncio.run(measure(url, failed, f"{N:,} jobs on {name}, just added"))
    analyze(url)
    asyncio.run(measure(url, failed, f"{N:,} jobs on {name}, analyzed"))


def main() -> None:
    heading(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        measure_all(f"sqlite:///{Path(folder)}/errands.db", "SQLite")
    # else it may have its statistics before we look
    with postgres(autovacuum="off") as server, database(server) as url:
        measure_all(url, "PostgreSQL")


if __name__ == "__main__":
    main()

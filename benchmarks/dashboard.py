"""Dashboard: what each page takes the server with a million jobs in the store.

Each is asked for in turn, without a network between. `$N` stands for another number of jobs,
`$STORE` for the URL of an empty store, instead of a new file of SQLite.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from measuring import heading
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message

from errands import Attempt, Errands, Job, Outcome, State, new_id
from errands.dashboard import dashboard
from errands.stores import store_at

N = int(os.environ.get("N", "1_000_000"))
BATCH = 10_000
VISITS = 60  # of each page
MOST = 100.0  # milliseconds, 95 times of 100
GROUP = 10_000  # jobs of one group
QUEUES = ("default", "mail", "payments", "webhooks")
ERROR = "Traceback (most recent call last):\n" + '  File "/app/shop.py", line 7, in call\n' * 9


def jobs(now: datetime) -> Iterator[Job]:
    """As many as are wanted, one each half second: of 100 three have failed, one was cancelled."""
    for n in range(N):
        at = now - timedelta(milliseconds=500 * (N - n))
        state = State.FAILED if n % 33 == 0 else State.CANCELLED if n % 97 == 0 else State.DONE
        error = f"{ERROR}ValueError: {n}" if state is State.FAILED else None
        end = at + timedelta(milliseconds=250)
        yield Job(
            id=new_id(at), task=f"shop.task{n % 7}", payload=json.dumps({"order": n, "to": "ada"}),
            queue=QUEUES[n % len(QUEUES)], state=state, due_at=at, free_at=at, added_at=at,
            attempt=1, worker="w", started_at=at, finished_at=end, version=3,
            group=f"import-{n // GROUP:06d}",
            history=(Attempt(1, "w", at, end, Outcome(str(state)), error),),
        )  # fmt: skip  # a row


async def fill(url: str) -> str:
    """Put them into the store, and name one that failed."""
    failed, batch = "", list[Job]()
    async with store_at(url) as store:
        for job in jobs(await store.now()):
            batch.append(job)
            failed = job.id if job.state is State.FAILED else failed
            if len(batch) == BATCH:
                await store.add(batch)
                batch.clear()
        await store.add(batch)
    if url.startswith("postgresql"):  # as autovacuum does soon after so many additions
        async with await psycopg.AsyncConnection.connect(
            url.partition("?")[0], autocommit=True
        ) as connection:
            await connection.execute("analyze")
    return failed


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


async def measure(url: str) -> None:
    failed = await fill(url)
    pages = (
        "", "jobs", "jobs?state=queued", "jobs?state=running", "jobs?state=failed",
        "jobs?state=cancelled", "jobs?queue=mail&task=shop.task3", "jobs?text=ada",
        f"jobs/{failed}", "groups", "groups?group=import-000000", "errors", "queues",
        "schedules", "services", "workers",
        "change?do=retry&state=failed",
    )  # fmt: skip  # a list
    errands = Errands(url)
    app = Starlette(routes=[Mount("/errands", dashboard(errands))])
    print(f"{f'{N:,} jobs':34}    median    95 of 100, ms      target")
    async with errands:
        for page in pages:
            await visit(app, page)
            times = sorted([await visit(app, page) for _ in range(VISITS)])
            late = times[int(VISITS * 0.95)]
            word = "kept" if late < MOST else "MISSED"
            name = f"/{page.replace(failed, '...')}"
            print(f"{name:34}{times[VISITS // 2]:10.1f}{late:18.1f}    below {MOST:.0f}    {word}")


def main() -> None:
    heading(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(os.environ.get("STORE", f"sqlite:///{Path(folder)}/errands.db")))


if __name__ == "__main__":
    main()

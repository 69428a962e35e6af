"""Watching: jobs per second of a worker while a browser has the page Now open, against nobody.

The worker and the dashboard are in one process, which is the worst that can be; the browser is
Chromium. There are a million jobs that have ended, on SQLite and on PostgreSQL. The turns take
place in one store, one with and one without, in one order and then in the other.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import uvicorn
from measuring import ROUNDS, Column, Promise, Samples, heading, scaled, show, verdicts
from measuring.past import fill
from measuring.postgres import database, postgres
from playwright.sync_api import Request, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from errands import Errands
from errands.dashboard import dashboard

N = int(os.environ.get("N", "1_000_000"))
NOBODY, WATCHED = "nobody watches", "a browser watches"
BATCH = 5_000
JOBS = {"SQLite": 150_000, "PostgreSQL": 30_000}  # of one turn: some eight seconds
CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run",
]  # fmt: skip  # a list
LOOK = 50.0  # milliseconds between two looks at whether the page is to be closed


class Worker:
    """An application that counts what it has done."""

    def __init__(self, url: str) -> None:
        self.errands = Errands(url, keep=10**9)
        self._left, self._is_over = 0, asyncio.Event()

        @self.errands.task
        async def work(number: int) -> int:
            self._left -= 1
            if not self._left:
                self._is_over.set()
            return number

        self._work = work

    async def rate(self, number: int) -> float:
        """Jobs per second, from when the worker starts to the end of so many that wait."""
        for begin in range(0, number, BATCH):
            await self.errands.add_tasks((self._work, n) for n in range(begin, begin + BATCH))
        self._left = number
        self._is_over.clear()
        began = time.perf_counter()
        async with self.errands.working():
            await self._is_over.wait()
            return number / (time.perf_counter() - began)


def browse(port: int, talk: Connection) -> None:
    """Between one word and the next, have the page open; then tell how long each answer took."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        while talk.recv() == "open":
            looks, page = list[float](), browser.new_page()

            def note(request: Request, looks: list[float] = looks) -> None:
                if request.url.endswith("/errands/"):  # neither styles nor scripts
                    looks.append(request.timing["responseEnd"] / 1000)

            page.on("requestfinished", note)
            page.goto(f"http://127.0.0.1:{port}/errands/")
            while not talk.poll():
                page.wait_for_timeout(LOOK)
            assert talk.recv() == "close"
            page.close()
            talk.send(looks)
        browser.close()


@asynccontextmanager
async def serving(errands: Errands) -> AsyncIterator[int]:
    """The dashboard on some port of this machine."""
    app = Starlette(routes=[Mount("/errands", dashboard(errands))])
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def turns(url: str, number: int, rates: Samples[float], looks: list[float]) -> None:
    """One round after the other, in this store."""
    worker = Worker(url)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    async with worker.errands, serving(worker.errands) as port:
        browser = context.Process(target=browse, args=(port, theirs), daemon=True)
        browser.start()
        theirs.close()
        await worker.rate(number)  # to warm up
        for place in range(ROUNDS):
            for name in (NOBODY, WATCHED)[:: -1 if place % 2 else 1]:
                if name == WATCHED:
                    ours.send("open")
                rates[name].append(await worker.rate(number))
                if name == WATCHED:
                    ours.send("close")
                    looks += await asyncio.to_thread(ours.recv)
        ours.send("end")
        await asyncio.to_thread(browser.join, 10)


def measure(url: str, store: str) -> None:
    asyncio.run(fill(url, N))
    rates: Samples[float] = {NOBODY: [], WATCHED: []}
    looks = list[float]()
    asyncio.run(turns(url, scaled(JOBS[store] // BATCH) * BATCH, rates, looks))
    print(f"\n{store}: {N:,} jobs have ended; {len(looks)} looks, "
          f"{statistics.median(looks) * 1000:.0f} ms each")  # fmt: skip  # a message
    show([Column(unit="jobs/s", samples=rates)])
    verdicts([Promise.ratio(f"{store}: watched / not", rates[WATCHED], rates[NOBODY], 0.95)])


def main() -> None:
    heading(__doc__)
    if not CHROMIUM.exists():
        print(f"there is no {CHROMIUM}, so nobody can watch: apt install chromium")
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(f"sqlite:///{Path(folder)}/errands.db", "SQLite")
    with postgres() as server, database(server) as url:
        measure(url, "PostgreSQL")


if __name__ == "__main__":
    main()

"""Claims: milliseconds of one claim of 50 jobs beside seven million others, and beside none.

A million wait, of the same task; a million more are for tomorrow, at the highest priority; five
million are finished. On PostgreSQL just after they were loaded, when the planner knows nothing
of them and nothing was swept, and then after `vacuum analyze`; and on SQLite. The claims of
both stores take turns. `$N` stands for another number than a million.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import apsw
import psycopg
from measuring import Column, Promise, Samples, heading, show, verdicts
from measuring.backlog import DAY
from measuring.postgres import database, postgres

from errands import Claim, Store
from errands.stores import store_at

N = int(os.environ.get("N", "1_000_000"))
TURNS, WARM_UP, LIMIT = 150, 10, 50
PORTIONS = 3  # of the turns: a median of each, to show how far they are apart
FEW = 2 * (TURNS + WARM_UP) * LIMIT  # as many as are claimed
MINUTE = 60_000  # milliseconds

COLUMNS = (
    "id, task, payload, queue, priority, added_at, due_at, free_at, state, attempt, version, "
    "worker, started_at, finished_at, result, history"
)
QUEUED = "'queued', 0, 0, null, null, null, null, null"
HISTORY = """'[[1,"w-1",1795000000000,1795000000001,"done",""]]'"""
DONE = f"'done', 1, 2, 'w-1', {{due}}, {{due}}, '1', {HISTORY}"
TASK = """'noop', '{{"number":1}}', 'default'"""
ROW = f"{TASK}, {{priority}}, {{now}}, {{due}}, {{due}}, {{rest}}"


def loads(number: int, *, others: int = 0) -> Sequence[tuple[int, str, str]]:
    """How many rows of a kind, what begins their ids, and the rest of the row."""
    now = round(time.time() * 1000) - MINUTE
    kinds = [(number, "0b", 0, now, QUEUED)]
    if others:
        kinds += [(others, "0c", 10, now + DAY, QUEUED), (5 * others, "0a", 0, now, DONE)]
    return [
        (many, begin, ROW.format(priority=priority, now=now, due=due, rest=rest.format(due=due)))
        for many, begin, priority, due, rest in kinds
    ]


async def fill_postgres(url: str, kinds: Sequence[tuple[int, str, str]]) -> None:
    async with store_at(url):
        pass
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("set synchronous_commit = off")
        for many, begin, row in kinds:
            db.execute(
                f"insert into errands_jobs ({COLUMNS}) "
                f"select '{begin}' || lpad(to_hex(n), 30, '0'), {row} "
                f"from generate_series(1, {many}) as numbers (n)"
            )


async def fill_sqlite(url: str, kinds: Sequence[tuple[int, str, str]]) -> None:
    async with store_at(url):
        pass
    db = apsw.Connection(url.removeprefix("sqlite:///"))
    db.execute("pragma synchronous = off")
    for many, begin, row in kinds:
        db.execute(
            "with recursive numbers (n) as (select 1 union all select n + 1 from numbers "
            f"where n < {many}) insert into errands_jobs ({COLUMNS}) "
            f"select '{begin}' || printf('%030x', n), {row} from numbers"
        )
    db.execute("pragma wal_checkpoint(truncate)").fetchall()
    db.close()


async def costs(few: str, many: str) -> tuple[list[float], list[float]]:
    """Milliseconds of a claim in the store of each URL, of some turns after one another."""
    took: tuple[list[float], list[float]] = ([], [])
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(store_at(url)) for url in (few, many)]
        for _ in range(WARM_UP + TURNS):
            for store, times in zip(stores, took, strict=True):
                times.append(await _claim(store))
    size = TURNS // PORTIONS
    return tuple(
        [statistics.median(times[at : at + size]) for at in range(WARM_UP, WARM_UP + TURNS, size)]
        for times in took
    )  # type: ignore[return-value]  # there are two


async def _claim(store: Store) -> float:
    claim = Claim(
        worker="w", queues=None, tasks=["noop"], limit=LIMIT, now=await store.now(),
        lease=timedelta(hours=1),
    )  # fmt: skip  # a call
    begin = time.perf_counter()
    claimed = await store.claim(claim)
    took = time.perf_counter() - begin
    assert len(claimed) == LIMIT
    return took * 1000


FRESH, SWEPT, SQLITE = "PostgreSQL, just loaded", "PostgreSQL, analyzed", "SQLite"


async def measure(taken: Samples[float]) -> None:
    with (
        postgres(autovacuum="off", max_wal_size="4GB") as server,
        database(server) as few,
        database(server) as many,
    ):
        await fill_postgres(few, loads(FEW))
        await fill_postgres(many, loads(N, others=N))
        server.execute("checkpoint")
        taken[f"{FRESH}, few"], taken[f"{FRESH}, many"] = await costs(few, many)
        for url in (few, many):
            with psycopg.connect(url, autocommit=True) as db:
                db.execute("vacuum analyze")
        taken[f"{SWEPT}, few"], taken[f"{SWEPT}, many"] = await costs(few, many)
    with tempfile.TemporaryDirectory(prefix="errands-bench-") as folder:
        few, many = (f"sqlite:///{Path(folder) / name}.db" for name in ("few", "many"))
        await fill_sqlite(few, loads(FEW))
        await fill_sqlite(many, loads(N, others=N))
        taken[f"{SQLITE}, few"], taken[f"{SQLITE}, many"] = await costs(few, many)


def main() -> None:
    heading(__doc__)
    taken: Samples[float] = {}
    asyncio.run(measure(taken))
    print(f"many: {N:,} that wait, {N:,} for tomorrow, {5 * N:,} finished")
    show([Column(unit="ms", samples=taken, form=".2f")])
    verdicts(
        [
            Promise.ratio(
                f"{name}: many / few", taken[f"{name}, many"], taken[f"{name}, few"], 1.5,
                at_most=True,
            )
            for name in (FRESH, SWEPT, SQLITE)
        ]
    )  # fmt: skip  # a call


if __name__ == "__main__":
    main()

"""Groups: milliseconds to ask how far 100,000 shards of one group are, beside as many others.

Asked when all wait, when half of them have ended, and when all have, a hundred times each; right
after that, before the database has cleaned up behind them: on PostgreSQL without autovacuum, as
well, so that the planner knows nothing of the table.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from measuring import Column, Promise, heading, interleaved, percentile, scaled, show, verdicts
from measuring.postgres import interleaved_on, postgres

from errands import Claim, Errands, State
from errands.stores import store_at

TARGET = 50  # milliseconds
ASKS = 100
PAGE = 1000

Asked = dict[str, list[float]]  # when, and how many milliseconds each question took


def ask(url: str, number: int) -> Asked:
    return asyncio.run(_asked(url, number))


def ask_in(folder: Path, url: str, number: int) -> Asked:
    return ask(url.format(folder=folder), number)


async def _asked(url: str, number: int) -> Asked:
    store = store_at(url)
    errands = Errands(store)

    @errands.task(name="noop")
    async def noop(number: int) -> int:
        return number

    asked: Asked = {}
    async with errands:
        await errands.map(noop, range(number), group="import-42")
        await errands.options(queue="others").map(noop, range(number), group="others")
        asked["all wait"] = await _ask(errands, number, 0)
        await _end(errands, number // 2)
        asked["half have ended"] = await _ask(errands, number, number // 2)
        await _end(errands, number)
        asked["all have ended"] = await _ask(errands, number, number)
    return asked


async def _ask(errands: Errands, number: int, ended: int) -> list[float]:
    took = []
    for _ in range(ASKS):
        begin = time.perf_counter()
        group = await errands.group("import-42")
        took.append((time.perf_counter() - begin) * 1000)
        assert (number, ended) == (group.total, group.counts.get(State.DONE, 0))
    return took


async def _end(errands: Errands, number: int) -> None:
    """Do what workers do, until so many have ended."""
    store = errands._engine.store
    while (await errands.group("import-42")).ended < number:
        now = errands.now()
        claim = Claim(
            worker="w", queues=["default"], tasks=["noop"], limit=PAGE, now=now,
            lease=timedelta(minutes=5),
        )  # fmt: skip  # a row
        running = await store.claim(claim)
        await store.save([job.done("1", now) for job in running])


def main() -> None:
    heading(__doc__)
    number = scaled(100_000) // (2 * PAGE) * 2 * PAGE
    urls = {"memory": "memory:", "SQLite": "sqlite:///{folder}/errands.db"}
    turns = interleaved(
        {name: partial(ask_in, url=url, number=number) for name, url in urls.items()}
    )
    with postgres(autovacuum="off") as server:
        turns |= interleaved_on(server, {"PostgreSQL": partial(ask, number=number)})
    medians: dict[str, list[float]] = {}
    worst: dict[str, list[float]] = {}
    for name, answers in turns.items():
        for when in answers[0]:
            row = f"{name}, {when}"
            medians[row] = [percentile(answer[when], 50) for answer in answers]
            worst[row] = [percentile(answer[when], 99) for answer in answers]
    show(
        [
            Column(unit="p50, ms", samples=medians, form=".1f"),
            Column(unit="p99, ms", samples=worst, form=".1f"),
        ]
    )
    verdicts(
        [
            Promise(what=f"{row}: p99, ms", samples=samples, target=TARGET, at_most=True)
            for row, samples in worst.items()
        ]
    )


if __name__ == "__main__":
    main()

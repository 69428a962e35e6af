"""History: what is counted, how well quantiles are answered, how much room it takes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import eventually

from errands import Errands, Retry, Sketch, Tally
from errands._history import HOUR, KEPT, MINUTE, bucket_of
from errands.errors import JobFailed
from errands.stores import store_at
from errands.testing import JumpingClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG = 10  # seconds, an upper bound that is never reached


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0, 1))
def test_a_quantile_is_off_by_an_eighth_at_the_most(lengths: list[int], q: float) -> None:
    """In milliseconds; and small ones are exact."""
    counts: dict[int, int] = {}
    for ms in lengths:
        counts[bucket_of(ms)] = counts.get(bucket_of(ms), 0) + 1
    found = Sketch(counts).quantile(q)

    true = sorted(lengths)[int(q * (len(lengths) - 1))]
    assert found is not None
    assert abs(found / timedelta(milliseconds=1) - true) <= true / 8
    assert len(lengths) == Sketch(counts).number


def test_nothing_has_no_quantile() -> None:
    assert Sketch().quantile(0.5) is None


async def test_what_ends_is_counted(errands: Errands) -> None:
    """By how it ended, with its waits and runs, for its minute and its hour."""

    @errands.task(name="work", queue="q", retry=Retry(attempts=2, wait=0))
    async def work(fails: bool) -> None:
        if fails:
            raise ValueError("no")

    async with errands:
        async with errands.working():
            await errands.result(await errands.add_task(work, False), timeout=LONG)
            with pytest.raises(JobFailed):
                await errands.result(await errands.add_task(work, True), timeout=LONG)
        for step in (MINUTE, HOUR):
            found = await errands.history(step=step)
            assert {("q", "work", step)} == {(each.queue, each.task, each.step) for each in found}
            assert {"done": 1, "failed": 1, "retried": 1} == {
                what: sum(each.counts.get(what, 0) for each in found)
                for each in found
                for what in each.counts
            }
            assert (2, 3) == (
                sum(each.wait.number for each in found),
                sum(each.run.number for each in found),
            )
        with pytest.raises(ValueError, match="a minute or an hour"):
            await errands.history(step=timedelta(days=1))


async def test_it_is_told_to_the_store_while_at_work(url: str, clock: JumpingClock) -> None:
    """And forgotten in time."""
    errands = Errands(url, clock=clock)

    @errands.task
    async def work() -> None: ...

    async def numbers() -> list[int]:
        return [len(await errands.history(clock.now() - 30 * KEPT[HOUR], step=s)) for s in KEPT]

    async with errands.working():
        await errands.result(await errands.add_task(work), timeout=LONG)
        for expected in ([1, 1], [0, 1], [0, 0]):

            async def look() -> list[int]:
                clock.jump(6)
                return await numbers()

            await eventually(expected, look)
            clock.jump(KEPT[MINUTE] if expected == [1, 1] else KEPT[HOUR])


async def test_it_takes_less_than_five_megabytes(tmp_path: Path) -> None:
    """Of 100 busy tasks, all that is kept: two hours of minutes and seven days of hours."""
    path, chance = f"{tmp_path}/errands.db", random.Random(7)

    def sketch() -> Sketch:
        spread = [round(chance.lognormvariate(4, 0.7)) for _ in range(40)]
        return Sketch({bucket_of(ms): spread.count(ms) for ms in spread})

    tallies = [
        Tally(
            at=NOW - n * step, step=step, queue="default", task=f"app.tasks.number_{task}",
            counts={"done": 120, "failed": 3}, wait=sketch(), run=sketch(),
        )
        for step, kept in KEPT.items()
        for n in reversed(range(kept // step))  # as they come to be
        for task in range(100)
    ]  # fmt: skip  # a row
    async with store_at(f"sqlite:///{path}") as store:
        for start in range(0, len(tallies), 1000):
            await store.add_history(tallies[start : start + 1000])
        assert 100 == len(await store.history(MINUTE, NOW))

    db = apsw.Connection(path)
    [[size]] = db.execute("select sum(pgsize) from dbstat where name = 'errands_history'")
    db.close()
    assert 1_000_000 < size < 5_000_000

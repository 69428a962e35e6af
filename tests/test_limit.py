"""Limits as they are declared, counted and waited for."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from patience import eventually

from errands import Errands, Job, Limit, Rate, Retry, State, Store, current_job, every
from errands._limit import LONG, key_of
from errands._quota import GRAINS, Bucket
from errands.testing import JumpingClock, drain

NOW = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)


# Declaring


@pytest.mark.parametrize("at_once", [0, -1, 1.5, True, "5", 10**9])
def test_a_limit_that_could_never_be_meant_is_refused(at_once: Any) -> None:
    """Where it is declared, and quoted."""
    with pytest.raises(ValueError, match=rf"Limit\({at_once!r}\): expected a whole number, 1 to"):
        Errands("memory:").task(concurrency=at_once)
    with pytest.raises(ValueError, match="expected a whole number"):
        Limit(at_once)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("", "expected a number and a time"),
        ("100", "expected a number and a time"),
        ("100/", "expected a number and a time"),
        ("m", "expected a number and a time"),
        ("100/x", "expected a number and a time"),
        ("-1/s", "expected a number and a time"),
        ("1.5/s", "expected a number and a time"),
        ("100 per minute", "expected a number and a time"),
        (100, "expected a number and a time"),
        ("0/s", "expected 1 to 1,000,000 starts"),
        ("2000000/s", "expected 1 to 1,000,000 starts"),
        ("1/0s", "expected a time of 1 s to 366 days"),
        ("1/367d", "expected a time of 1 s to 366 days"),
    ],
)
def test_a_rate_that_cannot_be_read_is_refused(rate: Any, words: str) -> None:
    """With what could have been written."""
    with pytest.raises(ValueError, match=words) as refusal:
        Errands("memory:").task(rate=rate)
    assert f"Rate({rate!r})" in str(refusal.value)


@pytest.mark.parametrize(
    ("rate", "starts", "seconds"),
    [
        ("100/m", 100, 60), ("10/s", 10, 1), ("5/h", 5, 3600), ("1000/d", 1000, 86_400),
        ("20/15m", 20, 900), (" 7 / 2 hours ", 7, 7200), ("3/Minute", 3, 60), ("1/sec", 1, 1),
    ],
)  # fmt: skip  # a table
def test_a_rate_says_how_many_in_how_long(rate: str, starts: int, seconds: int) -> None:
    """In short, or in words."""
    read = Rate(rate)

    assert (starts, timedelta(seconds=seconds)) == (read.starts, read.window)


@pytest.mark.parametrize("per", ["customer", "args", "options"])
@pytest.mark.parametrize("what", ["concurrency", "rate"])
def test_a_limit_per_parameter_that_there_is_not_is_refused(per: str, what: str) -> None:
    """When the task is declared, with those that there are."""

    def mail(customer_id: int, *args: str, text: str = "", **options: str) -> None: ...

    limits: Any = {what: Limit(2, per=per) if what == "concurrency" else Rate("1/s", per=per)}
    declared = Errands("memory:").task(**limits)
    with pytest.raises(ValueError, match=f"no parameter '{per}'") as refusal:
        declared(mail)
    assert "there are: customer_id, text" in str(refusal.value)


@pytest.mark.parametrize("per", ["customer.id", "", 5])
def test_per_is_the_name_of_a_parameter(per: Any) -> None:
    """And nothing else."""
    for make in (lambda: Limit(2, per=per), lambda: Rate("1/s", per=per)):
        with pytest.raises(ValueError, match="per is the name of one of the task's parameters"):
            make()


# Keys


async def test_a_job_has_the_keys_of_its_limits(errands: Errands) -> None:
    """Of its arguments, or of their defaults; whoever adds it, and however."""

    @errands.schedule(every(hours=1), name="hourly")
    @errands.task(name="mail", concurrency=Limit(2, per="customer"), rate=Rate("1/s", per="kind"))
    async def mail(customer: int = 7, kind: str = "x") -> None: ...

    @errands.task(name="plain", concurrency=3)
    async def plain() -> None: ...

    @errands.task(name="free")
    async def free() -> None: ...

    def keys(job: Job) -> tuple[str | None, str | None]:
        return job.concurrency_key, job.rate_key

    async with errands:
        one = await errands.add_task(mail, 42, kind='"')
        two = await errands.add_task(mail)
        three = await errands.add_task(plain)
        four = await errands.add_task(free)
        assert one == await errands.job(one.id)
    async with errands.working():
        five = await errands.schedules.run("hourly")

    assert ("limit:mail:customer=42", 'rate:mail:kind="\\""') == keys(one)
    assert ("limit:mail:customer=7", 'rate:mail:kind="x"') == keys(two) == keys(five)
    assert ("limit:plain", None) == keys(three)
    assert (None, None) == keys(four)


def test_a_key_is_of_bounded_length() -> None:
    """A hash stands for what is long."""
    one, two = (key_of("limit", "t", "text", "x" * 10_000 + end) for end in "ab")

    assert one != two
    assert len(one) == len(two) < LONG
    assert one.startswith("limit:t:text=xxx")


# Buckets


def test_a_bucket_gives_back_each_token_after_its_window() -> None:
    """Not earlier, and not much later."""
    rate, bucket = Rate("2/10s"), Bucket([], Rate("2/10s"), NOW)
    bucket.take(NOW)
    bucket.take(NOW + 4000)

    assert 0 == bucket.left
    assert 10_000 <= bucket.next - NOW <= 10_500
    assert 0 == Bucket(bucket.taken, rate, bucket.next - 1).left
    assert 1 == Bucket(bucket.taken, rate, bucket.next).left
    assert 2 == Bucket(bucket.taken, rate, bucket.over).left


def test_a_big_bucket_is_a_few_entries() -> None:
    """And none of its tokens comes back too early."""
    rate, bucket, took = Rate("10000/m"), Bucket([], Rate("10000/m"), NOW), list[int]()
    for number in range(10_000):
        took.append(NOW + 5 * number)
        bucket.take(took[-1])

    assert 0 == bucket.left
    assert len(bucket.taken) <= 2 * GRAINS + 2
    for at in range(bucket.next, bucket.over + 1, 777):
        back = Bucket(bucket.taken, rate, at).left
        assert back <= sum(taken + 60_000 <= at for taken in took)


def test_a_rate_that_was_lowered_waits_for_more_than_one_token() -> None:
    """Until fewer are taken than there are now."""
    bucket = Bucket([(NOW, 3), (NOW + 1000, 3)], Rate("3/10s"), NOW + 2000)

    assert -3 == bucket.left
    assert NOW + 1000 + Rate("3/10s").comes_back == bucket.next


# Working


async def test_no_more_run_at_once_and_all_are_done(errands: Errands) -> None:
    """Per task and per key, also those that fail and are tried again."""
    running, most = dict[str, int](), dict[str, int]()

    async def work(name: str) -> None:
        running[name] = running.get(name, 0) + 1
        most[name] = max(most.get(name, 0), running[name])
        await asyncio.sleep(0)
        running[name] -= 1

    @errands.task(name="all", concurrency=3, retry=Retry(attempts=2, wait=0))
    async def everyone(number: int) -> None:
        await work("all")
        if number % 4 == 0 and current_job().attempt == 1:
            raise ValueError(number)

    @errands.task(name="each", concurrency=Limit(2, per="customer"))
    async def each(customer: int, number: int) -> None:
        await work(f"each {customer}")

    async with errands.working():
        await errands.add_tasks([(everyone, n) for n in range(40)])
        await errands.add_tasks([(each, n % 3, n) for n in range(60)])
        await drain(errands)
        counts = {pair: n for pair, n in (await errands.count()).items() if n}

    assert {("default", State.DONE): 100} == counts
    assert {"all": 3, "each 0": 2, "each 1": 2, "each 2": 2} == most


async def test_a_job_that_waits_says_for_what(errands: Errands) -> None:
    """Until it may start."""
    gate = asyncio.Event()

    @errands.task(name="one", concurrency=1)
    async def one() -> None:
        await gate.wait()

    async with errands.working():
        first, second = await errands.add_tasks([(one,), (one,)])

        async def blocked() -> list[str | None]:
            return [
                job.blocked_by for each in (first, second) if (job := await errands.job(each.id))
            ]

        await eventually([None, "limit:one"], blocked)
        gate.set()
        await drain(errands)
        assert [None, None] == await blocked()


async def test_a_rate_lets_jobs_start_in_time(store: Store, clock: JumpingClock) -> None:
    """By the application's clock."""
    errands, started = Errands(store, clock=clock), list[int]()

    @errands.task(name="paced", rate="2/5s")
    async def paced(number: int) -> None:
        started.append(number)

    async with errands.working():
        await errands.add_tasks([(paced, n) for n in range(5)])
        await eventually([0, 1], lambda: list(started))
        for expected in ([0, 1, 2, 3], [0, 1, 2, 3, 4]):
            clock.jump(timedelta(seconds=6))
            await eventually(expected, lambda: list(started))


async def test_who_waits_stands_in_nobodys_way(errands: Errands) -> None:
    """A customer with many jobs does not starve one with few, whatever their priority."""
    gate, order = asyncio.Event(), list[str]()

    @errands.task(name="mail", concurrency=Limit(1, per="customer"))
    async def mail(customer: str) -> None:
        order.append(customer)
        await gate.wait()

    async with errands:
        await errands.options(priority=9).add_tasks([(mail, "many")] * 200)
        await errands.add_task(mail, "few")
    async with errands.working(slots=2):
        await eventually(["many", "few"], lambda: list(order))
        gate.set()
        await drain(errands)

    assert 201 == len(order)


async def test_a_limited_job_of_a_request_waits_for_its_end(errands: Errands) -> None:
    """It takes no place before, starts at once then, and is dropped with the request."""
    started = list[int]()

    @errands.task(name="one", concurrency=1)
    async def one(number: int) -> None:
        started.append(number)

    async with errands.working():
        dropped, kept = errands.background(), errands.background()
        dropped.add_task(one, 1)
        kept.add_task(one, 2)
        await dropped.flush()
        [job] = await kept.flush()
        await errands.add_task(one, 3)
        await eventually([3], lambda: list(started))
        assert State.QUEUED is job.state

        await dropped.drop()
        await kept.close(wait=True)
        await eventually([3, 2], lambda: list(started))
        await drain(errands)
    async with errands:
        counts = await errands.count()
    assert {("default", State.DONE): 2} == {pair: n for pair, n in counts.items() if n}


async def test_a_job_that_finishes_in_its_own_transaction_makes_room(tmp_path: Path) -> None:
    """Which is noticed by the one that ran it: nobody else is told of the commit."""
    errands, done = Errands(f"sqlite:///{tmp_path}/app.db"), list[int]()

    @errands.task(name="one", concurrency=1)
    async def one(number: int) -> None:
        with closing(apsw.Connection(str(tmp_path / "app.db"))) as connection:
            connection.set_busy_timeout(5000)
            connection.execute("begin immediate")
            await current_job().finish(connection)
            connection.execute("commit")
        done.append(number)

    async with errands.working():
        await errands.add_tasks([(one, n) for n in range(10)])
        await eventually(list(range(10)), lambda: list(done))
        await drain(errands)

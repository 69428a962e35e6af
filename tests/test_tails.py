"""The tails of services: their last lines reach whoever asks, bounded, and nobody else's do."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from patience import eventually

from errands import Budget, Errands, LogLine, ServiceState, ready, stopping
from errands._clock import Clock
from errands._tails import ALL, LINES, SIZE, WIDEST, Tails

KINDS = pytest.mark.parametrize("every_process", [False, True], ids=["one", "every"])
logger = logging.getLogger("shop.prices")


async def texts(errands: Errands) -> list[str]:
    """What the only service has logged."""
    [service] = await errands.services()
    return [line.text for line in service.log]


def logged(tails: Tails, service: str, *messages: str) -> None:
    """Have a service log these, in a thread of its own, whose context ends with it."""

    def log() -> None:
        tails.begin(service)
        for message in messages:
            logger.warning("%s", message)

    thread = threading.Thread(target=log)
    thread.start()
    thread.join()


@KINDS
async def test_what_a_service_logs_is_told(errands: Errands, every_process: bool) -> None:
    """With the instant and the level; an error with what it says."""

    @errands.service(name="prices", every_process=every_process)
    async def prices() -> None:
        logger.warning("at %s", "example.org")
        try:
            raise ConnectionError("no route")
        except ConnectionError:
            logger.exception("not there")
        ready()
        await asyncio.Event().wait()

    async with errands.working():
        begin = errands.now()
        await errands.started(prices, timeout=10)
        [service] = await errands.services()

    first, second = service.log
    assert ("prices", "WARNING", "at example.org") == (first.service, first.level, first.text)
    assert ("ERROR", "not there: ConnectionError: no route") == (second.level, second.text)
    assert begin - timedelta(seconds=5) <= first.at <= second.at


async def test_a_thread_of_a_service_is_heard(errands: Errands) -> None:
    """Whatever logger it uses."""

    @errands.service(name="poll")
    def poll() -> None:
        logging.getLogger("a.library").warning("looked for mail")
        ready()
        while not stopping():
            stopped.wait(0.01)

    stopped = threading.Event()
    async with errands.working():
        await errands.started(poll, timeout=10)
        assert ["looked for mail"] == await texts(errands)


async def test_nobody_else_is_heard(errands: Errands) -> None:
    """Neither the application nor a job, also one that the service added."""

    @errands.task
    async def work() -> None:
        logger.warning("a job's")

    @errands.service(name="prices")
    async def prices() -> None:
        logger.warning("its own")
        await errands.result(await errands.add_task(work), timeout=10)
        ready()
        await asyncio.Event().wait()

    async with errands.working():
        logger.warning("the application's")
        await errands.started(prices, timeout=10)
        assert ["its own"] == await texts(errands)


async def test_other_processes_see_it(tmp_path: Path) -> None:
    """Also once the one that ran it has stopped."""
    url = f"sqlite:///{tmp_path}/errands.db"
    errands, elsewhere = Errands(url, grace=1), Errands(url)

    @errands.service(name="prices", restart="on-failure")
    async def prices() -> None:
        logger.warning("closed for today")

    async with elsewhere:
        async with errands.working():
            await errands.started(prices, timeout=10)
        [beat] = await elsewhere.workers()

    assert ["closed for today"] == [line.text for line in beat.log]
    assert beat.gone_at is not None


async def test_the_lines_of_all_who_ran_it_are_told_in_order(tmp_path: Path) -> None:
    """A worker that has taken it over goes on below what the one before it said."""
    url, number = f"sqlite:///{tmp_path}/errands.db", iter(range(10))

    def application() -> Errands:
        errands = Errands(url, grace=1)

        @errands.service(name="prices")
        async def prices() -> None:
            logger.warning("start %d", next(number))
            ready()
            await asyncio.Event().wait()

        return errands

    for expected in (["start 0"], ["start 0", "start 1"]):
        async with (errands := application()).working():
            await errands.started("prices", timeout=10)
            assert expected == await texts(errands)


@KINDS
@pytest.mark.errands_falls
async def test_one_that_backs_off_tells_when_it_starts(
    errands: Errands, every_process: bool
) -> None:
    """And how it fell; one that was given up does not start."""

    @errands.service(name="bad", every_process=every_process, budget=Budget(restarts=3))
    async def bad() -> None:
        raise ValueError("no")

    async def seen() -> bool:
        [service] = await errands.services()
        if service.state is not ServiceState.BACKING_OFF:
            return False
        return service.starts_at is not None and service.starts_at >= service.since

    async def state() -> ServiceState:
        [service] = await errands.services()
        return service.state

    async with errands.working():
        await eventually(True, seen)
        assert "service bad failed; starting it again" in (await texts(errands))[0]
        await eventually(ServiceState.FAILED, state)
        [service] = await errands.services()
        assert service.starts_at is None


def test_a_tail_is_bounded() -> None:
    """By lines, by their length, and by what all of it takes; the newest stay."""
    tails = Tails(Clock())
    logged(tails, "long", "x" * 10_000)
    logged(tails, "many", *map(str, range(100)))
    logged(tails, "both", *(f"{n}{'ü' * 400}" for n in range(100)))
    lines = {name: [x.text for x in tails.lines() if x.service == name] for name in tails._tails}

    assert [f"{'x' * (WIDEST - 1)}…"] == lines["long"]
    assert [str(n) for n in range(80, 100)] == lines["many"]
    assert (LINES, 20) == (20, len(lines["many"]))
    assert SIZE - 1000 < sum(len(text.encode()) for text in lines["both"]) <= SIZE
    assert "99" == lines["both"][-1][:2]


def test_many_services_share_the_room() -> None:
    """A heartbeat does not grow without end."""
    tails = Tails(Clock())
    for n in range(100):
        logged(tails, f"s{n}", *["x" * 400] * 20)

    lines = tails.lines()
    assert 100 == len({line.service for line in lines})
    assert sum(len(line.text) for line in lines) <= ALL


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [("%d of them", ("three",), "%d of them"), ("half \ud83d", (), "half ?"), ("", (), "")],
)
def test_what_cannot_be_told_as_it_is_disturbs_nobody(
    message: str, arguments: tuple[str, ...], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Arguments that do not fit, half a character."""
    tails = Tails(Clock())

    def log() -> None:
        tails.begin("prices")
        record = logging.getLogRecordFactory()(
            "shop", logging.INFO, "x.py", 1, message, arguments, None
        )
        logging.makeLogRecord(record.__dict__)  # as a handler that queues does: no new line

    thread = threading.Thread(target=log)
    thread.start()
    thread.join()

    assert [expected] == [line.text for line in tails.lines()]


def test_logging_is_as_the_application_set_it_up() -> None:
    """No handler is added, which would silence Python's own of last resort."""
    before = list(logging.getLogger().handlers)
    tails = Tails(Clock())
    logged(tails, "prices", "hello")

    assert before == logging.getLogger().handlers
    assert isinstance(tails.lines()[0], LogLine)

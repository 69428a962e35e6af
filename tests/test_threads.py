"""Threads of our own for plain functions."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
from patience import eventually, soon

from errands.executors import thread
from errands.executors.thread import Threads

LONG = 10  # seconds, an upper bound that is never reached


def alive() -> int:
    """How many threads of ours there are."""
    return sum(thread.name == "errands task" for thread in threading.enumerate())


async def test_a_function_runs_in_a_thread_with_its_arguments() -> None:
    """Not in the one of the event loop."""

    def work(a: int, *, b: int) -> tuple[int, bool]:
        return a + b, threading.current_thread() is threading.main_thread()

    assert (3, False) == await Threads(1).run(work, 1, b=2)


async def test_an_error_comes_back() -> None:
    """With its traceback; also one that a future refuses, and one that would end a thread."""
    threads = Threads(1)

    def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("no"), SystemExit(3), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            await threads.run(fail, error)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(next, iter(()))
    assert 3 == await threads.run(lambda: 3)


async def test_context_variables_are_the_callers() -> None:
    """What the function sets stays its own."""
    name: ContextVar[str] = ContextVar("name", default="nobody")
    name.set("ann")

    def work() -> str:
        before = name.get()
        name.set("bob")
        return before

    assert "ann" == await Threads(1).run(work)
    assert "ann" == name.get()


async def test_no_more_run_side_by_side_than_the_limit() -> None:
    """The others wait for their turn, and come in order."""
    threads, gate = Threads(2), threading.Event()
    running: list[int] = []

    def work(n: int) -> int:
        running.append(n)
        assert gate.wait(LONG)
        return n

    calls = [asyncio.create_task(threads.run(work, n)) for n in range(5)]
    await eventually(2, lambda: len(running))
    assert {0, 1} == set(running)
    gate.set()
    assert list(range(5)) == await soon(asyncio.gather(*calls))


async def test_an_idle_thread_is_used_again() -> None:
    """One after another needs one thread."""
    threads = Threads(10)
    idents = set()
    for _ in range(20):
        idents.add(await threads.run(threading.get_ident))
        await eventually(1, lambda: threads._idle)

    assert 1 == len(idents)


async def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without work."""
    monkeypatch.setattr(thread, "IDLE", 0.01)
    threads = Threads(3)
    gate = threading.Barrier(3)
    before = alive()
    await soon(asyncio.gather(*(threads.run(gate.wait, LONG) for _ in range(3))))

    await eventually(0, lambda: threads._threads)
    await eventually(True, lambda: alive() <= before)
    assert 4 == await threads.run(lambda: 4)


async def test_a_call_that_waits_can_be_cancelled() -> None:
    """It never starts."""
    threads, gate, called = Threads(1), threading.Event(), threading.Event()
    first = asyncio.create_task(threads.run(gate.wait, LONG))
    second = asyncio.create_task(threads.run(called.set))
    await eventually(1, lambda: len(threads._calls))
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await soon(first)

    assert 5 == await threads.run(lambda: 5)
    assert not called.is_set()


async def test_a_call_that_runs_is_abandoned_when_it_is_cancelled() -> None:
    """It goes on by itself, and another may run in its place."""
    threads, gate, started, ended = Threads(1), *(threading.Event() for _ in range(3))

    def work() -> None:
        started.set()
        assert gate.wait(LONG)
        ended.set()

    call = asyncio.create_task(threads.run(work))
    await eventually(True, started.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert 6 == await soon(threads.run(lambda: 6), "a call beside an abandoned one")
    gate.set()
    await eventually(True, ended.is_set)
    assert 7 == await soon(threads.run(lambda: 7))


async def test_many_abandoned_calls_leave_the_limit_as_it_was() -> None:
    """Counting is exact: afterwards as many run side by side as before, and no more."""
    threads, gate = Threads(2), threading.Event()
    for _ in range(3):
        calls = [asyncio.create_task(threads.run(gate.wait, LONG)) for _ in range(2)]
        await eventually(0, lambda: len(threads._calls))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    gate.set()
    together, most, lock = [0], [0], threading.Lock()
    barrier = threading.Barrier(2)

    def work() -> None:
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        barrier.wait(LONG)
        with lock:
            together[0] -= 1

    await soon(asyncio.gather(*(threads.run(work) for _ in range(8))))
    assert 2 == most[0]


async def test_abandoned_calls_are_bounded_and_named() -> None:
    """As many as the limit leave their places to others; with more of them others wait."""
    threads, gate, started = Threads(1), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert gate.wait(LONG)

    for name in ("one", "two"):
        call = asyncio.create_task(threads.run_named(name, work))
        await eventually(True, started.is_set)
        started.clear()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    third = asyncio.create_task(threads.run(lambda: 3))
    await asyncio.sleep(0)

    assert ["one", "two"] == threads.left
    assert 1 == len(threads._calls)
    gate.set()
    assert 3 == await soon(third)
    await eventually([], lambda: threads.left)


async def test_a_call_that_waits_takes_the_place_of_an_abandoned_one() -> None:
    """At once, and not when the next one comes."""
    threads, gate, started = Threads(1), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        assert gate.wait(LONG)

    first = asyncio.create_task(threads.run(work))
    second = asyncio.create_task(threads.run(lambda: 2))
    await eventually(True, started.is_set)
    first.cancel()

    assert 2 == await soon(second)
    gate.set()


@pytest.mark.errands_falls
async def test_an_abandoned_call_that_goes_on_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By its name; one that ends in time is not."""
    monkeypatch.setattr(thread, "PATIENCE", 0.01)
    threads, gate, started, ended = Threads(2), *(threading.Event() for _ in range(3))

    def work() -> None:
        started.set()
        assert gate.wait(LONG)

    calls = [
        asyncio.create_task(threads.run_named("goes on", work)),
        asyncio.create_task(threads.run_named("ends", ended.wait, LONG)),
    ]
    await eventually(True, started.is_set)
    ended.set()
    await soon(calls[1])
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    await eventually(True, lambda: "goes on ignores its cancellation" in caplog.text)
    gate.set()

    assert "ends ignores" not in caplog.text


async def test_an_idle_thread_keeps_nothing_alive() -> None:
    """Neither arguments nor results."""
    threads = Threads(1)

    class Big: ...

    def work(big: Any) -> Any:
        return big

    big = Big()
    seen = weakref.ref(big)
    await threads.run(work, big)
    del big
    await eventually(1, lambda: threads._idle)
    await asyncio.sleep(0)  # the loop itself still has the step that brought the result
    gc.collect()

    assert None is seen()


async def test_threads_do_not_keep_the_process_from_ending() -> None:
    """A function that never returns is left behind."""
    assert await Threads(1).run(lambda: threading.current_thread().daemon)


def test_a_loop_that_was_closed_meanwhile_is_no_error() -> None:
    """Nobody waits any more; the thread ends what it does and goes on."""
    threads, gate, ended = Threads(1), threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(LONG)
        ended.set()

    async def leave() -> None:
        call = asyncio.create_task(threads.run(work))
        await eventually(0, lambda: len(threads._calls) or not threads._threads)
        call.cancel()

    asyncio.run(leave())
    gate.set()
    assert ended.wait(LONG)
    assert 8 == asyncio.run(threads.run(lambda: 8))

"""A leash drives a coroutine as `await` does, until it is dropped; a task can be let go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

import pytest
from patience import eventually

from errands._leash import Leash, let_go


async def led(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await Leash(coroutine)


async def test_it_hands_on_what_is_returned_or_raised() -> None:
    """Through real waits."""

    async def well() -> int:
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            return await asyncio.wait_for(asyncio.to_thread(lambda: 42), 10)

    async def badly() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    assert 42 == await led(well())
    with pytest.raises(KeyError, match="x"):
        await led(badly())


async def test_timeouts_and_cancellations_work_inside() -> None:
    """The coroutine hears of both, and may answer to them."""
    heard: list[str] = []

    async def listen() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            heard.append("timeout")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
        return "swallowed"

    task = asyncio.create_task(led(listen()))
    await eventually(["timeout"], lambda: heard)
    task.cancel()

    assert "swallowed" == await task
    assert ["timeout", "cancelled"] == heard


async def test_a_dropped_coroutine_is_not_told_of_the_cancellation() -> None:
    """It is closed, so that its cleanup runs, and nothing else of it."""
    begun, heard = asyncio.Event(), []

    async def swallow() -> None:
        try:
            while True:
                try:
                    begun.set()
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    heard.append("cancelled")
        finally:
            heard.append("closed")

    leash = Leash(swallow())

    async def lead() -> None:
        await leash

    task = asyncio.create_task(lead())
    await begun.wait()
    leash.drop()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ["closed"] == heard


async def test_a_coroutine_that_does_not_even_close_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It awaits while it is closed; it is let go all the same."""
    caplog.set_level(logging.WARNING)
    begun = asyncio.Event()

    async def cling() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)

    leash = Leash(cling())

    async def lead() -> None:
        await leash

    task = asyncio.create_task(lead())
    await begun.wait()
    leash.drop()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert "was closed in its midst" in caplog.text
    assert "coroutine ignored GeneratorExit" in caplog.text


async def swallow(heard: list[BaseException], kind: type[BaseException], often: int) -> None:
    """Be cancelled, or closed, so often, and go on."""
    while len(heard) < often:
        try:
            await asyncio.Event().wait()
        except kind as error:
            heard.append(error)


async def test_a_task_that_is_let_go_is_closed() -> None:
    """It hears of no cancellation any more, and no loop waits for it."""
    heard: list[BaseException] = []
    context = copy_context()
    task = asyncio.create_task(swallow(heard, asyncio.CancelledError, 9), context=context)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert 1 == len(heard)

    let_go(task, context)
    await asyncio.wait({task}, timeout=10)

    assert 1 == len(heard)
    assert task.done()


async def test_a_task_that_does_not_even_close_is_waited_for_by_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged, and left as it is."""
    heard: list[BaseException] = []
    context = copy_context()
    task = asyncio.create_task(swallow(heard, BaseException, 2), context=context)
    await asyncio.sleep(0)

    let_go(task, context)

    assert [GeneratorExit] == [type(error) for error in heard]
    assert task not in asyncio.all_tasks()
    assert "coroutine ignored GeneratorExit" in caplog.text
    task.cancel()  # so that this test leaves nothing behind
    await task


def test_a_program_with_such_a_task_ends() -> None:
    """Though `asyncio.run` cancels what is left, and waits for it."""
    heard: list[BaseException] = []

    async def program() -> None:
        context = copy_context()
        task = asyncio.create_task(swallow(heard, asyncio.CancelledError, 9), context=context)
        await asyncio.sleep(0)
        let_go(task, context)

    asyncio.run(program())

    assert [] == heard

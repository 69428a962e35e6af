"""The bell, and its echo."""

from __future__ import annotations

import asyncio

import pytest
from patience import soon

from errands.stores import _bell
from errands.stores._bell import Echo


async def test_an_echo_rings_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then no more, until it is begun again."""
    monkeypatch.setattr(_bell, "ECHOES", (0.001, 0.001, 0.001))
    rung = asyncio.Semaphore(0)
    echo = Echo(rung.release)

    for _ in range(2):
        echo.begin()
        for _ in range(3):
            await soon(rung.acquire())
        assert rung.locked()
        assert None is echo._next


async def test_an_echo_is_not_put_off_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast others begin it again."""
    monkeypatch.setattr(_bell, "ECHOES", (0.005, 1000))
    rung = asyncio.Event()
    echo = Echo(rung.set)

    async def begin() -> None:
        while not rung.is_set():
            echo.begin()
            await asyncio.sleep(0)

    await soon(begin())
    echo.begin()  # soon again, not after the long pause
    rung.clear()
    await soon(rung.wait())
    echo.end()


async def test_an_echo_that_is_ended_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its store is closed."""
    monkeypatch.setattr(_bell, "ECHOES", (0.0,))
    rung: list[int] = []
    echo = Echo(lambda: rung.append(1))
    echo.begin()
    echo.end()
    await asyncio.sleep(0.001)

    assert [] == rung

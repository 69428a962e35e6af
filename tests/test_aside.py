"""What is held open for requests without a lifespan is closed, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from errands._aside import Aside

pytestmark = pytest.mark.anyio


class Door:
    """Something that takes its time to open and to close."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.may_open, self.may_close = asyncio.Event(), asyncio.Event()
        self.opening, self.closing = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        self.opening.set()
        await self.may_open.wait()
        self.said.append("open")
        yield
        self.closing.set()
        await self.may_close.wait()
        self.said.append("closed")


async def visit(aside: Aside) -> None:
    async with aside():
        pass


async def test_who_is_cancelled_on_the_way_out_closes_it_all_the_same() -> None:
    """A test client cancels a WebSocket's application when its own block ends."""
    door = Door()
    door.may_open.set()
    aside = Aside(door.work)
    visitor = asyncio.create_task(visit(aside))
    await door.closing.wait()

    visitor.cancel()
    await asyncio.sleep(0)
    door.may_close.set()
    with pytest.raises(asyncio.CancelledError):
        await visitor

    assert ["open", "closed"] == door.said
    assert not aside.is_used


async def test_who_is_cancelled_on_the_way_in_closes_it_again() -> None:
    """It is open by then, and nobody else would."""
    door = Door()
    door.may_close.set()
    aside = Aside(door.work)
    visitor = asyncio.create_task(visit(aside))
    await door.opening.wait()

    visitor.cancel()
    await asyncio.sleep(0)
    door.may_open.set()
    with pytest.raises(asyncio.CancelledError):
        await visitor

    assert ["open", "closed"] == door.said
    assert not aside.is_used


async def test_those_who_overlap_share_one_opening() -> None:
    """The last one closes it."""
    door = Door()
    door.may_open.set()
    door.may_close.set()
    aside = Aside(door.work)

    async with aside():
        await visit(aside)
        assert ["open"] == door.said
    await visit(aside)

    assert ["open", "closed"] * 2 == door.said

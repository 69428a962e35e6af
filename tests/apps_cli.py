"""The application that the tests of the command line name."""

from __future__ import annotations

import asyncio
from datetime import datetime

from errands import Errands, cron, ready


def make() -> Errands:
    """One for the store of this environment."""
    errands = Errands(grace=1)

    @errands.task(name="shop.mail.welcome", queue="mail")
    async def welcome(address: str, token: str = "", at: datetime | None = None) -> str:
        if address.startswith("bad"):
            raise ConnectionError(f"refused {address} with {token}")
        return f"to {address}" if at is None else f"to {address} at {at:%Y}"

    @errands.task(name="shop.resize")
    async def resize(path: str, sizes: list[int]) -> int:
        return len(sizes)

    @errands.schedule(cron("0 3 29 2 *"), name="tidy")  # on a leap day: not while a test runs
    @errands.task(name="shop.tidy")
    async def tidy() -> None: ...

    @errands.service(name="shop.follow")
    async def follow() -> None:
        ready()
        await asyncio.sleep(3600)

    return errands

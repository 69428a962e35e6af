"""An application that counts in its own transaction, and is killed at a given moment.

Its arguments: a path, a kind of connection, a moment. `never` goes on with what is there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from borrowers import execute, place_at

from errands import Errands, Retry, current_job
from errands.testing import drain


async def main(address: str, borrower: str, moment: str) -> None:
    place = place_at(address, borrower)
    errands = Errands(place.url)

    def perhaps_die(now: str) -> None:
        if now == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    @errands.task(name="count", retry=Retry(attempts=3))
    async def count() -> int:
        async with place.begin() as connection:
            await execute(connection, "update counter set n = n + 1")
            await current_job().finish(connection, current_job().attempt)
            perhaps_die("before the commit")
        perhaps_die("after the commit")
        return 0

    async with errands.working():
        if moment != "never":
            async with place.begin() as connection:
                await execute(connection, "create table counter (n integer)")
                await execute(connection, "insert into counter values (0)")
                await errands.options(connection=connection).add_task(count)
        await drain(errands)


asyncio.run(main(*sys.argv[1:]))

"""An application that counts in its own transaction, and is killed at a given moment.

Its arguments: a path, a kind of connection, a moment. It is started twice, each time in a process
of its own: to be killed, and to go on with what is there. What it prints are their statuses.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from borrowers import execute, place_at

from errands import Errands, Retry, current_job
from errands.testing import drain


async def main(address: str, borrower: str, moment: str | None) -> None:
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
        if moment is not None:
            async with place.begin() as connection:
                await execute(connection, "create table counter (n integer)")
                await execute(connection, "insert into counter values (0)")
                await errands.options(connection=connection).add_task(count)
        await drain(errands)


def forked(address: str, borrower: str, moment: str | None) -> int:
    """How a child ended; all that it needs was imported before."""
    child = os.fork()
    if not child:
        try:
            asyncio.run(main(address, borrower, moment))
        except BaseException:  # noqa: BLE001  # told, as an interpreter does it
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    path, kind, when = sys.argv[1:]
    print(forked(path, kind, when), forked(path, kind, None))

"""The tasks of worker processes that are killed, frozen and cut off from their store.

ERRANDS_URL, WORLD    as in `apps_server`
LEASE                 that of `Errands`
"""

from __future__ import annotations

import asyncio
import os
import signal

from apps_server import opened, tell

from errands import Errands

errands = Errands(lease=float(os.environ.get("LEASE", "15")), grace=0.5)


@errands.task(name="gated")
async def gated(text: str) -> int:
    tell("start", text)
    await opened()
    tell("done", text)
    return os.getpid()


@errands.task(name="step")
async def step(text: str) -> int:
    tell("start", text)
    await asyncio.sleep(0.005)
    tell("done", text)
    return os.getpid()


@errands.task(name="poison")
async def poison(text: str) -> None:
    """Take the whole process along, as a fault in a library of C does."""
    tell("start", text)
    os.kill(os.getpid(), signal.SIGKILL)

"""Tasks that wait for each other, in worker processes that are killed.

ERRANDS_URL, WORLD    as in `apps_server`
DIES                  1: be killed in the transaction that ends a job which others wait for
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from apps_server import tell

from errands import Errands, current_job
from errands.stores.postgres import _sql
from errands.stores.sqlite import _waiting

errands = Errands(grace=0.5)


@errands.task(name="link")
async def link(text: str) -> int:
    """Answer with how many are before it in the longest line."""
    before = await current_job().parents()
    tell("start", text)
    await asyncio.sleep(0.002)
    tell("done", text)
    return 1 + max(before, default=0)


def die(what: Any, jobs: Any) -> Any:
    """Once the end is written, and before anybody is free."""
    if list(jobs):
        tell("dies")
        os.kill(os.getpid(), signal.SIGKILL)
    return False


if os.environ.get("DIES"):
    for module in (_waiting, _sql):
        vars(module)["end"] = die

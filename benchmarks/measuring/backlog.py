"""Jobs that are in the file before anything is measured, written past Errands to be quick."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import apsw

from errands import Errands

DAY = 86_400_000  # milliseconds

FILL = """
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < :number)
insert into errands_jobs (
    id, task, payload, queue, priority, added_at, due_at, free_at, state, attempt, version
)
select printf('%08x-%04x-7%03x-8000-%012x', :now >> 16, :now & 65535, :series, n), :task,
       json_object('number', n), :queue, :priority, :now, :due, :due, 'queued', 0, 0
from numbers
"""


def fill(
    folder: Path,
    number: int,
    *,
    task: str = "noop",
    queue: str = "default",
    priority: int = 0,
    later: int = 0,
) -> None:
    """Have so many jobs wait in `errands.db`.

    Args:
        task: Its one parameter is `number`.
        later: Milliseconds from now before which they are not due.
    """
    asyncio.run(_make(folder))
    db = apsw.Connection(str(folder / "errands.db"))
    db.execute("pragma synchronous = off")
    now = round(time.time() * 1000) - 1
    values = {
        "number": number, "now": now, "series": abs(priority) & 0xFFF, "task": task,
        "queue": queue, "priority": priority, "due": now + later,
    }  # fmt: skip  # a row
    with db:
        db.execute(FILL, values)
    db.execute("pragma wal_checkpoint(truncate)").fetchall()
    db.close()


async def _make(folder: Path) -> None:
    async with Errands(f"sqlite:///{folder}/errands.db"):
        return

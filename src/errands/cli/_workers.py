"""Workers as they are just now: who lives, who is paused, and how many slots are in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from errands import Errands, State

from ._records import of_worker
from ._tables import Record

MOST = 1_000  # running jobs that are looked at


async def workers_of(errands: Errands) -> list[Record]:
    """Those of the last day, as records."""
    now, orders = errands.now(), await errands.orders()
    paused = [order.name for order in orders if order.kind == "worker"]
    found = [of_worker(each, now, paused) for each in await errands.workers()]
    busy = await busy_slots(errands)
    if busy is None:
        return list(found)
    return [
        each if each["state"] == "gone" else {**each, "running": busy.get(each["worker"], 0)}
        for each in found
    ]


async def busy_slots(errands: Errands) -> Mapping[str, int] | None:
    """How many slots each worker has in use; `None` where more jobs run than are looked at.

    What a worker says of itself may be some seconds old; the jobs are as the store has them now.
    """
    jobs = await errands.jobs(states=[State.RUNNING], limit=MOST)
    if len(jobs) == MOST:
        return None
    # a service takes no slot
    return Counter(job.worker or "" for job in jobs if job.key != f"service:{job.task}")

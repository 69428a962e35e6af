"""A store with a past: many jobs that have ended, as a dashboard meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from errands import Attempt, Job, Outcome, State, new_id
from errands.stores import store_at

STEP = timedelta(milliseconds=500)  # between two jobs
GROUP = 10_000  # jobs of one group
BATCH = 10_000
QUEUES = ("default", "mail", "payments", "webhooks")
ERROR = "Traceback (most recent call last):\n" + '  File "/app/shop.py", line 7, in call\n' * 9


def jobs(number: int, now: datetime) -> Iterator[Job]:
    """So many, one each half second: of 100 three have failed, one was cancelled."""
    for n in range(number):
        at = now - STEP * (number - n)
        state = State.FAILED if n % 33 == 0 else State.CANCELLED if n % 97 == 0 else State.DONE
        error = f"{ERROR}ValueError: {n}" if state is State.FAILED else None
        end = at + timedelta(milliseconds=250)
        yield Job(
            id=new_id(at), task=f"shop.task{n % 7}", payload=json.dumps({"order": n, "to": "ada"}),
            queue=QUEUES[n % len(QUEUES)], state=state, due_at=at, free_at=at, added_at=at,
            attempt=1, worker="w", started_at=at, finished_at=end, version=3,
            group=f"import-{n // GROUP:06d}",
            history=(Attempt(1, "w", at, end, Outcome(str(state)), error),),
        )  # fmt: skip  # a row


async def fill(url: str, number: int) -> str:
    """Put them into the store, and name one that failed."""
    failed, batch = "", list[Job]()
    async with store_at(url) as store:
        for job in jobs(number, await store.now()):
            batch.append(job)
            failed = job.id if job.state is State.FAILED else failed
            if len(batch) == BATCH:
                await store.add(batch)
                batch.clear()
        await store.add(batch)
    return failed

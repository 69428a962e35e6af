"""A shop with a dashboard: two thousand jobs of a day, and some that go on."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from errands import (
    Attempt,
    Errands,
    Job,
    Limit,
    Outcome,
    Retry,
    State,
    cron,
    every,
    new_id,
    progress,
    ready,
)
from errands._historian import Historian
from errands._supervisor import Patience
from errands.dashboard import dashboard
from errands.starlette import setup_errands

API_KEY = "sk_live_4eC39HqLyjWDarjtT1"
errands = Errands(os.environ.get("SHOP_STORE", "memory:"), slots=6, grace=1)

TRACE = """Traceback (most recent call last):
  File "/srv/shop/tasks/{module}.py", line {line}, in {function}
    {code}
  File "/srv/shop/.venv/lib/python3.12/site-packages/httpx/_client.py", line 1054, in request
    return self.send(request, auth=auth, follow_redirects=follow_redirects)
{error}
"""


@dataclass(frozen=True)
class Kind:
    """The jobs of one task, in a day.

    Attributes:
        share: Of all jobs.
        length: Seconds that a run takes typically.
        bad: The share that fails for good.
        arguments: Those of the nth job.
        code: The line that fails.
        error: What it says then.
    """

    task: str
    queue: str
    share: float
    length: float
    bad: float
    arguments: Callable[[int], dict[str, object]]
    code: str
    error: str


KINDS = (
    Kind(
        "mail.send_receipt", "mail", 0.38, 0.18, 0.015,
        lambda n: {"order": 48_000 + n, "to": f"customer{n % 310}@example.org"},
        "smtp.send_message(message)",
        "smtplib.SMTPServerDisconnected: Connection unexpectedly closed",
    ),
    Kind(
        "images.thumbnails", "default", 0.27, 2.1, 0.02,
        lambda n: {"path": f"uploads/2026/11/product-{n:05d}.jpg", "sizes": [128, 512, 1024]},
        "image = Image.open(path)",
        "PIL.UnidentifiedImageError: cannot identify image file 'product-{n:05d}.jpg'",
    ),
    Kind(
        "payments.capture", "payments", 0.16, 0.9, 0.03,
        lambda n: {"charge": f"ch_{n:06x}", "amount": 990 + n % 40 * 250, "currency": "CHF",
                   "api_key": API_KEY},
        "response = client.post(url, json=charge)",
        "httpx.ReadTimeout: The read operation timed out",
    ),
    Kind(
        "search.reindex", "default", 0.12, 4.6, 0.01,
        lambda n: {"collection": ("products", "posts", "people")[n % 3], "since": n},
        "index.add_documents(batch)",
        "ConnectionRefusedError: [Errno 111] Connection refused",
    ),
    Kind(
        "webhooks.deliver", "webhooks", 0.07, 0.4, 0.16,
        lambda n: {"url": f"https://partner-{n % 9}.example/hooks", "event": "order.paid",
                   "order": 48_000 + n},
        "response.raise_for_status()",
        "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url "
        "'https://partner-{p}.example/hooks'",
    ),
)  # fmt: skip  # a table
WORKERS = ("web-1:4127:8f21", "jobs-1:911:0c7e", "jobs-2:915:77ab")


@errands.task(name="images.thumbnails")
async def thumbnails(path: str, sizes: list[int]) -> int:
    """A slow one, which tells how far it is."""
    for step in range(400):
        progress(step, 400, f"{path} at {sizes[step * len(sizes) // 400]} px")
        await asyncio.sleep(0.5)  # as if it had something to do
    return len(sizes)


@errands.task(name="mail.send_receipt", queue="mail", retry=Retry(attempts=5, wait=2))
async def send_receipt(order: int, to: str) -> str:
    """A quick one."""
    await asyncio.sleep(0.05 + order % 7 / 20)  # as if a server were asked
    return f"250 queued as {order:x}"


@errands.task(name="payments.capture", queue="payments", retry=Retry(attempts=3, wait=1))
async def capture(charge: str, amount: int, currency: str, api_key: str) -> dict[str, object]:
    """One that has a secret."""
    await asyncio.sleep(0.1)  # as above
    if amount < 0:
        raise ValueError(f"{api_key} may not capture {amount} {currency}")
    return {"charge": charge, "status": "succeeded", "token": "tok_1NqfGh2eZvKYlo2C"}


@errands.task(name="search.reindex")
async def reindex(collection: str, since: int) -> int:
    """One for a schedule."""
    await asyncio.sleep(0.3)  # as above
    return since


@errands.task(name="webhooks.deliver", queue="webhooks", retry=Retry(attempts=6, wait=30))
async def deliver(url: str, event: str, order: int) -> None:
    """One that fails."""
    await asyncio.sleep(0.1)  # as above
    raise ConnectionError(f"no route to {url}")


@errands.task(name="orders.pack")
async def pack(order: int) -> int:
    """One that others come before, and after."""
    return order


@errands.task(name="orders.ship", queue="shipping", concurrency=Limit(1, per="carrier"))
async def ship(carrier: str, order: int) -> None:
    """One that has a limit."""
    await asyncio.sleep(300)  # as if a carrier were slow


@errands.schedule(every(seconds=20), "products", 0, name="reindex products")
@errands.schedule(cron("0 3 * * *", tz="Europe/Zurich"), "people", 0, name="reindex people")
async def again(collection: str, since: int) -> int:
    """What schedules add."""
    return await reindex(collection, since)


@errands.service(name="prices.follow")
async def follow_prices() -> None:
    """One that is up."""
    ready()
    await asyncio.Event().wait()


@errands.service(name="stock.feed", every_process=True)
async def follow_stock() -> None:
    """One that is up in each process."""
    ready()
    await asyncio.Event().wait()


@errands.service(name="ftp.mirror")
async def mirror() -> None:
    """One that falls."""
    log = logging.getLogger("ftp")
    log.info("connected to ftp.supplier.example")
    await asyncio.sleep(0.2)  # as if it had asked for something
    log.warning("products.csv is 3 days old")
    raise ConnectionResetError("ftp.supplier.example closed the connection")


def day(now: datetime, number: int = 2_000) -> Iterator[Job]:
    """Jobs of the last 24 hours, most of them done: the same ones each time."""
    draw = random.Random(7)
    spans = (3_700 if draw.random() < 0.4 else 86_000 for _ in range(number))
    ages = sorted((draw.random() * span + 60 for span in spans), reverse=True)
    for n, age in enumerate(ages):
        yield past(n, now - timedelta(milliseconds=round(age * 1000)), draw)


def past(n: int, added: datetime, draw: random.Random) -> Job:
    """A job that has ended: done mostly, at once or after retries."""
    kind = draw.choices(KINDS, weights=[each.share for each in KINDS])[0]
    fails = draw.random() < kind.bad
    tries = 3 if fails else 1 + (draw.random() < kind.bad) + (draw.random() < kind.bad / 3)
    at, history = added, list[Attempt]()
    for number in range(1, tries + 1):
        start = at + seconds(draw.expovariate(1 / 0.08) if number == 1 else 2.0**number)
        at = start + seconds(kind.length * draw.lognormvariate(0, 0.45))
        is_bad = fails or number < tries
        outcome = Outcome.FAILED if is_bad else Outcome.DONE
        text = traced(kind, n, draw) if is_bad else None
        history.append(Attempt(number, draw.choice(WORKERS), start, at, outcome, text))
    is_cancelled = not fails and draw.random() < 0.004
    state = State.FAILED if fails else State.CANCELLED if is_cancelled else State.DONE
    return Job(
        id=new_id(added), task=kind.task, payload=json.dumps(kind.arguments(n)), state=state,
        due_at=added, free_at=added, added_at=added, attempt=tries, history=tuple(history),
        started_at=history[-1].started_at, finished_at=at, worker=history[-1].worker,
        queue=kind.queue, result="3" if state is State.DONE else None, version=2 * tries + 1,
    )  # fmt: skip  # a row


def seconds(length: float) -> timedelta:
    return timedelta(milliseconds=round(length * 1000))


def traced(kind: Kind, n: int, draw: random.Random) -> str:
    module, _, function = kind.task.partition(".")
    return TRACE.format(
        module=module, function=function, code=kind.code, line=18 + len(kind.code),
        error=kind.error.format(n=n, p=draw.randrange(9)),
    )  # fmt: skip  # a call


async def go_on() -> None:
    """Add what runs, waits and fails while somebody looks."""
    await errands.options(group="catalogue").add_tasks(
        [(reindex, ("products", "posts", "people")[n % 3], n) for n in range(60)]
    )
    await errands.options(group="shipping").add_tasks(
        [(ship, ("swiss post", "dhl")[n % 3 == 0], n) for n in range(9)]
    )
    await errands.options(group="autumn sale", after=90_000, queue="mail").add_tasks(
        [(send_receipt, 60_000 + n, f"customer{n}@example.org") for n in range(40)]
    )
    for n in range(4):
        await errands.add_task(thumbnails, f"uploads/2026/11/product-0{2100 + n}.jpg", [128, 512])
    before = await errands.jobs(task="images.thumbnails", limit=1)
    before += await errands.jobs(task="webhooks.deliver", states=[State.FAILED], limit=1)
    before += await errands.jobs(task="payments.capture", states=[State.DONE], limit=1)
    [packed] = await errands.options(waits_for=before, if_failed="run").add_tasks([(pack, 50_000)])
    await errands.options(waits_for=[packed]).add_tasks(
        [(send_receipt, 50_200 + n, f"customer{n}@example.org") for n in range(40)]
    )
    for n in range(9):
        await errands.add_task(send_receipt, 50_000 + n, f"customer{n}@example.org")
        await errands.options(after=900 + 60 * n).add_task(
            send_receipt, 50_100 + n, "late@example.org"
        )
    await errands.add_tasks(
        [(deliver, f"https://partner-{n}.example/hooks", "order.paid", n) for n in range(5)]
    )
    for n in range(3):
        await errands.add_task(capture, f"ch_{n}", -n, "CHF", API_KEY)


app = Starlette(routes=[Mount("/errands", dashboard(errands, allow=lambda request: "ada"))])
setup_errands(app, errands)

STRANGE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202e\u05e9\u05dc\u05d5\u05dd"


def strange(now: datetime) -> Job:
    """A job of which every text means harm."""
    at = now - timedelta(days=2)
    error = f"Traceback (most recent call last):\n{STRANGE}\nValueError: {STRANGE}"
    return Job(
        id=new_id(at), task="strange", payload=json.dumps({STRANGE: STRANGE}), state=State.FAILED,
        due_at=at, free_at=at, added_at=at, started_at=at, finished_at=at, attempt=1, version=3,
        key=STRANGE, group=STRANGE,
        history=(Attempt(1, STRANGE, at, at, Outcome.FAILED, error),),
    )  # fmt: skip  # a row


async def seed() -> None:
    """Fill the store."""
    async with errands:
        now = errands.now()
        jobs, store = list(day(now)), errands._engine.store
        await store.add([*([strange(now)] if "strange" in sys.argv else []), *jobs])
        clock = errands._engine.clock
        historian = Historian(store, clock, Patience(clock))
        for job in jobs:
            historian.note(job)
        await historian.stop()
        await go_on()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if "seed" in sys.argv:
        asyncio.run(seed())
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "0")))

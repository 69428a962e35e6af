"""The page Queues: what waits and runs in each, and which are paused."""

from __future__ import annotations

from collections.abc import Sequence

from errands import Order, State

from .._glance import Counts
from .._hour import Span, by_queue
from .._markup import Child, Markup, h, join
from .._parts import Column, act, ago, depth, nothing, number, section, table, took
from .._visit import Page, Visit

SHOWN = (State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED, State.DONE)
DEEP = (State.RUNNING, State.QUEUED)  # what makes a queue deep
COLUMNS = (
    Column("Queue", "main"), *(Column(state.capitalize(), "num") for state in SHOWN),
    Column("Wait, 95 %", "num"), Column("", "share"), Column("", "act"),
)  # fmt: skip  # a table
PAUSED = (
    Column("What", "state"), Column("Name", "main"), Column("Since", "num quiet"), Column("", "act")
)  # fmt: skip  # a table


async def queues_page(visit: Visit) -> Page:
    """See the module."""
    orders = await visit.errands.orders()
    others = [order for order in orders if order.kind in ("task", "key")]
    body = join(
        await queue_table(visit, await visit.counts(), orders),
        section("Paused, too", table(PAUSED, (_paused_row(visit, each) for each in others)))
        if others
        else None,
    )
    return Page("Queues", body, live=2)


async def queue_table(
    visit: Visit, counts: Counts | None, orders: Sequence[Order] | None = None
) -> Markup:
    """A row for each queue that has jobs, or is paused."""
    if counts is None:
        return nothing("The jobs are being counted.")
    orders = await visit.errands.orders() if orders is None else orders
    paused = {order.name for order in orders if order.kind == "queue"}
    queues = sorted({queue for queue, _ in counts} | paused)
    if not queues:
        return nothing("There are no jobs yet.")
    deepest = max(sum(counts.get((queue, state), 0) for state in DEEP) for queue in queues)
    hour = by_queue(await visit.hour() or (), visit.now)
    rows = (
        _row(visit, queue, counts, deepest, hour.get(queue), is_paused=queue in paused)
        for queue in queues
    )
    return table(COLUMNS, rows)


def _row(
    visit: Visit, queue: str, counts: Counts, deepest: int, hour: Span | None, *, is_paused: bool
) -> list[Child]:
    there = {state: counts.get((queue, state), 0) for state in SHOWN}
    name = h.a(queue, href=visit.link("jobs", queue=queue), data_row=True)
    mark = h.span("paused", cls="badge retrying") if is_paused else None
    cells: list[Child] = [join(name, " ", mark)]
    for state, found in there.items():
        link = visit.link("jobs", queue=queue, state=state)
        cells.append(h.a(number(found), href=link, cls=f"tone {state}") if found else "")
    late = hour.wait.quantile(0.95) if hour else None
    cells.append(took(late) if late is not None else "")  # in the last hour
    do, label = ("resume", "Resume") if is_paused else ("pause", "Pause")
    button: Child = act(visit, do, label, queue=queue, cls="small") if visit.may_act else ""
    return [*cells, depth({str(s): there[s] for s in DEEP}, max(deepest, 1)), button]


def _paused_row(visit: Visit, order: Order) -> list[Child]:
    """A task that is paused, or the job that has a key."""
    name: dict[str, str] = {str(order.kind): order.name}
    button: Child = act(visit, "resume", "Resume", cls="small", **name) if visit.may_act else ""
    link = h.a(order.name, href=visit.link("jobs", **name), data_row=True)
    return [order.kind, link, ago(order.since, visit.now), button]

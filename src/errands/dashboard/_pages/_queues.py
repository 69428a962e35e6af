"""The page Queues: what waits and runs in each, which are paused, and which limits hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from errands import LimitUse, Order, Redaction, State

from .._glance import Counts
from .._hour import Span, by_queue
from .._markup import Child, Markup, h, join
from .._parts import Column, act, ago, depth, nothing, number, section, table, took
from .._visit import Page, Visit

SHOWN = (State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED, State.DONE)
DEEP = (State.RUNNING, State.QUEUED)  # what makes a queue deep
COLUMNS = (
    Column("Queue", "main"), *(Column(state.capitalize(), "num") for state in SHOWN),
    Column("Oldest", "num"), Column("Wait, 95 %", "num"), Column("Depth", "share"),
    Column("", "act"),
)  # fmt: skip  # a table
LIMITS = (
    Column("Limit", "main"), Column("Running", "num"), Column("Kept back", "num"),
    Column("In use", "share"),
)  # fmt: skip  # a table
SECOND = timedelta(seconds=1)
MOST = 100  # queues that are shown, and limits
MOST_COUNTED = 10_000  # jobs that a limit is said to keep back
PAUSED = (
    Column("What", "state"), Column("Name", "main"), Column("Since", "num quiet"), Column("", "act")
)  # fmt: skip  # a table


async def queues_page(visit: Visit) -> Page:
    """See the module."""
    orders = await visit.errands.orders()
    others = [order for order in orders if order.kind in ("task", "key")]
    body = join(
        await queue_table(visit, await visit.counts(), orders, most=MOST),
        section("Paused, too", table(PAUSED, (_paused_row(visit, each) for each in others)))
        if others
        else None,
        await _limits(visit),
    )
    return Page("Queues", body, live=2)


async def queue_table(
    visit: Visit, counts: Counts | None, orders: Sequence[Order] | None = None, *, most: int
) -> Markup:
    """A row for each queue that has jobs, or is paused; for the deepest, if they are many.

    Args:
        most: Rows.
    """
    if counts is None:
        return nothing("The jobs are being counted.")
    orders = await visit.errands.orders() if orders is None else orders
    paused = {order.name for order in orders if order.kind == "queue"}
    queues = sorted({queue for queue, _ in counts} | paused)
    if not queues:
        return nothing("There are no jobs yet.")
    depths = {queue: sum(counts.get((queue, state), 0) for state in DEEP) for queue in queues}
    deepest = max(depths.values())
    left_out = len(queues) - most
    if left_out > 0:
        queues.sort(key=lambda queue: (queue not in paused, -depths[queue]))
        queues = sorted(queues[:most])
    hour = by_queue(await visit.hour() or (), visit.now)
    since = await visit.errands.waiting_since()
    rows = []
    for queue in queues:
        there = {state: counts.get((queue, state), 0) for state in SHOWN}
        times = [_age(visit, since.get(queue)), _late(hour.get(queue))]
        rows.append(_row(visit, queue, there, times, deepest, is_paused=queue in paused))
    return join(table(COLUMNS, rows), _rest(visit, left_out) if left_out > 0 else None)


def _rest(visit: Visit, left_out: int) -> Markup:
    """Where the other queues are, which are less deep."""
    there = h.a("Jobs", href=visit.link("jobs"))
    return h.p(f"{number(left_out)} more, less deep; the jobs of each are under ", there, ".",
               cls="quiet")  # fmt: skip  # a sentence


def _age(visit: Visit, since: datetime | None) -> str:
    """How long the job has been waiting that has for longest, if that is a second at least."""
    age = visit.now - (since or visit.now)
    return took(age) if age >= SECOND else ""


def _late(hour: Span | None) -> str:
    """How long 95 of 100 jobs of the last hour had waited at the most."""
    late = hour.wait.quantile(0.95) if hour else None
    return "" if late is None else took(late)


def _row(
    visit: Visit,
    queue: str,
    there: Mapping[State, int],
    times: Sequence[str],
    deepest: int,
    *,
    is_paused: bool,
) -> list[Child]:
    name = h.a(queue, href=visit.link("jobs", queue=queue), data_row=True)
    mark = h.span("paused", cls="badge retrying") if is_paused else None
    cells: list[Child] = [join(name, " ", mark)]
    for state, found in there.items():
        link = visit.link("jobs", queue=queue, state=state)
        cells.append(h.a(number(found), href=link, cls=f"tone {state}") if found else "")
    do, label = ("resume", "Resume") if is_paused else ("pause", "Pause")
    button: Child = act(visit, do, label, queue=queue, cls="small") if visit.may_act else ""
    return [*cells, *times, depth({str(s): there[s] for s in DEEP}, max(deepest, 1)), button]


def _paused_row(visit: Visit, order: Order) -> list[Child]:
    """A task that is paused, or the job that has a key."""
    name: dict[str, str] = {str(order.kind): order.name}
    button: Child = act(visit, "resume", "Resume", cls="small", **name) if visit.may_act else ""
    link = h.a(order.name, href=visit.link("jobs", **name), data_row=True)
    return [order.kind, link, ago(order.since, visit.now), button]


async def _limits(visit: Visit) -> Markup | None:
    """The limits that hold just now, those that keep back most first."""
    uses = await visit.errands.limits_in_use(limit=MOST)
    uses.sort(key=lambda use: (-use.blocked, use.key))
    rows = (_limit_row(visit, use) for use in uses)
    return section("Limits", table(LIMITS, rows)) if uses else None


def _limit_row(visit: Visit, use: LimitUse) -> list[Child]:
    """One limit; how high it is knows who has declared the task."""
    limits = visit.errands.limits.get(use.task)
    is_rate = use.key.startswith("rate:")
    at_once = limits.concurrency.at_once if limits and limits.concurrency else None
    pace = limits.rate.rate if limits and limits.rate else ""
    of = f" of {number(at_once)}" if at_once else ""
    run = pace if is_rate else f"{number(use.running)}{of}"
    bar = depth({"running": use.running}, max(at_once or 1, use.running))
    link = visit.link("jobs", task=use.task)
    key = h.a(h.bdi(_shown(use, visit.redaction)), href=link, data_row=True)
    more = "+" if use.blocked >= MOST_COUNTED else ""
    return [
        key, run, f"{number(use.blocked)}{more}" if use.blocked else "",
        bar if at_once and not is_rate else "",
    ]  # fmt: skip  # a row


def _shown(use: LimitUse, redaction: Redaction) -> str:
    """The key of a limit; without the value of a parameter that is secret."""
    kind, _, rest = use.key.partition(":")
    name, is_per, _ = rest.removeprefix(use.task).removeprefix(":").partition("=")
    if is_per and redaction.hides(name):
        return f"{kind}:{use.task}:{name}={redaction.HIDDEN}"
    return redaction.text(use.key)

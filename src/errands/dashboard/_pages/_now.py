"""The page Now: how much there is to do, who does it, and how that went in the last hour."""

from __future__ import annotations

from collections.abc import Sequence

from errands import Heartbeat, Sketch, State

from .._glance import Counts
from .._hour import MINUTES, Span, by_minute, whole
from .._markup import Child, Markup, h, join
from .._parts import (
    ended_chart,
    figures,
    job_rows,
    length_chart,
    nothing,
    number,
    section,
    took,
)
from .._visit import Page, Visit
from ._queues import queue_table
from ._workers import RunningJobs, running_jobs

SERVICES = "services"  # the queue of the jobs that are services
SHORT = 6  # rows of a list that goes on elsewhere
QUEUES = 12  # rows of that of queues


async def now_page(visit: Visit) -> Page:
    """See the module."""
    counts, hour = await visit.counts(), await visit.hour()
    minutes = by_minute(hour or (), visit.now)
    workers = [each for each in await visit.errands.workers() if each.is_alive(visit.now)]
    running = await running_jobs(visit)
    shown = running.jobs[:SHORT]
    failed = await visit.errands.jobs(states=[State.FAILED], limit=SHORT)
    body = join(
        figures([*_figures(visit, counts, workers, running), *_pace(minutes)]),
        section("The last hour", _charts(minutes)) if hour else None,
        section(
            "Running",
            job_rows(visit, shown) if shown else nothing("Nothing runs just now."),
            more=_more(visit, State.RUNNING),
        ),
        section("Queues", await queue_table(visit, counts, most=QUEUES)),
        section("Failed last", job_rows(visit, failed), more=_more(visit, State.FAILED))
        if failed
        else None,
    )
    return Page("Now", body, live=2)


def _figures(
    visit: Visit, counts: Counts | None, workers: Sequence[Heartbeat], running: RunningJobs
) -> list[tuple[str, Child, Child]]:
    found: list[tuple[str, Child, Child]] = [
        (state.capitalize(), _linked(visit, counts, state), None)
        for state in (State.QUEUED, State.RUNNING, State.FAILED, State.DONE)
    ]
    slots, busy = sum(each.slots for each in workers), sum(map(running.at, workers))
    use = f"{busy} of {slots} slots in use" if workers else "nobody works"
    return [*found, ("Workers", h.a(len(workers), href=visit.link("workers")), use)]


def _pace(minutes: Sequence[Span]) -> list[tuple[str, Child, Child]]:
    """How it went in the last hour: failures, waits and runs."""
    span = whole(minutes)
    share = span.failing
    rate = f"{sum(span.ended.values()) / MINUTES:.1f} attempts a minute"
    failing: Child = "-" if share is None else f"{100 * share:.1f} %"
    return [
        ("Fail, last hour", failing, rate if share is not None else None),
        ("Wait, median", *_spread(span.wait)),
        ("Run, median", *_spread(span.run)),
    ]


def _spread(sketch: Sketch) -> tuple[Child, Child]:
    half, late = sketch.quantile(0.5), sketch.quantile(0.95)
    if half is None or late is None:
        return "-", None
    return took(half), f"95 % within {took(late)}"


def _charts(minutes: Sequence[Span]) -> Markup:
    return h.div(
        ended_chart(minutes),
        length_chart("Wait: half, and 95 %", minutes, lambda minute: minute.wait),
        length_chart("Run: half, and 95 %", minutes, lambda minute: minute.run),
        cls="charts",
    )


def _linked(visit: Visit, counts: Counts | None, state: State) -> Child:
    if counts is None:
        return "…"
    there = sum(n for (queue, found), n in counts.items() if found is state and queue != SERVICES)
    return h.a(number(there), href=visit.link("jobs", state=state), cls=f"tone {state}")


def _more(visit: Visit, state: State) -> Markup:
    return h.a("all", href=visit.link("jobs", state=state), cls="more")

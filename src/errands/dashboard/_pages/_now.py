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
    is_service,
    job_rows,
    length_chart,
    nothing,
    number,
    section,
    took,
)
from .._visit import Page, Visit
from ._queues import queue_table

SERVICES = "services"  # the queue of the jobs that are services
MOST = 200  # jobs that run, which are looked at
SHORT = 6  # rows of a list that goes on elsewhere


async def now_page(visit: Visit) -> Page:
    """See the module."""
    counts, hour = await visit.counts(), await visit.hour()
    minutes = by_minute(hour or (), visit.now)
    workers = [each for each in await visit.errands.workers() if each.is_alive(visit.now)]
    running = await visit.errands.jobs(states=[State.RUNNING], limit=MOST)
    running = [job for job in running if not is_service(job)][:SHORT]
    failed = await visit.errands.jobs(states=[State.FAILED], limit=SHORT)
    body = join(
        figures([*_figures(visit, counts, workers), *_pace(minutes)]),
        section("The last hour", _charts(minutes)) if hour else None,
        section(
            "Running",
            job_rows(visit, running) if running else nothing("Nothing runs just now."),
            more=_more(visit, State.RUNNING),
        ),
        section("Queues", await queue_table(visit, counts)),
        section("Failed last", job_rows(visit, failed), more=_more(visit, State.FAILED))
        if failed
        else None,
    )
    return Page("Now", body, live=2)


def _figures(
    visit: Visit, counts: Counts | None, workers: Sequence[Heartbeat]
) -> list[tuple[str, Child, Child]]:
    found: list[tuple[str, Child, Child]] = [
        (state.capitalize(), _linked(visit, counts, state), None)
        for state in (State.QUEUED, State.RUNNING, State.FAILED, State.DONE)
    ]
    slots, busy = (sum(getattr(w, what) for w in workers) for what in ("slots", "running"))
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

"""Charts: inline SVG, coloured by the style sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from errands import Job, Sketch, State

from .._hour import MINUTES, Span
from .._markup import Markup, h
from ._words import took

WIDE, HIGH = 1000.0, 24
THINNEST = 4.0  # of WIDE; a shorter run could not be seen
BROAD, GAP, TALL = 8, 2, 80  # of the columns of a chart


def depth(parts: Mapping[str, int], most: int) -> Markup:
    """A bar of parts, each in the tone of its name; `most` of them would fill it."""
    bars, x = list[Markup](), 0.0
    for tone, part in parts.items():
        if part:
            width = max(WIDE * part / most, THINNEST)
            bars.append(_bar(x, width, tone, f"{part} {tone}"))
            x += width
    told = ", ".join(f"{part} {tone}" for tone, part in parts.items() if part)
    return _chart(bars, told or "empty", "depth")


def ended_chart(minutes: Sequence[Span]) -> Markup:
    """How many attempts ended in each minute, and as what."""
    most = max((sum(each.ended.values()) for each in minutes), default=0)
    bars = list[Markup]()
    for n, each in enumerate(minutes):
        told = ", ".join(f"{number} {tone}" for tone, number in each.ended.items() if number)
        y = float(TALL)
        for tone, number in each.ended.items():
            if number:
                height = TALL * number / most
                y -= height
                bars.append(_column(n, y, height, tone, f"{each.at:%H:%M} UTC: {told}"))
    return _figure("Ended a minute", f"at most {most}" if most else "", bars)


def length_chart(title: str, minutes: Sequence[Span], pick: Callable[[Span], Sketch]) -> Markup:
    """How long waits or runs were in each minute: half of them, and 95 of 100."""
    lengths = [(pick(each).quantile(0.5), pick(each).quantile(0.95)) for each in minutes]
    most = max((late for _, late in lengths if late), default=None)
    bars = list[Markup]()
    for n, (half, late) in enumerate(lengths):
        if half is None or late is None or not most:
            continue
        told = f"{minutes[n].at:%H:%M} UTC: half within {took(half)}, 95 % within {took(late)}"
        for length, tone in ((late, "late"), (half, "half")):
            height = max(TALL * (length / most), 1.0)
            bars.append(_column(n, TALL - height, height, tone, told))
    return _figure(title, f"at most {took(most)}" if most else "", bars)


def lifeline(job: Job, now: datetime) -> Markup:
    """The life of a job from its addition on: waits in grey, runs in the tone of their outcome."""
    pieces = list(_pieces(job, now))
    begin, end = pieces[0][0], pieces[-1][1]
    length = (end - begin).total_seconds() or 0.001
    scale = WIDE / length
    bars = []
    for start, stop, tone in pieces:
        x = (start - begin).total_seconds() * scale
        width = (stop - start).total_seconds() * scale
        if tone != "wait":
            width = max(width, THINNEST)
            x = min(x, WIDE - width)
        bars.append(_bar(x, width, tone, f"{tone} {took(stop - start)}"))
    runs = sum(tone != "wait" for _, _, tone in pieces)
    return _chart(bars, f"{took(end - begin)} with {runs} runs", "lifeline")


def _pieces(job: Job, now: datetime) -> Iterator[tuple[datetime, datetime, str]]:
    """Each wait and each run: when it began, when it ended, its tone."""
    at = min(job.added_at, job.history[0].started_at) if job.history else job.added_at
    for attempt in job.history:
        yield at, max(at, attempt.started_at), "wait"
        yield attempt.started_at, attempt.ended_at, str(attempt.outcome)
        at = attempt.ended_at
    if job.state is State.RUNNING and job.started_at is not None:
        yield at, job.started_at, "wait"
        yield job.started_at, max(now, job.started_at), "running"
    elif not job.is_final:
        yield at, max(now, at), "wait"
    elif not job.history:
        yield at, job.finished_at or at, "wait"


def _column(n: int, y: float, height: float, tone: str, title: str) -> Markup:
    x = n * (BROAD + GAP)
    shape = {"x": x, "y": f"{y:.1f}", "width": BROAD, "height": f"{height:.1f}"}
    return h.rect(h.title(title), cls=f"bar {tone}", **shape)


def _figure(title: str, remark: str, bars: list[Markup]) -> Markup:
    box = f"0 0 {MINUTES * (BROAD + GAP) - GAP} {TALL}"
    chart = h.svg(
        bars, viewBox=box, preserveAspectRatio="none", role="img", cls="chart columns",
        aria_label=f"{title}, {remark or 'nothing'}",
    )  # fmt: skip  # a call
    caption = h.figcaption(title, h.span(remark, cls="quiet"))
    scale = h.p(h.span("an hour ago"), h.span("now"), cls="scale", aria_hidden="true")
    return h.figure(caption, chart, scale)


def _bar(x: float, width: float, tone: str, title: str) -> Markup:
    return h.rect(
        h.title(title), x=f"{x:.1f}", y=0, width=f"{width:.1f}", height=HIGH, cls=f"bar {tone}"
    )


def _chart(bars: list[Markup], told: str, cls: str) -> Markup:
    return h.svg(
        bars, viewBox=f"0 0 {WIDE:.0f} {HIGH}", preserveAspectRatio="none", role="img",
        aria_label=told, cls=f"chart {cls}",
    )  # fmt: skip  # a call

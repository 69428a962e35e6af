"""The graph of a job: those it waits for above, those that wait for it below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from errands import Job

from .._markup import Markup, h
from .._visit import Visit
from ._badges import shown
from ._words import clipped, number

WIDE = 720
NODE, TALL = 168, 42  # the width and the height of a job
GAP, DROP = 16, 34  # between two jobs of a row, and between two rows
ROW = 4  # boxes in a row; where there are more jobs, the last one says how many
LETTERS = 21  # of a name, which fit in


@dataclass(frozen=True, slots=True)
class Kin:
    """The jobs on one side of a job.

    Attributes:
        jobs: Those that are shown.
        left_out: How many there are beside them.
        is_more: Whether there are even more than those.
    """

    jobs: Sequence[Job]
    left_out: int = 0
    is_more: bool = False

    @property
    def size(self) -> int:
        """How many boxes they take."""
        return len(self.jobs) + bool(self.left_out)


def room(found: int) -> int:
    """How many of so many jobs are shown."""
    return found if found <= ROW else ROW - 1


def graph(visit: Visit, job: Job, parents: Kin, children: Kin) -> Markup:
    """A drawing of jobs as links, each with its state."""
    rows = [kin for kin in (parents, Kin([job]), children) if kin.size]
    middle = 1 if parents.size else 0
    drawn = list[Markup]()
    for place, kin in enumerate(rows):
        y = place * (TALL + DROP)
        xs = _places(kin.size)
        if place != middle:
            low = (max(place, middle)) * (TALL + DROP)
            drawn += [_edge(x, low, is_above=place < middle) for x in xs]
        drawn += [
            _node(visit, each, x, y, is_here=each.id == job.id)
            for each, x in zip(kin.jobs, xs, strict=False)
        ]
        if kin.left_out:
            drawn.append(_rest(kin, xs[-1], y))
    high = len(rows) * (TALL + DROP) - DROP
    told = f"{parents.size} above, {children.size} below"
    box = f"-1 -1 {WIDE + 2} {high + 2}"
    return h.div(h.svg(drawn, viewBox=box, role="group", aria_label=told), cls="graph")


def _places(size: int) -> list[float]:
    """Where the boxes of a row begin, so that they stand in the middle."""
    begin = (WIDE - size * NODE - (size - 1) * GAP) / 2
    return [begin + n * (NODE + GAP) for n in range(size)]


def _edge(x: float, low: int, *, is_above: bool) -> Markup:
    """A line between a box and the one in the middle, into a row that begins at `low`."""
    mine, its = x + NODE / 2, WIDE / 2
    start, end = (mine, its) if is_above else (its, mine)
    high, bend = low - DROP, low - DROP / 2
    return h.path(d=f"M{start:g} {high}C{start:g} {bend:g} {end:g} {bend:g} {end:g} {low}")


def _node(visit: Visit, job: Job, x: float, y: int, *, is_here: bool) -> Markup:
    word = shown(job, visit.now)
    return h.a(
        h.title(f"{job.task}, {word}"),
        h.rect(x=f"{x:g}", y=y, width=NODE, height=TALL, rx=6),
        h.text(_name(job.task), x=f"{x + 12:g}", y=y + 18),
        h.text(word, x=f"{x + 12:g}", y=y + 34, cls="state"),
        href=visit.link(f"jobs/{job.id}"),
        aria_current="page" if is_here else None,
        cls=word,
    )


def _rest(kin: Kin, x: float, y: int) -> Markup:
    words = f"and {'more than ' if kin.is_more else ''}{number(kin.left_out)} more"
    return h.text(words, x=f"{x + NODE / 2:g}", y=y + 26, text_anchor="middle")


def _name(task: str) -> str:
    """As much of a name as fits: rather its end than its module."""
    own = task if len(task) <= LETTERS else task.rpartition(".")[2] or task
    return clipped(own, LETTERS)

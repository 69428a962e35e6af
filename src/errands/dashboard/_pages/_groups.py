"""The page Groups, and that of each: how far its jobs are, and which those are."""

from __future__ import annotations

import asyncio

from errands import Group, State

from .._changes import STATES, Do
from .._markup import Child, Markup, h, join
from .._parts import Column, ago, depth, facts, hidden, moment, nothing, number, table, took
from .._visit import Page, Visit
from ._jobs import look, selection, tabs, turn

SIZE = 20  # groups on a page, each of which is counted
ENDED = (State.DONE, State.FAILED, State.CANCELLED)
SHOWN = (*ENDED, State.RUNNING, State.QUEUED)
COLUMNS = (
    Column("Group", "main"), Column("Ended", "num"), Column("Failed", "num"),
    Column("Cancelled", "num"), Column("Running", "num"), Column("Took", "num"),
    Column("How far", "share"),
)  # fmt: skip  # a table


async def groups_page(visit: Visit) -> Page:
    """See the module."""
    name = visit.query.get("group")
    if name is not None:
        return await _group_page(visit, name)
    before = visit.query.get("before")
    names = await visit.errands.groups(before=before, limit=SIZE + 1)
    groups = await asyncio.gather(*(visit.errands.group(name) for name in names[:SIZE]))
    body = join(
        table(COLUMNS, (_row(visit, group) for group in groups)) if groups else _none(before),
        turn(visit, names[SIZE - 1] if len(names) > SIZE else None, "First"),
    )
    return Page("Groups", body, live=2 if before is None else None)


async def _group_page(visit: Visit, name: str) -> Page:
    """One group, and its jobs as the page Jobs shows them."""
    group = await visit.errands.group(name)
    if not group.total:
        text = "This group has no jobs, or no longer: finished ones are forgotten after a while."
        return Page("No such group", nothing(text), status=404)
    found = await look(visit)
    counts = {("", state): number for state, number in group.counts.items()}
    body = join(
        h.div(
            h.strong(_ended(group)),
            h.span(*(_button(visit, group, do) for do in ("retry", "cancel")), cls="act")
            if visit.may_act
            else None,
            cls="head",
        ),
        _bar(group),
        _times(visit, group),
        h.section(
            tabs(visit, counts),
            selection(visit, found.jobs) if found.jobs else nothing("There are no such jobs."),
            turn(visit, found.older),
        ),
    )
    return Page(name, body, live=None if group.is_final or "before" in visit.query else 2)


def _none(before: str | None) -> Markup:
    if before is not None:
        return nothing("There are no more.")
    return nothing("There are no groups: options(group=…) names one, and so does map.")


def _row(visit: Visit, group: Group) -> list[Child]:
    link = visit.link("groups", group=group.name)
    cells: list[Child] = [h.a(h.bdi(group.name), href=link, data_row=True), _ended(group)]
    for state in (State.FAILED, State.CANCELLED, State.RUNNING):
        there = group.counts.get(state, 0)
        its = visit.link("groups", group=group.name, state=state)
        cells.append(h.a(number(there), href=its, cls=f"tone {state}") if there else "")
    return [*cells, _took(visit, group), _bar(group)]


def _ended(group: Group) -> str:
    return f"{number(group.ended)} of {number(group.total)}"


def _bar(group: Group) -> Markup:
    """What has ended from the left, as it ended; then what runs."""
    parts = {str(s): group.counts.get(s, 0) for s in (*ENDED, State.RUNNING)}
    return depth(parts, max(group.total, 1))


def _took(visit: Visit, group: Group) -> str:
    """From the first start to the last end, or until now."""
    if group.started_at is None:
        return ""
    return took((group.finished_at or visit.now) - group.started_at)


def _times(visit: Visit, group: Group) -> Markup:
    started, finished = group.started_at, group.finished_at
    share = None if group.fraction is None else f"{100 * group.fraction:.0f} %"
    return facts(
        [
            ("Ended", share),
            ("Took" if finished else "Has taken", _took(visit, group)),
            ("Started", join(moment(started), " · ", ago(started, visit.now)) if started else None),
            ("Finished", moment(finished) if finished else None),
        ]
    )


def _button(visit: Visit, group: Group, do: Do) -> Markup | None:
    """A button to what is to be confirmed: the change of all that it can be done with."""
    there = sum(group.counts.get(state, 0) for state in STATES[do])
    if not there:
        return None
    return h.form(
        hidden(do=do, group=group.name),
        h.button(f"{do.capitalize()} {number(there)}", cls="small"),
        method="get",
        action=visit.link("change"),
    )

"""The page Jobs: those that match, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from errands import Job, State

from .._changes import STATES, TEXTS, TIMES, Wanted, instant
from .._glance import Counts
from .._markup import Child, Markup, h, join
from .._parts import field, hidden, job_rows, nothing, number
from .._visit import Page, Visit

SIZE = 50  # jobs on a page
FEW = 200  # queues to choose from; of more, one is named
NEAR = 1_000  # jobs among which a filter looks first: most that are asked for are common
REACH = 50_000  # jobs that it looks through, so that a page takes no longer for a million
REACH_APART = 5_000  # the same of those that failed, or of a group, which do not lie together
MOST = 1_000_000_000  # the same at all
FURTHER = 4  # times as many are looked through by who asks for more
FIELDS = (*TEXTS, *TIMES)
RARE = ("text", "task", "queue", "key")  # filters that most jobs may not match, and no index knows
BAD, WORKING = (State.FAILED, State.CANCELLED), (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Found:
    """One page of jobs.

    Attributes:
        older: The id that the next page begins below, if there is one.
        reach: How many jobs were looked through, at the most.
        edge: The id of the last of them, if there are others beyond and the page is not full.
    """

    jobs: list[Job]
    older: str | None
    reach: int = 0
    edge: str | None = None


async def jobs_page(visit: Visit) -> Page:
    """See the module."""
    counts = await visit.counts()
    found = await look(visit)
    is_filtered = any(name in visit.query for name in FIELDS)
    body = join(
        tabs(visit, counts if not set(visit.query) & {*FIELDS} - {"queue"} else None),
        _filters(visit, counts),
        selection(visit, found.jobs) if found.jobs else _none(visit, found, is_filtered),
        _further(visit, found) if found.edge else turn(visit, found.older),
    )
    return Page("Jobs", body, live=None if "before" in visit.query else 3)


async def look(visit: Visit) -> Found:
    """The jobs of this page."""
    asked: dict[str, Any] = {**wanted(visit.query), "before": visit.query.get("before")}
    if not any(asked[name] for name in RARE):
        return await _found(visit, asked, None)
    is_apart = bool(asked["group"] or set(asked.get("states", ())) & set(BAD))
    most = _reach(visit.query.get("reach", ""), REACH_APART if is_apart else REACH)
    found = await _found(visit, asked, min(NEAR, most))
    return await _found(visit, asked, most) if found.edge else found


async def _found(visit: Visit, asked: Mapping[str, Any], reach: int | None) -> Found:
    """Those among so many, the newest; of all without a number."""
    edge = None if reach is None else await _edge(visit, asked, reach)
    jobs = await visit.errands.jobs(**asked, oldest=edge, limit=SIZE + 1)
    if len(jobs) > SIZE:
        return Found(jobs[:SIZE], jobs[SIZE - 1].id)
    return Found(jobs, None, reach or 0, edge)


def _reach(text: str, default: int) -> int:
    """Through how many jobs to look."""
    is_number = text.isdecimal() and text.isascii()
    return min(max(int(text[:10]), 1), MOST) if is_number else default


async def _edge(visit: Visit, asked: Mapping[str, Any], reach: int) -> str | None:
    """The last id that is looked at, if there are so many jobs.

    Of a state, or a group, in which the others of its kind are counted, if an index has it.
    """
    scope = {name: asked[name] for name in ("since", "until", "before", "group")}
    if set(asked.get("states", ())) & {*BAD, *WORKING}:
        scope["states"] = asked["states"]
    found = await visit.errands.jobs(**scope, limit=1, offset=reach - 1)
    return found[0].id if found else None


def wanted(query: Mapping[str, str]) -> dict[str, Any]:
    """What is to be asked of `Errands.jobs`; a state or a time that there is not matches all."""
    times = {name: text for name, text in query.items() if name not in TIMES or instant(text)}
    asked = Wanted.of(times).asked()
    with suppress(ValueError):
        asked["states"] = [State(query.get("state", ""))]
    return asked


def tabs(visit: Visit, counts: Counts | None) -> Markup:
    """All jobs, and those of each state, with how many there are."""
    state = visit.query.get("state")
    tabs = [_tab(visit, "All", None, counts, is_here=state is None)]
    tabs += [_tab(visit, each.capitalize(), each, counts, is_here=state == each) for each in State]
    return h.nav(tabs, cls="tabs", aria_label="States")


def _tab(
    visit: Visit, label: str, state: State | None, counts: Counts | None, *, is_here: bool
) -> Markup:
    queue = visit.query.get("queue")
    there: Child = None
    if counts is not None:
        there = h.span(
            number(
                sum(
                    n
                    for (its_queue, its_state), n in counts.items()
                    if queue in (None, its_queue) and state in (None, its_state)
                )
            ),
            cls="count",
        )
    link = visit.changed(state=state, before=None, reach=None)
    return h.a(label, there, href=link, aria_current="page" if is_here else None)


def _filters(visit: Visit, counts: Counts | None) -> Markup:
    query = visit.query
    queues = {queue for queue, _ in counts or {}}
    few_queues = queues if len(queues) <= FEW else None  # a list of thousands helps nobody
    more = [
        field("Task", "task", query.get("task"), choices=visit.errands.tasks),
        field("Queue", "queue", query.get("queue"), choices=few_queues),
        field("Key", "key", query.get("key")),
        field("Group", "group", query.get("group")),
        field("Added since, UTC", "since", query.get("since"), kind="datetime-local"),
        field("Until", "until", query.get("until"), kind="datetime-local"),
    ]
    is_open = any(name in query for name in FIELDS if name != "text")
    is_filtered = is_open or "text" in query
    return h.form(
        field(
            "Search", "text", query.get("text"), kind="search", key="/",
            hint="text in arguments or errors",
        ),
        h.details(h.summary("More"), h.div(more), open=is_open, id="filters"),
        hidden(state=query.get("state")),
        h.button("Filter"),
        h.a("Clear", href=visit.link("jobs", state=query.get("state"))) if is_filtered else None,
        method="get", action=visit.link("jobs"), role="search", cls="filters",
    )  # fmt: skip  # a form


def selection(visit: Visit, jobs: list[Job]) -> Markup:
    """The jobs, and what can be done with those that are ticked, or with all that match."""
    if not visit.may_act:
        return job_rows(visit, jobs)
    state = visit.query.get("state", "")
    dos = [do for do, states in STATES.items() if state in ("", *states)]
    ticked = [
        h.button(do.capitalize(), formaction=visit.link(f"do/{do}"), cls="small")
        for do in dos
        if do != "delete"
    ]
    if "delete" in dos:  # which cannot be taken back, and so is asked for twice
        ticked.append(
            h.button(
                "Delete", name="do", value="delete", formaction=visit.link("change"),
                formmethod="get", cls="small",
            )
        )  # fmt: skip  # a call
    asked = {name: visit.query.get(name) for name in (*FIELDS, "state")}
    matching = [h.a(f"{do} all", href=visit.link("change", do=do, **asked)) for do in dos]
    return h.form(
        hidden(back=visit.here),
        h.div(
            h.span("Selected: ", ticked),
            h.span("All that match: ", matching),
            cls="bulk",
        ),
        job_rows(visit, jobs, is_selecting=True),
        method="post",
        action=visit.link("do/retry"),
    )


def _none(visit: Visit, found: Found, is_filtered: bool) -> Markup:
    if found.edge:
        return nothing("No job matches so far.")
    if "before" in visit.query:
        return nothing("There are no older ones.")
    return nothing("No job matches." if is_filtered else "There are no such jobs.")


def turn(visit: Visit, older: str | None, first: str = "Newest") -> Markup | None:
    """Links to the first page, and to the next.

    Args:
        older: What the next page begins below, if there is one.
    """
    first_page = visit.changed(before=None, reach=None)
    newest = h.a(first, href=first_page) if "before" in visit.query else None
    word = "Older" if first == "Newest" else "More"
    more = h.a(word, href=visit.changed(before=older), rel="next") if older else None
    return h.nav(newest, more, cls="turn", aria_label="Newer and older") if newest or more else None


def _further(visit: Visit, found: Found) -> Markup:
    """How far a filter has looked, and links to look further."""
    which = "next" if "before" in visit.query else "newest"
    kind = visit.query.get("state", "")
    told = f"Looked through the {which} {number(found.reach)} {kind} jobs."
    newest = h.a("Newest", href=visit.changed(before=None, reach=None))
    further = visit.changed(before=found.edge, reach=str(found.reach * FURTHER))
    return h.nav(
        newest if which == "next" else None,
        h.span(" ".join(told.split()), cls="quiet"),
        h.a("Look further back", href=further, rel="next"),
        cls="turn", aria_label="Newer and older",
    )  # fmt: skip  # a call

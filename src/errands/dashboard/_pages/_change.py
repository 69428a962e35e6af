"""The page before a change of many jobs: which are meant, how many those are, and whether."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC
from typing import cast

from .._changes import MOST, STATES, TEXTS, TIMES, Do, Wanted, matching
from .._markup import Markup, h, join
from .._parts import facts, hidden, job_rows, nothing, number
from .._visit import Page, Visit

TITLES = {"since": "Added since", "until": "Added until"}
SHOWN = 5  # of those that are meant


async def change_page(visit: Visit) -> Page:
    """See the module."""
    asked = visit.query.get("do", "")
    if asked not in STATES:
        return Page("There is nothing here", nothing("No such change."), status=404)
    do = cast("Do", asked)
    ids = visit.request.query_params.getlist("id")
    title = f"{do.capitalize()} jobs"
    if ids:
        return Page(title, await _selected(visit, do, ids))
    wanted = Wanted.of(visit.query)
    n, jobs = await matching(visit.errands, do, wanted, await visit.counts(), SHOWN)
    if not n:
        return Page(title, nothing(f"There is no job to {do} that matches."))
    named = {TITLES.get(name, name.capitalize()): value for name, value in _named(wanted)}
    states = " or ".join(wanted.states(do))
    told = f"more than {number(MOST)}" if n > MOST and named else number(n)
    body = join(
        facts([("State", states), *((title, h.bdi(value)) for title, value in named.items())]),
        _ask(visit, do, f"{do.capitalize()} {told}", all="yes", **asdict(wanted)),
        h.section(h.h2("The newest of them"), job_rows(visit, jobs)),
    )
    return Page(title, body)


def _named(wanted: Wanted) -> Iterator[tuple[str, str]]:
    """What is asked for beside the state, as it is to be read; a time that is none is not."""
    asked = wanted.asked()
    for name, value in asdict(wanted).items():
        if name in TIMES and asked[name] is not None:
            yield name, f"{asked[name].astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        elif name in TEXTS and value:
            yield name, value


async def _selected(visit: Visit, do: Do, ids: list[str]) -> Markup:
    found = [await visit.errands.job(each) for each in ids[:200]]
    jobs = [job for job in found if job is not None]
    boxes = join(h.input(type="hidden", name="id", value=job.id) for job in jobs)
    label = f"{do.capitalize()} {number(len(jobs))}"
    return join(_ask(visit, do, label, boxes), job_rows(visit, jobs))


def _ask(visit: Visit, do: Do, label: str, *fields: Markup, **values: str) -> Markup:
    return h.form(
        fields,
        hidden(back=visit.link("jobs"), **values),
        h.button(label, cls="main"),
        " ",
        h.a("Back", href=visit.link("jobs", state=values.get("state"))),
        method="post", action=visit.link(f"do/{do}"), cls="ask",
    )  # fmt: skip  # a form

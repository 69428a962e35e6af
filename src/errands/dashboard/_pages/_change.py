"""The page before a change of many jobs: which are meant, how many those are, and whether."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from .._changes import MOST, STATES, Do, Wanted, number_of
from .._markup import Markup, h, join
from .._parts import facts, hidden, job_rows, nothing, number
from .._visit import Page, Visit

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
    n = await number_of(visit.errands, do, wanted, await visit.counts())
    if not n:
        return Page(title, nothing(f"There is no job to {do} that matches."))
    jobs = await visit.errands.jobs(
        states=wanted.states(do), queue=wanted.queue or None, task=wanted.task or None,
        key=wanted.key or None, group=wanted.group or None, text=wanted.text or None, limit=SHOWN,
    )  # fmt: skip  # a call
    named = {name: value for name, value in asdict(wanted).items() if value and name != "state"}
    states = " or ".join(wanted.states(do))
    told = f"more than {number(MOST)}" if n > MOST and named else number(n)
    body = join(
        facts([("State", states), *((name.capitalize(), h.bdi(v)) for name, v in named.items())]),
        _ask(visit, do, f"{do.capitalize()} {told}", all="yes", **asdict(wanted)),
        h.section(h.h2("The newest of them"), job_rows(visit, jobs)),
    )
    return Page(title, body)


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
        h.a("No", href=visit.link("jobs", state=values.get("state"))),
        method="post", action=visit.link(f"do/{do}"), cls="ask",
    )  # fmt: skip  # a form

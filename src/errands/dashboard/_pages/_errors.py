"""The page Errors: what failed last, the same failures together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from errands import Job, State
from errands.errors import reason_of

from .._markup import Child, Markup, h, join
from .._parts import Column, ago, clipped, hidden, nothing, number, table, task_name
from .._visit import Page, Visit

SAMPLE = 250  # failed jobs that are looked at, newest first
FRAME = re.compile(r'^ *File "([^"\n]+)", line \d+, in (\S+)', re.MULTILINE)
NOT_THEIRS = re.compile(r"site-packages|/lib/python|[/\\]errands[/\\](?:_|executors)|^<frozen")
VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\d+|'[^']*'|\"[^\"]*\"")
COLUMNS = (
    Column("Error", "main"), Column("Task"), Column("Jobs", "num"),
    Column("First", "num quiet"), Column("Last", "num"), Column("", "act"),
)  # fmt: skip  # a table


@dataclass(slots=True)
class Group:
    """Failures that are one and the same.

    Attributes:
        jobs: Newest first.
        said: What the newest says in one line.
    """

    said: str
    task: str
    place: str
    jobs: list[Job] = field(default_factory=list)

    @property
    def first(self) -> datetime:
        """When it was seen first."""
        return min(job.finished_at or job.added_at for job in self.jobs)

    @property
    def last(self) -> datetime:
        """When it was seen last."""
        return max(job.finished_at or job.added_at for job in self.jobs)


async def errors_page(visit: Visit) -> Page:
    """See the module."""
    failed = await visit.errands.jobs(states=[State.FAILED], limit=SAMPLE)
    if not failed:
        return Page("Errors", nothing("No job has failed for good."), live=5)
    groups = grouped(failed)
    shown = table(COLUMNS, (_row(visit, group) for group in groups))
    limit = f"The {number(SAMPLE)} that were added last; older ones are under Jobs."
    return Page(
        "Errors", join(shown, h.p(limit, cls="quiet") if len(failed) == SAMPLE else None), live=5
    )


def grouped(jobs: Iterable[Job]) -> list[Group]:
    """The groups, that with the newest failure first."""
    groups: dict[tuple[str, ...], Group] = {}
    for job in jobs:
        said, place = reason_of(job.error or ""), place_of(job.error or "")
        mark = (job.task, place, fingerprint(said))
        groups.setdefault(mark, Group(said, job.task, place)).jobs.append(job)
    return sorted(groups.values(), key=lambda group: group.last, reverse=True)


def fingerprint(said: str) -> str:
    """What an error says, without what differs from one to the next: numbers, names in quotes."""
    return VARYING.sub("…", said[:1_000])


def place_of(error: str) -> str:
    """Where it was raised: the innermost line of the application's own code."""
    frames = FRAME.findall(error[-20_000:])
    own = [frame for frame in frames if not NOT_THEIRS.search(frame[0])]
    file, function = next(reversed(own or frames), ("", ""))
    name = re.split(r"[/\\]", file)[-1]
    return f"{name}, in {function}" if name else ""


def _row(visit: Visit, group: Group) -> list[Child]:
    newest = group.jobs[0]
    said = visit.redaction.text(group.said, visit.redaction.secrets(newest.payload))
    kind, colon, rest = said.partition(":")
    return [
        join(
            h.a(
                h.strong(kind), colon, " ", h.bdi(clipped(rest, 200)),
                href=visit.link(f"jobs/{newest.id}"), data_row=True,
            ),
            h.bdi(group.place, cls="line quiet") if group.place else None,
        ),
        task_name(group.task),
        _count(visit, group),
        ago(group.first, visit.now),
        ago(group.last, visit.now),
        _retry(visit, group),
    ]  # fmt: skip  # a row


def _retry(visit: Visit, group: Group) -> Child:
    """A button for all of them that were found; older ones come up once these are gone."""
    if not visit.may_act:
        return ""
    return h.form(
        hidden(back=visit.here),
        (h.input(type="hidden", name="id", value=job.id) for job in group.jobs),
        h.button(f"Retry {number(len(group.jobs))}", data_key="r", cls="small"),
        method="post", action=visit.link("do/retry"),
    )  # fmt: skip  # a form


def _count(visit: Visit, group: Group) -> Markup:
    """How many, with the way to them: by the text that they have in common, if that is theirs."""
    kind = group.said.partition(":")[0]
    link = visit.link("jobs", state="failed", task=group.task, text=kind)
    return h.a(number(len(group.jobs)), href=link)

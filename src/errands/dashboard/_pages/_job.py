"""The page of one job: what it was asked, what became of each attempt, and what it answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from json import dumps
from typing import Any

from errands import Attempt, Job, Redaction, State
from errands.errors import reason_of

from .._changes import STATES
from .._markup import Child, Markup, h, join
from .._parts import (
    Kin,
    act,
    ago,
    clipped,
    facts,
    graph,
    hidden,
    is_service,
    job_badge,
    lifeline,
    moment,
    nothing,
    pre,
    progress,
    room,
    section,
    size,
    task_name,
    took,
)
from .._visit import Page, Visit

HEAD, TAIL = 4_000, 16_000  # characters that are shown of a long text: its first, its last
MOST = 1_000  # jobs before or after it that are counted
LONG = 200_000  # characters of JSON that are not laid out


async def job_page(visit: Visit) -> Page:
    """See the module."""
    job_id = visit.request.path_params["job_id"]
    job = await visit.errands.job(job_id)
    if job is None:
        text = "There is no such job, or no longer: finished ones are forgotten after a while."
        return Page("No such job", nothing(text), status=404)
    secrets = visit.redaction.secrets(job.payload)
    body = join(
        h.div(
            job_badge(job, visit.now), h.code(job.id, cls="quiet"), _buttons(visit, job), cls="head"
        ),
        _reason(visit, job, secrets),
        progress(job, visit.redaction) if job.progress else None,
        await _why(visit, job) if job.state is State.QUEUED else None,
        section("Time", lifeline(job, visit.now), _times(visit, job)),
        None
        if is_service(job)
        else section("Arguments", _arguments(visit, job), _edit(visit, job)),
        await _order(visit, job),
        section("Result", _json(visit, job.result, secrets)) if job.result is not None else None,
        section("Attempts", _attempts(visit, job, secrets)) if job.history else None,
        section("Kept", _kept(visit, job)),
    )
    return Page(job.task, body, live=None if job.is_final else 2)


def _reason(visit: Visit, job: Job, secrets: Sequence[str]) -> Markup | None:
    """Why it failed, where one looks first."""
    if job.state is not State.FAILED or not job.error:
        return None
    said = visit.redaction.text(reason_of(job.error), secrets)
    return h.p(h.bdi(clipped(said, 300)), cls="error")


async def attempt_text(visit: Visit) -> str | None:
    """The whole text of one attempt's error, `None` if there is none."""
    job = await visit.errands.job(visit.request.path_params["job_id"])
    place = visit.request.path_params["place"]
    attempts = {str(n): attempt for n, attempt in enumerate(job.history)} if job else {}
    if job is None or place not in attempts:
        return None
    secrets = visit.redaction.secrets(job.payload)
    return visit.redaction.text(attempts[place].error or "", secrets)


def _times(visit: Visit, job: Job) -> Markup:
    now, last = visit.now, job.history[-1] if job.history else None
    begin = job.history[0].started_at if job.history else job.started_at
    waits = (begin or now) - job.due_at
    is_running = job.state is State.RUNNING and job.started_at is not None
    runs = None
    if is_running and job.started_at is not None:
        runs = now - job.started_at
    elif last is not None:
        runs = last.ended_at - last.started_at
    has_waited = begin is not None or (job.due_at <= now and not job.is_final)
    return facts(
        [
            ("Waited", took(waits) if has_waited else None),
            ("Runs" if is_running else "Ran", took(runs) if runs is not None else None),
            ("In all", took((job.finished_at or now) - job.added_at)),
            ("Added", _instant(visit, job.added_at)),
            ("Due", _instant(visit, job.due_at) if job.due_at != job.added_at else None),
            ("Starts", _instant(visit, job.free_at) if _is_ahead(visit, job) else None),
            ("Started", _instant(visit, begin) if begin else None),
            ("Finished", _instant(visit, job.finished_at) if job.finished_at else None),
        ]
    )


def _is_ahead(visit: Visit, job: Job) -> bool:
    is_ahead = job.state is State.QUEUED and job.free_at > visit.now
    return is_ahead and job.free_at != job.due_at and job.blocked_by is None


def _instant(visit: Visit, instant: Any) -> Markup:
    return join(moment(instant), h.span(" · ", ago(instant, visit.now), cls="quiet"))


def _buttons(visit: Visit, job: Job) -> Markup | None:
    if not visit.may_act:
        return None
    is_later = job.state is State.QUEUED and job.free_at > visit.now and job.blocked_by is None
    label = "Retry" if job.state in STATES["retry"] else "Start now" if is_later else None
    ask = visit.link("change", do="delete", id=job.id)
    return h.span(
        act(visit, "retry", label, key="r", cls="small", id=job.id) if label else None,
        None if job.is_final else act(visit, "cancel", "Cancel", cls="small", id=job.id),
        h.a("Delete", href=ask, cls="quiet") if job.is_final else None,
        cls="act",
    )


def _edit(visit: Visit, job: Job) -> Markup | None:
    """A form to add such a job with other arguments, where its task is known."""
    is_long = len(job.payload) >= LONG
    if not visit.may_act or is_long or job.task not in visit.errands.tasks:
        return None
    clean = visit.redaction.shown(job.payload)
    text = dumps(clean, ensure_ascii=False, indent=2)
    hidden_as = Redaction.HIDDEN
    note = f"What says {hidden_as} stays as it is." if hidden_as in text else None
    form = h.form(
        hidden(id=job.id, back=visit.here),
        h.textarea(
            text, name="arguments", rows=text.count("\n") + 2, spellcheck="false",
            aria_label="arguments", dir="ltr",
        ),
        h.p(h.button("Add this job", cls="main"), " ", h.span(note, cls="quiet") if note else None),
        method="post", action=visit.link("do/again"),
    )  # fmt: skip  # a form
    return h.details(h.summary("Run again with other arguments"), form, id="edit", cls="edit")


async def _why(visit: Visit, job: Job) -> Markup | None:
    """What keeps it, the first thing first."""
    try:
        found = await visit.errands.why(job)
    except LookupError:  # it has gone meanwhile
        return None
    # a limit is named after the value of an argument
    secrets = visit.redaction.secrets(job.payload)
    reasons = (
        h.li(
            h.bdi(visit.redaction.text(reason.text, secrets)),
            h.span(" · ", ago(reason.until, visit.now), cls="quiet") if reason.until else None,
        )
        for reason in found.reasons
    )
    return section("Why it is not running", h.ul(reasons, cls="why"))


async def _order(visit: Visit, job: Job) -> Markup | None:
    """The jobs that it waits for and those that wait for it, as far as they are kept."""
    below = list(await visit.errands.children(job, limit=MOST + 1))
    if not job.waits_for and not below:
        return None
    parents, children = await asyncio.gather(_kin(visit, job.waits_for), _kin(visit, below))
    if not parents.size and not children.size:
        return None
    title = "Before it, and after it" if parents.size and children.size else "Before it"
    return section(title if parents.size else "After it", graph(visit, job, parents, children))


async def _kin(visit: Visit, ids: Sequence[str]) -> Kin:
    """Some of these jobs, and how many they are beside."""
    first = ids[: room(len(ids))]
    found = await asyncio.gather(*(visit.errands.job(each) for each in first))
    left_out = min(len(ids), MOST) - len(first)
    return Kin([each for each in found if each], left_out, is_more=len(ids) > MOST)


def _arguments(visit: Visit, job: Job) -> Markup:
    """Each by its name; as they are, where they are many or no names at all."""
    clean = visit.redaction.shown(job.payload) if len(job.payload) < LONG else None
    if not isinstance(clean, dict):
        return _json(visit, job.payload)
    if not clean:
        return nothing("It was called without arguments.")
    return facts((name, _laid_out(value)) for name, value in clean.items())


def _json(visit: Visit, text: str, secrets: list[str] | None = None) -> Markup:
    if len(text) >= LONG:
        return _laid_out(f"{size(len(text))} of JSON, too long to be shown")
    shown = dumps(visit.redaction.shown(text), ensure_ascii=False, indent=2)
    return _text(visit.redaction.text(shown, secrets or []))


def _laid_out(value: object) -> Markup:
    text = dumps(value, ensure_ascii=False, indent=2)
    return _text(text) if len(text) > 200 or "\n" in text else h.bdi(text, cls="code")


def _text(text: str, whole: str | None = None) -> Markup:
    """A text as it is; of a long one the beginning and the end.

    Args:
        whole: The address of all of it.
    """
    if len(text) <= HEAD + TAIL:
        return pre(text)
    left_out = f"{size(len(text) - HEAD - TAIL)} left out"
    link = h.a("all of it", href=whole) if whole else None
    return join(
        pre(text[:HEAD]),
        h.p(left_out, ". " if link else None, link, cls="quiet"),
        pre(text[-TAIL:]),
    )


def _attempts(visit: Visit, job: Job, secrets: list[str]) -> Markup:
    """Newest first, the newest error open."""
    places = range(len(job.history) - 1, -1, -1)
    return h.ol((_attempt(visit, job, place, secrets) for place in places), cls="attempts")


def _attempt(visit: Visit, job: Job, place: int, secrets: list[str]) -> Markup:
    attempt = job.history[place]
    before = job.history[place - 1].ended_at if place else job.due_at
    return h.li(
        h.p(
            h.span(str(attempt.outcome), cls=f"badge {attempt.outcome}"),
            h.strong(f"Attempt {attempt.number}"),
            h.span("waited ", took(attempt.started_at - before)),
            h.span("ran ", took(attempt.ended_at - attempt.started_at)),
            h.span(ago(attempt.ended_at, visit.now), cls="quiet"),
            h.bdi(attempt.worker, cls="quiet"),
            cls="head",
        ),
        _error(visit, job, attempt, place, secrets) if attempt.error else None,
    )


def _error(visit: Visit, job: Job, attempt: Attempt, place: int, secrets: list[str]) -> Child:
    error = visit.redaction.text(attempt.error or "", secrets)
    said = h.bdi(clipped(reason_of(error), 400), cls="error")
    if "\n" not in error.strip() and len(error) < HEAD:
        return h.p(said)
    whole = visit.link(f"jobs/{job.id}/errors/{place}")
    is_newest = place == len(job.history) - 1 and job.state is not State.DONE
    return h.details(h.summary(said), _text(error, whole), open=is_newest, id=f"attempt-{place}")


def _group(visit: Visit, group: str) -> Markup:
    return h.a(group, href=visit.link("groups", group=group))


def _kept(visit: Visit, job: Job) -> Markup:
    jobs_of = visit.link("jobs", task=job.task)
    return facts(
        [
            ("Task", h.a(task_name(job.task), href=jobs_of)),
            ("Queue", h.a(job.queue, href=visit.link("jobs", queue=job.queue))),
            ("Priority", str(job.priority) if job.priority else None),
            ("Key", h.a(job.key, href=visit.link("jobs", key=job.key)) if job.key else None),
            ("Group", _group(visit, job.group) if job.group else None),
            ("Worker", h.bdi(job.worker) if job.worker else None),
            ("Version", str(job.version)),
        ]
    )

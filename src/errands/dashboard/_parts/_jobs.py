"""Rows of jobs, as several pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from json import dumps

from errands import Job, Redaction, State
from errands.errors import reason_of

from .._markup import Child, Markup, h, join
from .._visit import Visit
from ._badges import job_badge
from ._forms import row_button
from ._tables import Column, table
from ._words import ago, clipped, size, took, until

LONG = 20_000  # characters of arguments that are not taken apart for one line
COLUMNS = (
    Column("State", "state"), Column("Task", "main"), Column("Queue", "quiet"),
    Column("Attempt", "num"), Column("Wait", "num"), Column("Run", "num"),
    Column("Added", "num quiet"),
)  # fmt: skip  # a table


def job_rows(visit: Visit, jobs: Sequence[Job], *, is_selecting: bool = False) -> Markup:
    """A table of jobs.

    Args:
        is_selecting: Whether each has a box to be ticked, and a button; there is a form around.
    """
    if not is_selecting:
        return table(COLUMNS, (_cells(visit, job) for job in jobs), cls="jobs")
    columns = (Column("", "box"), *COLUMNS, Column("", "act"))
    rows = ((_box(job), *_cells(visit, job), _button(visit, job)) for job in jobs)
    return table(columns, rows, cls="jobs")


def task_name(name: str) -> Markup:
    """The name of a task, its module quieter."""
    module, dot, own = name.rpartition(".")
    return join(h.span(f"{module}{dot}", cls="module") if dot else None, own or name)


def summary(payload: str, redaction: Redaction, most: int = 120) -> str:
    """The arguments on one line."""
    if len(payload) > LONG:
        return f"{size(len(payload))} of arguments"
    found = redaction.shown(payload)
    if not isinstance(found, dict):
        return clipped(dumps(found, ensure_ascii=False), most)
    pairs = (f"{name}={dumps(value, ensure_ascii=False)}" for name, value in found.items())
    return clipped(", ".join(pairs), most)


def is_service(job: Job) -> bool:
    """Whether it is a service's: what it was called with is ours, and nobody waits for its end."""
    return (job.key or "").startswith("service:")


def waited(job: Job, now: datetime) -> str:
    """From when it was due until it first started, or until now."""
    began = first_start(job)
    if began is None and (job.is_final or job.due_at > now):
        return ""
    return took((began or now) - job.due_at)


def ran(job: Job, now: datetime) -> str:
    """How long its last attempt ran, or runs."""
    if job.state is State.RUNNING and job.started_at is not None:
        return took(now - job.started_at)
    last = job.history[-1] if job.history else None
    return "" if last is None else took(last.ended_at - last.started_at)


def first_start(job: Job) -> datetime | None:
    """When it was started first, as far as it remembers."""
    return job.history[0].started_at if job.history else job.started_at


def _cells(visit: Visit, job: Job) -> Sequence[Child]:
    now = visit.now
    return (
        job_badge(job, now),
        join(
            h.a(task_name(job.task), href=visit.link(f"jobs/{job.id}"), data_row=True),
            _remark(visit, job),
        ),
        job.queue,
        str(job.attempt) if job.attempt > 1 else "",
        until(job.free_at, now) if _is_ahead(job, now) else waited(job, now),
        ran(job, now),
        ago(job.added_at, now),
    )


def _is_ahead(job: Job, now: datetime) -> bool:
    return job.state is State.QUEUED and job.free_at > now and job.blocked_by is None


def _remark(visit: Visit, job: Job) -> Markup:
    """What a row says beside the name: the progress, the error, or else the arguments."""
    arguments = "" if is_service(job) else summary(job.payload, visit.redaction)
    lines = [h.bdi(arguments, cls="line code")] if arguments else []
    if job.state is State.RUNNING and job.progress is not None and not is_service(job):
        lines.append(progress(job, visit.redaction))
    elif job.error and job.state is not State.DONE:
        said = visit.redaction.text(reason_of(job.error), visit.redaction.secrets(job.payload))
        lines.append(h.bdi(clipped(said, 160), cls="line error"))
    return join(lines)


def progress(job: Job, redaction: Redaction) -> Markup:
    """How far a job is."""
    told = job.progress
    if told is None:
        return join()
    part = told.fraction
    text = redaction.text(told.text or "", redaction.secrets(job.payload))
    shown = f"{told.done:g} of {told.total:g}" if told.total else f"{told.done:g}"
    return h.span(
        h.progress(value=None if part is None else f"{part:.4f}", max=1, aria_label="progress"),
        h.span(shown, cls="num"),
        h.bdi(clipped(text, 100)) if text else None,
        cls="line progress",
    )


def _box(job: Job) -> Markup:
    return h.input(type="checkbox", name="id", value=job.id, aria_label=f"select {job.id}")


def _button(visit: Visit, job: Job) -> Markup | str:
    """What is done most often with a job in its state."""
    if job.state in (State.FAILED, State.CANCELLED):
        return row_button(visit, "retry", "Retry", job.id, "r")
    if job.state is State.DONE or job.is_cancelling:
        return ""
    return row_button(visit, "cancel", "Cancel", job.id)

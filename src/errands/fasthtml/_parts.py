"""The components: how far a job or a group is, as fragments that keep themselves up to date."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any
from urllib.parse import quote

from fasthtml.common import Bdi, Div, Progress, Span, ft_hx

from .. import BackgroundTasks, Group, Job, State
from ..errors import SetupError
from ..status import Links, last_words, mark_of

Render = Callable[[Any], Any]

EVERY = "every 1s"

logger = logging.getLogger("errands.status")


def JobStatus(job: Job, *, live: bool = False) -> Any:
    """How far a job is, in words and as a bar; keeps itself up to date until the job has ended.

    Args:
        live: Be told of each change by a stream, instead of asking once a second.

    Raises:
        NoRequest: outside of a request.
        SetupError: in an application that `errands.fasthtml.setup_errands` has not seen.
    """
    return _fragment(job, "status", live)


def JobProgress(job: Job, *, live: bool = False) -> Any:
    """How far a job is, as a bar alone; with words only if it fails.

    Args:
        live: See `JobStatus`.
    """
    return _fragment(job, "progress", live)


def JobResult(job: Job, render: Render, *, live: bool = False) -> Any:
    """What `render` makes of the job's value once it is done; until then its `JobStatus`.

    Args:
        render: Called with what the job's function returned. It has to stand at the top of a
            module, as another process may be asked for the result.
        live: See `JobStatus`.

    Raises:
        ValueError: if `render` cannot be found by its name.
    """
    return _fragment(job, f"result:{_name_of(render)}", live)


def GroupProgress(group: Group, *, live: bool = False) -> Any:
    """How far a group is, as a bar, with how many failed; up to date until all jobs have ended.

    Args:
        group: What `await errands.group(name)` answers; one that has no jobs yet is waited for.
        live: See `JobStatus`.
    """
    if group.is_final:
        return group_shown(group)
    return _kept_up_to_date(group, partial(group_shown, group), live=live)


def Gone() -> Any:
    """In the place of a job, or of a group, that is no longer kept."""
    return Div(_state("no longer known"), cls="errands", role="status")


def shown(job: Job, view: str, *, still: bool = False) -> Any:
    """The fragment that a signed link asks for.

    Args:
        view: What the link says, `JobStatus` if nothing.
        still: Without anything that keeps it up to date.
    """
    try:
        return _inside(job, view) if still else _fragment(job, view or "status", live=False)
    except Exception:  # it is the application's `render`, and would fail again at each question
        logger.exception("the result of job %s (%s) cannot be shown", job.id, job.task)
        text = "its result cannot be shown: the log of the server says why"
        return Div(_state(_word(job)), _text(text), id=_id(job, view), cls="errands", role="status")


def group_shown(group: Group, **attributes: Any) -> Any:
    """The fragment of a group, without anything that keeps it up to date."""
    word, of = _group_word(group), dict[str, Any]()
    if group.total:
        of = {"value": group.ended, "max": group.total}
    ended_badly = {"failed": group.failed, "cancelled": group.cancelled}
    badly = ", ".join(f"{_count(number)} {how}" for how, number in ended_badly.items() if number)
    return Div(
        _state(word),
        _number(f"{_count(group.done)} of {_count(group.total)}") if group.total else None,
        Progress(**of, cls="errands-bar", aria_label=word),
        _text(badly) if badly else None,
        id=f"group-{quote(group.name, safe='')}", cls=f"errands errands-{word}", role="status",
        aria_live="polite", **attributes,
    )  # fmt: skip  # a row


def _fragment(job: Job, view: str, live: bool) -> Any:
    if job.is_final:
        return _inside(job, view)
    return _kept_up_to_date(job, partial(_inside, job, view), live=live, view=view)


def _kept_up_to_date(
    what: Job | Group, inside: Callable[..., Any], *, live: bool, **query: str
) -> Any:
    link = partial(_links().of(what), seen=mark_of(what), **query)
    if live:
        return ft_hx("errands-live", inside(), src=link(end="/events"))
    return inside(hx_get=link(), hx_trigger=EVERY, hx_swap="outerHTML")


def _inside(job: Job, view: str, **attributes: Any) -> Any:
    kind, _, name = view.partition(":")
    if kind == "result" and job.state is State.DONE and not _is_lost(job):
        return _found(name)(_links().errands.value(job))
    parts = _bar_alone(job, view) if kind == "progress" else _words(job, view)
    return Div(
        *parts, id=_id(job, view), cls=f"errands errands-{_word(job)}", role="status",
        aria_live="polite", **attributes,
    )  # fmt: skip  # a row


def _id(job: Job, view: str) -> str:
    """What the fragment of a job is called: a page may have one of each kind."""
    kind = view.partition(":")[0]
    return f"job-{job.id}" if kind in ("", "status") else f"job-{job.id}-{kind}"


def _words(job: Job, view: str) -> Iterator[Any]:
    progress = job.progress if job.state is State.RUNNING else None
    yield _state(_word(job))
    if job.state is State.FAILED or _is_lost(job):
        yield _text(last_words(job))
    if progress is not None and progress.text:
        yield _text(progress.text)
    if progress is not None and progress.total:
        yield _number(f"{_count(progress.done)} of {_count(progress.total)}")
    if job.state is State.DONE and job.started_at and job.finished_at:
        taken = (job.finished_at - job.started_at).total_seconds()
        yield _number(f"{taken:,.1f} s")
    if job.state is State.RUNNING:
        yield _bar(job, view)


def _is_lost(job: Job) -> bool:
    """Whether it is done, and what it returned could not be kept; its error says why."""
    return job.state is State.DONE and job.result is None and job.error is not None


def _bar_alone(job: Job, view: str) -> Iterator[Any]:
    yield _bar(job, view)
    if job.state is State.FAILED:
        yield _text(last_words(job))


def _bar(job: Job, view: str) -> Any:
    progress, of = job.progress, dict[str, Any]()
    if job.is_final:
        of = {"value": 1, "max": 1}
    elif progress is not None and progress.total:
        of = {"value": progress.done, "max": progress.total}
    label = (progress.text if progress else None) or _word(job)
    return Progress(**of, id=f"{_id(job, view)}-bar", cls="errands-bar", aria_label=label)


def _state(word: str) -> Any:
    return Span(word, cls="errands-state")


def _text(words: str) -> Any:
    return Span(Bdi(words), cls="errands-text")  # in whatever direction its language goes


def _number(text: str) -> Any:
    return Span(text, cls="errands-count", dir="ltr")


def _word(job: Job) -> str:
    return "retrying" if job.state is State.QUEUED and job.attempt else str(job.state)


def _group_word(group: Group) -> str:
    if not group.is_final:
        is_begun = group.ended or group.counts.get(State.RUNNING)
        return str(State.RUNNING if is_begun else State.QUEUED)
    if group.failed:
        return str(State.FAILED)
    return str(State.DONE if group.done else State.CANCELLED)


def _count(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def _links() -> Links:
    found = getattr(BackgroundTasks.of().door, "links", None)
    if not isinstance(found, Links):
        raise SetupError("call errands.fasthtml.setup_errands(app, errands): it brings the links")
    return found


def _name_of(render: Render) -> str:
    name = f"{render.__module__}:{render.__qualname__}"
    if "<" in name:
        raise ValueError(
            f"JobResult(job, {name}): a function inside of another one, or a lambda, cannot be "
            "found again when the job is done. Write it at the top of the module"
        )
    return name


def _found(name: str) -> Render:
    """The function of a name that we have signed; it is imported here, as the handlers are.

    Raises:
        LookupError: if it is not there: since the page was made it was renamed, or moved.
    """
    module, _, path = name.partition(":")
    try:
        render: Render = attrgetter(path)(sys.modules[module])
    except (AttributeError, KeyError):
        raise LookupError(f"JobResult: there is no {path} in {module} (any more)") from None
    return render

"""Actions: what a button does, each with its line in the log."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from errands import Errands

from ._changes import Do, Refused, Wanted, change, change_some
from ._forms import Form, first, read_form
from ._guard import WHO, audit
from ._visit import Site


@dataclass(frozen=True, slots=True)
class Told:
    """What an action has to say.

    Attributes:
        word: One of those that the layout has a sentence for.
        path: The page to go to, below the dashboard; `None` for where the form was.
        numbers: Those of the sentence.
    """

    word: str
    path: str | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)


Act = Callable[[Site, Form, str], Awaitable[Told]]


async def act(site: Site, request: Request) -> Response:
    """Do what was asked, and go back to where it was asked.

    Raises:
        KeyError: if there is no such action.
        ErrandsError: if it cannot be done.
    """
    name: str = request.path_params["do"]
    do = ACTIONS[name]
    form = await read_form(request)
    audit(request, name, **_logged(form))
    told = await do(site, form, str(request.scope[WHO]))
    site.counts.forget()
    return RedirectResponse(back(request, first(form, "back"), told), 303)


def back(request: Request, wanted: str, told: Told) -> str:
    """The address to go to: below the dashboard, whatever the form says."""
    base = request.scope.get("root_path", "").rstrip("/")
    is_ours = wanted.startswith(f"{base}/") and not wanted.startswith(("//", "/\\"))
    if told.path is not None:
        wanted = f"{base}/{told.path}"
    elif not is_ours or urlsplit(wanted).path != wanted.partition("?")[0]:
        wanted = f"{base}/"
    more = urlencode({"told": told.word, **told.numbers})
    return f"{wanted}{'&' if '?' in wanted else '?'}{more}"


def _logged(form: Form) -> dict[str, str]:
    """What the log says of a form: not where it stood, nor arguments, which may be secret."""
    return {
        name: ", ".join(values)[:500]
        for name, values in form.items()
        if name not in {"back", "arguments"}
    }


def _changing(do: Do) -> Act:
    async def act(site: Site, form: Form, who: str) -> Told:
        one = first(form, "one")  # the button of a row, whatever else is ticked
        ids = [one] if one else list(form.get("id", ()))
        if ids:
            number = await change_some(site.errands, do, ids)
            return Told(do, None, {"n": number, "left": len(ids) - number})
        if first(form, "all") != "yes":
            raise Refused("Nothing was selected.")
        wanted = Wanted.of({name: first(form, name) for name in form})
        changed = await change(site.errands, do, wanted, who)
        if isinstance(changed, int):
            return Told(do, "jobs", {"n": changed})
        return Told("begun", f"jobs/{changed.id}")

    return act


async def _again(site: Site, form: Form, who: str) -> Told:
    """A job like another one, with other arguments."""
    job = await site.errands.job(first(form, "id"))
    if job is None:
        raise Refused("There is no such job, or no longer.")
    try:
        edited = json.loads(first(form, "arguments"))
    except (RecursionError, ValueError) as error:
        raise Refused(f"The arguments are no JSON: {error}") from None
    if not isinstance(edited, dict):
        raise Refused("The arguments are no JSON object: write { } around them.")
    arguments = site.redaction.restored(edited, job.payload)
    new = await site.errands.add_named(
        job.task, arguments, queue=job.queue, priority=job.priority, group=job.group
    )
    return Told("again", f"jobs/{new.id}")


async def _pause(site: Site, form: Form, who: str) -> Told:
    await _paused(site.errands, form, is_paused=True)
    return Told("pause")


async def _resume(site: Site, form: Form, who: str) -> Told:
    await _paused(site.errands, form, is_paused=False)
    return Told("resume")


async def _paused(errands: Errands, form: Form, *, is_paused: bool) -> None:
    """Of a schedule, or of what an order can be given for."""
    if name := first(form, "schedule"):
        turn = errands.schedules.pause if is_paused else errands.schedules.resume
        await turn(name)
        return
    given = {kind: first(form, kind) for kind in ("queue", "task", "key", "worker")}
    named = {kind: name for kind, name in given.items() if name}
    if len(named) != 1:
        raise Refused("Name one queue, task, key, worker or schedule.")
    [(kind, name)] = named.items()
    order = errands.pause if is_paused else errands.resume
    try:
        await (order(name) if kind == "queue" else order(**{kind: name}))
    except ValueError:  # too long, or with characters that no store keeps
        raise Refused(f"{name[:40]!r} is no name that a {kind} can have.") from None


async def _slots(site: Site, form: Form, who: str) -> Told:
    """How many jobs a worker runs side by side; empty for as many as it began with."""
    text = first(form, "slots").strip()
    if text and not (text.isdecimal() and len(text) < 6 and 0 < int(text) <= 10_000):
        raise Refused(f"{text[:20]!r} slots: write a number from 1 to 10000, or nothing.")
    await site.errands.set_slots(first(form, "worker"), int(text) if text else None)
    return Told("slots")


async def _run(site: Site, form: Form, who: str) -> Told:
    await site.errands.schedules.run(first(form, "schedule"))
    return Told("run")


async def _restart(site: Site, form: Form, who: str) -> Told:
    await site.errands.restart(first(form, "service"))
    return Told("restart")


ACTIONS: Mapping[str, Act] = {
    "again": _again,
    "cancel": _changing("cancel"),
    "delete": _changing("delete"),
    "pause": _pause,
    "restart": _restart,
    "resume": _resume,
    "retry": _changing("retry"),
    "run": _run,
    "slots": _slots,
}

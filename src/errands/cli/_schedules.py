"""`errands schedules`: what is added by itself, when, and whether it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import click

from errands import Errands
from errands.errors import UnknownTask

from ._looking import WIDER
from ._reach import Reach, reaching, with_json, with_reveal
from ._records import of_schedule
from ._tables import Column, Record, write
from ._texts import instant, short

VERBS = ("run", "pause", "resume", "remove")


@click.command("schedules", context_settings={"max_content_width": 100})
@click.argument(
    "verb", metavar="[run|pause|resume|remove]", type=click.Choice(VERBS), required=False
)
@click.argument("name", metavar="[NAME]", required=False)
@with_reveal
@with_json
@reaching
def schedules_command(
    reach: Reach, verb: str | None, name: str | None, *, is_revealing: bool, is_json: bool
) -> None:
    """List schedules: when each is due, and whether somebody sees to it. Or change one.

    run adds a job of it now, and needs --app, which knows its task; pause adds none until it is
    to resume; remove forgets it, until the code declares it otherwise.

    \b
    Examples:
      errands schedules
      errands schedules pause nightly
      errands schedules run nightly --app app.main:errands
    """  # noqa: D301  # click wants the character itself, not its escape
    if verb is None:
        _list(reach, is_revealing=is_revealing, is_json=is_json)
        return
    if not name:
        raise click.UsageError(f"{verb} which schedule? `errands schedules` lists them")
    click.echo(reach.run(lambda errands: CHANGES[verb](errands, name)))


def _list(reach: Reach, *, is_revealing: bool, is_json: bool) -> None:
    async def look(errands: Errands) -> tuple[list[Record], datetime]:
        now = errands.now()
        return [
            of_schedule(each, now, is_revealing=is_revealing)
            for each in await errands.schedules.list()
        ], now

    found, now = reach.run(look)
    nothing = "no schedule is known: a process at work makes those that its code declares"
    write(found, _schedule_columns(now), is_json=is_json, nothing=nothing)


async def _run(errands: Errands, name: str) -> str:
    """Add a job of it, and answer with its id."""
    try:
        return (await errands.schedules.run(name)).id
    except UnknownTask as error:
        raise click.ClickException(
            f"{error} A store alone knows no tasks: name the application, --app app.main:errands"
        ) from None


async def _pause(errands: Errands, name: str) -> str:
    await errands.schedules.pause(name)
    return f"schedule {name} is paused"


async def _resume(errands: Errands, name: str) -> str:
    await errands.schedules.resume(name)
    return f"schedule {name} goes on"


async def _remove(errands: Errands, name: str) -> str:
    await errands.schedules.remove(name)
    return f"schedule {name} is removed"


CHANGES: dict[str, Callable[[Errands, str], Awaitable[str]]] = {
    "run": _run, "pause": _pause, "resume": _resume, "remove": _remove,
}  # fmt: skip  # a table


def _schedule_columns(now: datetime) -> list[Column]:
    def upcoming(each: Record) -> str:
        if each["next_tick"] is None:
            return ""
        is_past = each["next_tick"] < now
        length = short(abs(each["next_tick"] - now))
        return f"{length} ago" if is_past else f"in {length}"

    return [
        Column("name", lambda each: each["name"], least=12),
        Column("state", lambda each: each["state"]),
        Column("when", lambda each: each["spec"], least=12),
        Column("next", lambda each: instant(each["next_tick"]), narrow=upcoming),
        Column("last", lambda each: instant(each["last_tick"]), since=WIDER),
        Column("task", lambda each: each["task"], since=WIDER),
    ]

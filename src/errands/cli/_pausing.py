"""The commands that have work wait and go on: pause, resume."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from errands import Errands

from ._names import full_task, full_worker, note_of
from ._reach import Reach, reaching
from ._tables import Column, write

COLUMNS = [
    Column("paused", lambda each: each["kind"]),
    Column("name", lambda each: each["name"], least=12),
    Column("since", lambda each: f"{each['since']:%Y-%m-%d %H:%M:%S}"),
]


def naming(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the ways to name one thing, and `kind` and `name` for it."""

    @click.argument("queue", required=False)
    @click.option("--task", metavar="NAME", help="The jobs of a task, in every queue.")
    @click.option("--key", metavar="TEXT", help="The job that has this key.")
    @click.option("--worker", metavar="NAME", help="What a worker claims.")
    @click.option("--schedule", metavar="NAME", help="A schedule: it adds no jobs.")
    @wraps(command)
    def named(
        *args: Any, queue: str | None, task: str | None, key: str | None, worker: str | None,
        schedule: str | None, **more: Any,
    ) -> Any:  # fmt: skip  # as long as there are options
        ways = {"queue": queue, "task": task, "key": key, "worker": worker, "schedule": schedule}
        given = {kind: name for kind, name in ways.items() if name}
        if len(given) > 1:
            raise click.UsageError(f"name one thing, and not {' and '.join(given)}")
        [(kind, name)] = given.items() or [("", "")]
        return command(*args, kind=kind, name=name, **more)

    return named


@click.command("pause", context_settings={"max_content_width": 100})
@naming
@reaching
def pause_command(reach: Reach, kind: str, name: str) -> None:
    """Start no more jobs of a queue; or list what is paused.

    What runs goes on, and jobs are added as before. A pause outlasts restarts, but for that of
    a worker.

    \b
    Examples:
      errands pause mail
      errands pause --worker web-1-4711-c0ffee
      errands pause
    """  # noqa: D301  # click wants the character itself, not its escape
    if kind:
        full, note = reach.run(lambda errands: _pause(errands, kind, name))
        click.echo(f"{kind} {full} is paused")
        if note:
            click.echo(f"Note: {note}", err=True)
        return
    write(reach.run(_paused), COLUMNS, is_json=False, nothing="nothing is paused")


@click.command("resume", context_settings={"max_content_width": 100})
@naming
@reaching
def resume_command(reach: Reach, kind: str, name: str) -> None:
    """Start jobs again that were paused."""
    if not kind:
        raise click.UsageError("what? A queue, or --task, --key, --worker, --schedule")
    if full := reach.run(lambda errands: _resume(errands, kind, name)):
        click.echo(f"{kind} {full} goes on")
        return
    raise click.ClickException(f"the {kind} {name!r} is not paused; `errands pause` lists what is")


async def _pause(errands: Errands, kind: str, name: str) -> tuple[str, str]:
    """Pause it, and answer with its whole name, and with what else there is to say."""
    if kind == "schedule":
        await errands.schedules.pause(name)
        return name, ""
    if kind == "task":
        name = await full_task(errands, name)
    elif kind == "worker":
        name = await full_worker(errands, name)
    try:
        await errands.pause(**{kind: name})
    except ValueError:
        said = f"{name[:40]!r} is no name that a {kind} can have: it is too long"
        raise click.ClickException(said) from None
    return name, await note_of(errands, kind, name)


async def _resume(errands: Errands, kind: str, name: str) -> str:
    """Resume it, and answer with its whole name; with nothing if it was not paused."""
    paused = [each["name"] for each in await _paused(errands) if each["kind"] == kind]
    alike = [each for each in paused if kind == "task" and each.endswith(f".{name}")]
    alike += [each for each in paused if kind == "worker" and each.startswith(name)]
    if name not in paused and len(alike) == 1:
        [name] = alike
    if name not in paused:
        return ""
    if kind == "schedule":
        await errands.schedules.resume(name)
    else:
        await errands.resume(**{kind: name})
    return name


async def _paused(errands: Errands) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"kind": order.kind, "name": order.name, "since": order.since}
        for order in await errands.orders()
        if order.kind != "slots"
    ]
    return found + [
        {"kind": "schedule", "name": each.name, "since": each.known_at}
        for each in await errands.schedules.list()
        if each.is_paused
    ]

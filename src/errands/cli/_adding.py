"""`errands add`: adds one job, with arguments from the command line."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import click

from errands import Errands, ErrandsError
from errands.errors import NotSerializable

from ._reach import Reach, reaching, with_json
from ._records import of_job
from ._tables import write_json
from ._texts import length, moment


@click.command("add", context_settings={"max_content_width": 100})
@click.argument("task")
@click.argument("arguments", metavar="[NAME=TEXT | NAME:=JSON]...", nargs=-1)
@click.option(
    "--args", "given", metavar="JSON",
    help="All arguments as one JSON object; - reads it from the standard input.",
)  # fmt: skip  # one option, one block
@click.option("--after", callback=length, metavar="LENGTH", help="Start it in 90s, 15m, 12h, 7d.")
@click.option("--at", callback=moment, metavar="INSTANT", help="Start it then; UTC by default.")
@click.option("--key", metavar="TEXT", help="At most one unfinished job has this key.")
@click.option("--queue", metavar="NAME", help="Instead of the task's own.")
@click.option("--priority", type=int, metavar="N", help="Instead of the task's own.")
@click.option("--group", metavar="NAME", help="The group it belongs to.")
@with_json
@reaching
def add_command(
    reach: Reach, task: str, arguments: tuple[str, ...], given: str | None, *,
    is_json: bool, **options: Any,
) -> None:  # fmt: skip  # as long as the command has options
    """Add one job. It needs --app, which knows the task and the types of its arguments.

    \b
    Examples:
      errands add -a app.main:errands app.mail.send_welcome address=mary@example.org
      errands add -a app.main:errands thumbnails path=cat.png sizes:='[64, 128]' --after 10m
    """  # noqa: D301  # click wants the character itself, not its escape
    if not reach.app:
        raise click.UsageError(
            "a store alone knows no tasks: name the application, --app app.main:errands"
        )
    payload = json.dumps(_payload(arguments, given))

    async def add(errands: Errands) -> tuple[dict[str, Any], bool]:
        name = _full(errands, task)
        try:
            function, args, kwargs = errands.call_of(name, payload)
        except NotSerializable as error:
            raise click.UsageError(f"{error}. NAME=TEXT is text, NAME:=JSON what is not") from None
        before: datetime = errands.now()
        job = await errands.options(**options).add_task(function, *args, **kwargs)
        return of_job(job, errands.now()), job.added_at >= before

    try:
        job, is_new = reach.run(add)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    if is_json:
        write_json(job)
        return
    click.echo(job["id"])
    if not is_new:
        click.echo(f"an unfinished job has the key {job['key']!r}: that one", err=True)


def _payload(arguments: tuple[str, ...], given: str | None) -> dict[str, Any]:
    """The arguments by name.

    Raises:
        click.UsageError: if they are not written as they should be.
    """
    payload: Any = {}
    if given is not None:
        payload = _json("--args", sys.stdin.read() if given == "-" else given)
        if not isinstance(payload, dict):
            raise click.UsageError('--args: write a JSON object, as {"path": "cat.png"}')
    for each in arguments:
        name, equals, value = each.partition("=")
        if not equals or not name.strip(":"):
            raise click.UsageError(f"{each!r}: write path=cat.png for text, or size:=64 for JSON")
        is_json = name.endswith(":")
        payload[name.removesuffix(":")] = _json(name.removesuffix(":"), value) if is_json else value
    return payload  # type: ignore[no-any-return]  # of JSON


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{name}: this is no JSON: {error}") from None


def _full(errands: Errands, task: str) -> str:
    """The task of this name, or the only one whose name ends like that.

    Raises:
        ErrandsError: if there is none, or more than one.
    """
    if task in errands.tasks:
        return task
    alike = [name for name in errands.tasks if name.endswith(f".{task}")]
    if len(alike) == 1:
        return alike[0]
    known = ", ".join(alike or errands.tasks) or "none: let its module import them"
    what = "ends the names of several tasks" if alike else "is no task"
    raise ErrandsError(f"{task!r} {what}. There are: {known}.")

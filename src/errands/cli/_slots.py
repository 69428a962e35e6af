"""`errands set-slots`: how many jobs a worker runs side by side."""

from __future__ import annotations

import click

from errands import Errands

from ._names import full_worker
from ._reach import Reach, reaching
from ._texts import number


@click.command("set-slots", context_settings={"max_content_width": 100})
@click.argument("worker", metavar="WORKER")
@click.argument("slots", metavar="[SLOTS]", type=click.IntRange(min=1), required=False)
@reaching
def set_slots_command(reach: Reach, worker: str, slots: int | None) -> None:
    """Have a worker run so many jobs side by side; without SLOTS as many as it began with.

    WORKER may be the beginning of a name, as `errands workers` lists them. What runs goes on.
    To have it start nothing at all, pause it.

    \b
    Examples:
      errands set-slots web-1-4711-c0ffee 5
      errands set-slots web-1-4711
      errands pause --worker web-1-4711-c0ffee
    """  # noqa: D301  # click wants the character itself, not its escape

    async def set_slots(errands: Errands) -> str:
        name = await full_worker(errands, worker)
        await errands.set_slots(name, slots)
        told = "as many jobs as it began with" if slots is None else number(slots, "job")
        return f"worker {name} runs {told} side by side"

    click.echo(reach.run(set_slots))

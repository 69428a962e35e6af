"""`errands move`: copies jobs and schedules of one store into another, and shows how far it is."""

from __future__ import annotations

import asyncio
import sys

import click

from errands import ErrandsError, Move, move

from ._bar import bar


@click.command("move", context_settings={"max_content_width": 100})
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--force", is_flag=True,
    help="Do so although a worker seems to live; then the two may differ in the end.",
)  # fmt: skip  # one option, one block
def move_command(source: str, target: str, *, force: bool) -> None:
    """Copy all jobs, with their history, and all schedules from one store into another.

    FROM and TO are URLs of stores. Stop the workers and whatever adds jobs first. What is in TO
    already is left as it is, so a move that was interrupted may be started again. In the end
    both are compared, by the number of jobs and by a checksum over all their fields; the exit
    status is 1 if they are not equal. FROM keeps what it has.

    \b
    Example:
      errands move sqlite:///errands.db postgresql://user:password@host/database
    """  # noqa: D301  # click wants the character itself, not its escape
    try:
        with bar("jobs") as tell:
            done = asyncio.run(move(source, target, force=force, tell=tell))
    except (ErrandsError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    _report(done)
    sys.exit(0 if done.is_equal and (done.jobs or done.schedules) else 1)


def _report(done: Move) -> None:
    click.echo(f"{done.copied:,} jobs copied, {done.skipped:,} were there already")
    if done.schedules:
        click.echo(f"{done.schedules_copied:,} of {done.schedules:,} schedules copied")
    if not done.keeps_links:
        own = "the target has a secret of its own"
        click.echo(f"{own}: links to jobs that were made before are not good there", err=True)
    if not done.jobs and not done.schedules:
        click.echo("there is no job in the source: is its URL right?", err=True)
        return
    if done.is_equal:
        click.echo(f"equal: {done.jobs:,} jobs, SHA-256 {done.checksums[0]}")
        return
    for difference in done.differences:
        click.echo(difference, err=True)
    here, there = done.counts
    for queue, state in sorted(set(here) | set(there)):
        numbers = here.get((queue, state), 0), there.get((queue, state), 0)
        if numbers[0] != numbers[1]:
            click.echo(
                f"{queue} {state}: {numbers[0]:,} in the source, {numbers[1]:,} in the target",
                err=True,
            )
    click.echo(
        f"not equal: SHA-256 {done.checksums[0]} in the source, {done.checksums[1]} in the target",
        err=True,
    )

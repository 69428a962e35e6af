"""The commands that change jobs: cancel, retry, delete, prune."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any, Literal

import click

from errands import Errands, ErrandsError, State

from ._bar import Tell, bar
from ._filter import PAGE, Filter, filtering
from ._names import hint_of, required
from ._reach import Reach, reaching
from ._texts import instant, length, number

Verb = Literal["cancel", "retry", "delete"]

MEANT: dict[Verb, tuple[State, ...]] = {  # where no state is named
    "cancel": (State.QUEUED, State.RUNNING),
    "retry": (State.FAILED, State.CANCELLED),
    "delete": (State.DONE, State.FAILED, State.CANCELLED),
}
PAST: dict[Verb, str] = {
    "cancel": "cancelled, or told to stop",
    "retry": "queued again",
    "delete": "forgotten",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which jobs a command was given.

    Attributes:
        ids: By name.
        chosen: By what they have in common.
        is_all: All of them.
        is_sure: Whether not to ask.
    """

    ids: tuple[str, ...]
    chosen: Filter
    is_all: bool
    is_sure: bool

    def __post_init__(self) -> None:
        """Refuse what is unclear.

        Raises:
            click.UsageError: if nothing is named, or too much.
        """
        if self.ids and (self.is_all or not self.chosen.is_empty):
            raise click.UsageError("name the jobs by their ids, or by options, and not by both")
        if not self.ids and not self.is_all and self.chosen.is_empty:
            raise click.UsageError(
                "which jobs? Name ids, or say what they have in common, as --queue mail; --all "
                "is all of them"
            )


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ids and the options of a filter, and `choice` for them."""

    @click.argument("ids", metavar="[ID]...", nargs=-1)
    @filtering
    @click.option("--all", "is_all", is_flag=True, help="All that can be meant.")
    @click.option("-y", "--yes", "is_sure", is_flag=True, help="Do not ask.")
    @wraps(command)
    def chosen_by(
        *args: Any, ids: tuple[str, ...], chosen: Filter, is_all: bool, is_sure: bool, **more: Any
    ) -> Any:
        choice = Choice(ids=ids, chosen=chosen, is_all=is_all, is_sure=is_sure)
        return command(*args, choice=choice, **more)

    return chosen_by


@click.command("cancel", context_settings={"max_content_width": 100})
@choosing
@reaching
def cancel_command(reach: Reach, choice: Choice) -> None:
    """Cancel jobs: those that are queued at once, those that run are told to stop.

    \b
    Examples:
      errands cancel 01a03b9d-9d43-7000
      errands cancel --task app.mail.newsletter --state queued
    """  # noqa: D301  # click wants the character itself, not its escape
    _change(reach, "cancel", choice)


@click.command("retry", context_settings={"max_content_width": 100})
@choosing
@reaching
def retry_command(reach: Reach, choice: Choice) -> None:
    """Have jobs run again, at once and with all their attempts.

    Where options name no state, failed and cancelled jobs are meant.

    \b
    Examples:
      errands retry 01a03b9d-9d43-7000
      errands retry --state failed --text ConnectionError --yes
    """  # noqa: D301  # as above
    _change(reach, "retry", choice)


@click.command("delete", context_settings={"max_content_width": 100})
@choosing
@reaching
def delete_command(reach: Reach, choice: Choice) -> None:
    """Forget jobs that have ended or are queued.

    Where options name no state, those that have ended are meant.
    """
    _change(reach, "delete", choice)


@click.command("prune", context_settings={"max_content_width": 100})
@click.option(
    "--keep", callback=length, required=True, metavar="LENGTH",
    help="Forget what finished longer ago than 90s, 15m, 12h, 7d, 2w; 0 for all that has.",
)  # fmt: skip  # one option, one block
@click.option("-y", "--yes", "is_sure", is_flag=True, help="Do not ask.")
@reaching
def prune_command(reach: Reach, keep: float, *, is_sure: bool) -> None:
    """Forget jobs that finished long ago.

    Processes at work do that by themselves, as Errands(keep=…) says: a week, by default.
    """

    async def prune(errands: Errands) -> int:
        counts = await errands.count()
        ended = sum(counts.get(pair, 0) for pair in counts if pair[1] in MEANT["delete"])
        since = instant(errands.now() - timedelta(seconds=keep))
        which = f"the jobs that finished before {since} UTC, at most {ended:,}"
        if ended:
            require_yes(f"Forget {which}?", is_sure=is_sure)
        with bar("forgotten", None if keep else ended) as tell, _interruptible(tell) as told:
            return await errands.prune(keep, tell=told)

    click.echo(f"{number(reach.run(prune), 'job')} forgotten")


def require_yes(question: str, *, is_sure: bool) -> None:
    """Go on if somebody says so.

    Raises:
        click.Abort: if they say no.
        click.UsageError: if nobody can be asked.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: add --yes")
    # the event loop's own handler would be heard only after the answer
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.confirm(question, abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _change(reach: Reach, verb: Verb, choice: Choice) -> None:
    """Change what was chosen, and end with 1 if some of the ids could not be."""

    async def change(errands: Errands) -> int:
        if not choice.ids:
            return await _change_all(errands, verb, choice)
        return await _change_each(errands, verb, choice.ids)

    if reach.run(change):
        sys.exit(1)


async def _change_each(errands: Errands, verb: Verb, ids: Sequence[str]) -> int:
    """Change jobs one by one, say what became of each, and how many could not be."""
    acts: dict[Verb, Callable[[str], Awaitable[Any]]] = {
        "cancel": errands.cancel, "retry": errands.retry, "delete": errands.delete,
    }  # fmt: skip  # a table
    refused = 0
    for given in ids:
        try:
            before = await required(errands, given)
            after = await acts[verb](before.id)
        except click.ClickException as error:
            refused += 1
            click.echo(f"Error: {error.message}", err=True)
        except (ErrandsError, LookupError, ValueError) as error:
            refused += 1
            click.echo(f"Error: {error}", err=True)
        else:
            told = "forgotten" if verb == "delete" else after.state
            if after.is_cancelling and verb == "cancel":
                told = "running, and told to stop"
            elif verb == "cancel" and before.is_final:
                told = f"{before.state} already"
            click.echo(f"{before.id} ({before.task}) {told}")
    return refused


async def _change_all(errands: Errands, verb: Verb, choice: Choice) -> int:
    """Change all that match, once they are counted and somebody has said yes."""
    chosen = await choice.chosen.settled(errands)
    if verb == "delete" and set(chosen.states) == {State.RUNNING}:
        raise click.ClickException("a job that runs cannot be forgotten: cancel it before")
    chosen = replace(chosen, states=chosen.states or MEANT[verb])
    with bar("counting") as tell:
        total = await _matching(errands, chosen, tell)
    if not total:
        click.echo(f"there are no such jobs{await hint_of(errands, chosen.task, chosen.queue)}")
        return 0
    require_yes(f"{verb.capitalize()} {number(total, 'job')}?", is_sure=choice.is_sure)
    with bar(verb, total) as tell, _interruptible(tell) as told:
        act = {"cancel": errands.cancel, "retry": errands.retry, "delete": errands.delete}[verb]
        changed = await act(chosen.query(), tell=told)
    left = "" if changed == total else f", {total - changed:,} had changed meanwhile or run"
    click.echo(f"{number(changed, 'job')} {PAST[verb]}{left}")
    return 0


@contextmanager
def _interruptible(tell: Tell) -> Iterator[Callable[[int], None]]:
    """Say how far it has come, if somebody stops it midway."""
    done = 0

    def told(now: int) -> None:
        nonlocal done
        done = now
        tell(now)

    try:
        yield told
    except asyncio.CancelledError:
        click.echo(
            f"\nstopped after {number(done, 'job')}, which stay as they are now; the same command "
            "goes on with the others",
            err=True,
        )
        raise


async def _matching(errands: Errands, chosen: Filter, tell: Tell) -> int:
    """How many jobs match: from the counts where these tell it, else page by page."""
    if chosen == Filter(chosen.states, chosen.queue):
        counts = await errands.count()
        return sum(
            each
            for (queue, state), each in counts.items()
            if state in chosen.states and chosen.queue in (None, queue)
        )
    total, before = 0, None
    while page := await chosen.jobs(errands, before, PAGE):
        total, before = total + len(page), page[-1].id
        tell(total)
    return total

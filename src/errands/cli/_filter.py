"""The filter: the options of a command that say which jobs are meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import click

from errands import Errands, Job, Query, State

from ._names import full_task
from ._texts import past

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs are meant, as the options say it.

    Attributes:
        since: Only those that were added at this instant or later, or so long ago at the most.
        until: Only those that were added earlier, or longer ago.
    """

    states: tuple[State, ...] = ()
    queue: str | None = None
    task: str | None = None
    key: str | None = None
    group: str | None = None
    text: str | None = None
    since: datetime | timedelta | None = None
    until: datetime | timedelta | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every job is meant."""
        return self == Filter()

    async def settled(self, errands: Errands) -> Filter:
        """With instants by the store's clock, and the whole name of the task.

        Raises:
            click.ClickException: if the names of several tasks end like that.
        """
        now, task = errands.now(), self.task
        return replace(
            self,
            task=task if task is None else await full_task(errands, task),
            since=now - self.since if isinstance(self.since, timedelta) else self.since,
            until=now - self.until if isinstance(self.until, timedelta) else self.until,
        )

    def query(self) -> Query:
        """As a store is asked, once it is settled."""
        return Query(states=self.states, **self._rest())

    async def jobs(self, errands: Errands, before: str | None, limit: int) -> list[Job]:
        """Those that match, newest first, once it is settled."""
        return await errands.jobs(states=self.states, before=before, limit=limit, **self._rest())

    def _rest(self) -> dict[str, Any]:
        return {
            "queue": self.queue, "task": self.task, "key": self.key, "group": self.group,
            "text": self.text, "since": self.since, "until": self.until,
        }  # fmt: skip  # a row


def filtering(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which jobs are meant, and `chosen` for them."""

    @click.option(
        "--state", "states", multiple=True, type=click.Choice([str(state) for state in State]),
        help="In this state; several times for several.",
    )  # fmt: skip  # one option, one block
    @click.option("--queue", metavar="NAME", help="In this queue.")
    @click.option("--task", metavar="NAME", help="Of this task; the end of its name will do.")
    @click.option("--key", metavar="TEXT", help="With this key.")
    @click.option("--group", metavar="NAME", help="Of this group.")
    @click.option("--text", metavar="TEXT", help="Whose arguments or errors contain this.")
    @click.option(
        "--since", callback=past, metavar="TIME",
        help="Added within the last 90s, 15m, 12h, 7d, 2w; or since 2026-02-01T03:00, in UTC.",
    )  # fmt: skip  # one option, one block
    @click.option(
        "--until", callback=past, metavar="TIME", help="Added longer ago, or earlier, than that."
    )
    @wraps(command)
    def filtered(
        *args: Any, states: Sequence[str], queue: str | None, task: str | None, key: str | None,
        group: str | None, text: str | None, since: datetime | timedelta | None,
        until: datetime | timedelta | None, **more: Any,
    ) -> Any:  # fmt: skip  # as long as there are options
        named = tuple(State(state) for state in states)
        chosen = Filter(named, queue, task, key, group, text, since, until)
        return command(*args, chosen=chosen, **more)

    return filtered

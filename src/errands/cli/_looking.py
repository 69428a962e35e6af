"""The commands that list what works, and what is to be done: jobs, workers."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from errands import Errands, Job
from errands.errors import reason_of

from ._filter import Filter, filtering
from ._names import SHORT_ID, hint_of, required
from ._reach import Reach, reaching, with_json, with_reveal
from ._records import json_line, of_job, progress_text
from ._tables import Column, Record, write
from ._texts import instant, number, short
from ._workers import workers_of

WHOLE = 36  # characters of an id: one that is forgotten still tells where the next page begins
MOST = 1_000_000  # jobs that are listed at once
WIDE, WIDER = 100, 130  # columns of a terminal


@click.command("jobs", context_settings={"max_content_width": 100})
@filtering
@click.option("--before", metavar="ID", help="Added before this job: the next page.")
@click.option(
    "--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="How many at most."
)
@with_reveal
@with_json
@reaching
def jobs_command(
    reach: Reach, chosen: Filter, before: str | None, limit: int, *, is_revealing: bool,
    is_json: bool,
) -> None:  # fmt: skip  # as long as the command has options
    """List jobs, newest first.

    \b
    Examples:
      errands jobs --state failed --queue mail
      errands jobs --text example.org --since 2h --limit 10 --json
    """  # noqa: D301  # click wants the character itself, not its escape

    async def look(errands: Errands) -> tuple[list[Job], datetime, str]:
        settled = await chosen.settled(errands)
        page = before if before is None or len(before) >= WHOLE else await _whole(errands, before)
        found = await settled.jobs(errands, page, limit)
        return (
            found,
            errands.now(),
            "" if found else await hint_of(errands, settled.task, settled.queue),
        )

    found, now, hint = reach.run(look)
    records = [of_job(job, now, is_revealing=is_revealing) for job in found]
    is_all = chosen.is_empty and before is None
    nothing = "there are no jobs" if is_all else f"there are no such jobs{hint}"
    write(records, _job_columns(now), is_json=is_json, nothing=nothing)
    if hint and not sys.stdout.isatty():
        click.echo(nothing, err=True)


@click.command("workers", context_settings={"max_content_width": 100})
@click.option("--all", "is_all", is_flag=True, help="Those that went within the last day, too.")
@with_json
@reaching
def workers_command(reach: Reach, *, is_all: bool, is_json: bool) -> None:
    """List workers: where they run, how many jobs, and whether they are silent."""

    async def look(errands: Errands) -> tuple[list[Record], datetime]:
        return await workers_of(errands), errands.now()

    found, now = reach.run(look)
    there = [each for each in found if is_all or each["state"] != "gone"]
    more = f"; {number(len(found), 'worker')} went lately: --all" if found else ""
    nothing = f"no worker is at work: errands worker MODULE:NAME starts one{more}"
    write(there, _worker_columns(now), is_json=is_json, nothing=nothing)


async def _whole(errands: Errands, beginning: str) -> str:
    return (await required(errands, beginning)).id


def _job_columns(now: datetime) -> list[Column]:
    def said(job: Record) -> str:
        """What there is to say of it: why it failed, how far it is, or its arguments."""
        if job["error"] and job["state"] in ("failed", "queued"):
            return reason_of(job["error"])
        if job["progress"] is not None:
            return progress_text(job["progress"])
        if job["key"] == f"service:{job['task']}":
            return ""  # a service has no arguments; what stands there tells its declaration
        return json_line(job["arguments"])

    return [
        Column("id", lambda job: job["id"], narrow=lambda job: job["id"][:SHORT_ID]),
        Column("state", lambda job: job["shown_as"]),
        Column("task", lambda job: job["task"], narrow=lambda job: _last(job["task"]), least=8),
        Column("queue", lambda job: job["queue"], since=WIDE, least=8),
        Column("tries", lambda job: str(job["attempt"]), since=WIDE, justify="right"),
        Column("group", lambda job: job["group"] or "", since=WIDER),
        Column(
            "added", lambda job: instant(job["added_at"]),
            narrow=lambda job: short(now - job["added_at"]), justify="right",
        ),
        Column("said", said, least=8),
    ]  # fmt: skip  # a table


def _worker_columns(now: datetime) -> list[Column]:
    return [
        Column("worker", lambda each: each["worker"], least=12),
        Column("state", lambda each: each["state"]),
        Column("host", lambda each: each["host"], since=WIDE),
        Column("pid", lambda each: str(each["pid"]), justify="right"),
        Column("busy", lambda each: f"{each['running']}/{each['slots']}", justify="right"),
        Column("queues", lambda each: ",".join(each["queues"] or ["all"]), least=8),
        Column("version", lambda each: each["version"], since=WIDER),
        Column("up", lambda each: short(now - each["started_at"]), justify="right"),
        Column("seen", lambda each: short(now - each["seen_at"]), justify="right"),
    ]


def _last(dotted: str) -> str:
    """A task's name without its module: `send` for `app.tasks.mail.send`."""
    return dotted.rpartition(".")[2]

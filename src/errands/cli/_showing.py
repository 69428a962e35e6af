"""`errands show`: everything that is known of one job, with a timeline of its attempts."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import groupby
from typing import Any

import click

from errands import Errands, Redaction, Why

from ._names import required
from ._reach import Reach, reaching, with_json, with_reveal
from ._records import json_line, progress_text, with_attempts
from ._tables import Column, Record, write, write_json
from ._texts import harmless, instant, lasting, one_line

LEFT = 10  # columns that the names of the fields take


@click.command("show", context_settings={"max_content_width": 100})
@click.argument("job_id", metavar="ID")
@with_reveal
@with_json
@reaching
def show_command(reach: Reach, job_id: str, *, is_revealing: bool, is_json: bool) -> None:
    """Show one job: its arguments, its attempts, its result or error, and why it is not running.

    ID may be the beginning of an id, as the lists show it. Instants are UTC.
    """

    async def look(errands: Errands) -> tuple[Record, Why]:
        job = await required(errands, job_id)
        why = await errands.why(job)
        return with_attempts(why.job, errands.now(), is_revealing=is_revealing), why

    record, why = reach.run(look)
    redaction = Redaction(is_off=is_revealing)
    said = redaction.text(str(why), redaction.secrets(why.job.payload))
    if is_json:
        write_json({**record, "why": said})
        return
    _fields(record, said)
    if record["attempts"]:
        click.echo()
        write(record["attempts"], COLUMNS, is_json=False, nothing="")
    failed = [attempt for attempt in record["attempts"] if attempt["error"]]
    for error, alike in groupby(failed, key=lambda attempt: str(attempt["error"])):
        said = ", ".join(f"{each['number']} {each['outcome']}" for each in alike)
        click.echo(f"\nattempt {said}:")
        click.echo(_indented(error))


COLUMNS = [
    Column("attempt", lambda each: str(each["number"]), justify="right"),
    Column("started", lambda each: instant(each["started_at"])),
    Column("waited", lambda each: lasting(timedelta(seconds=each["waited"])), justify="right"),
    Column("ran", lambda each: lasting(timedelta(seconds=each["ran"])), justify="right"),
    Column("outcome", lambda each: each["outcome"]),
    Column("worker", lambda each: each["worker"], least=12),
]


def _fields(record: Record, why: str) -> None:
    due = record["due_at"] if record["due_at"] != record["added_at"] else None
    rows: list[tuple[str, Any]] = [
        ("job", record["id"]),
        ("task", record["task"]),
        ("state", record["shown_as"]),
        ("why", why if record["shown_as"] not in ("done", "failed", "cancelled") else None),
        ("queue", record["queue"]),
        ("priority", record["priority"] or None),
        ("key", record["key"]),
        ("group", record["group"]),
        ("waits for", " ".join(record["waits_for"])),
        ("added", instant(record["added_at"])),
        ("due", instant(due)),
        ("finished", instant(record["finished_at"])),
        ("progress", record["progress"] and progress_text(record["progress"])),
        ("arguments", _value(record["arguments"])),
        ("result", None if record["result"] is None else _value(record["result"])),
    ]
    for name, value in rows:
        if value:
            first, *rest = harmless(str(value)).splitlines()
            click.echo(f"{click.style(name.ljust(LEFT), bold=True)}  {first}")
            for line in rest:
                click.echo(f"{' ' * LEFT}  {line}")


def _value(value: Any) -> str:
    """In one line if that is short, else as it would be written by hand."""
    line = json_line(value)
    return one_line(line) if len(line) <= 66 else json.dumps(value, indent=2, ensure_ascii=False)


def _indented(error: str) -> str:
    return "\n".join(f"  {line}" for line in harmless(error).splitlines())

"""The commands about services: how they do, and to start one again or forget it."""

from __future__ import annotations

from datetime import datetime

import click

from errands import Errands, Job, ServiceStatus
from errands.errors import reason_of

from ._filter import PAGE
from ._looking import WIDE
from ._names import some
from ._reach import Reach, reaching, with_json
from ._records import of_service
from ._tables import Column, Record, write, write_json
from ._texts import harmless, instant, one_line, short


@click.command("services", context_settings={"max_content_width": 100})
@click.argument("name", metavar="[NAME]", required=False)
@with_json
@reaching
def services_command(reach: Reach, name: str | None, *, is_json: bool) -> None:
    """List the services of the cluster; or show one, with what it logged last and why it fell.

    Those of which each process has one are not stored. Instants are UTC.
    """
    if name is not None:
        _show(reach, name, is_json=is_json)
        return

    async def look(errands: Errands) -> tuple[list[Record], datetime]:
        return [of_service(each) for each in await services_of(errands)], errands.now()

    found, now = reach.run(look)
    nothing = "no service is known: a process at work starts those that its code declares"
    write(found, _service_columns(now), is_json=is_json, nothing=nothing)


def _show(reach: Reach, name: str, *, is_json: bool) -> None:
    async def look(errands: Errands) -> tuple[Record, datetime]:
        return of_service(await _required(errands, name)), errands.now()

    service, now = reach.run(look)
    if is_json:
        write_json(service)
        return
    rows = [
        ("service", service["name"]),
        ("state", f"{service['state']} for {short(now - service['since'])}"),
        ("ready", "yes" if service["is_ready"] else ""),
        ("restarts", str(service["restarts"] or "")),
        ("worker", service["worker"] or ""),
        ("starts", instant(service["starts_at"])),
    ]
    for title, value in rows:
        if value:
            click.echo(f"{click.style(title.ljust(10), bold=True)}  {one_line(value)}")
    if service["log"]:
        click.echo("\nits last lines:")
    for line in service["log"]:
        click.echo(f"  {instant(line['at'])}  {line['level']:8} {one_line(line['text'])}")
    if service["error"]:
        click.echo("\nits last failure:")
        click.echo("\n".join(f"  {each}" for each in harmless(service["error"]).splitlines()))


@click.command("restart", context_settings={"max_content_width": 100})
@click.argument("service", metavar="SERVICE")
@reaching
def restart_command(reach: Reach, service: str) -> None:
    """Start a service again that failed, has returned or waits; one that runs goes on.

    What it has failed so far does not count any more. One of which each process has its own is
    none of the store's, and starts with its process.
    """

    async def restart(errands: Errands) -> str:
        found = await _required(errands, service)
        await errands.restart(found.name)
        return f"service {found.name} was {found.state}, and starts again"

    click.echo(reach.run(restart))


@click.command("forget", context_settings={"max_content_width": 100})
@click.argument("service", metavar="SERVICE")
@reaching
def forget_command(reach: Reach, service: str) -> None:
    """Forget a service that left the code, with its history."""

    async def forget(errands: Errands) -> str:
        found = await _required(errands, service)
        await errands.forget(found.name)
        return f"service {found.name} is forgotten"

    click.echo(reach.run(forget))


async def services_of(errands: Errands) -> list[ServiceStatus]:
    """The services of the cluster, by name: as the store knows them, or as they are declared."""
    found: dict[str, Job] = {}
    before: str | None = None
    while page := await errands.jobs(queue="services", before=before, limit=PAGE):
        for job in page:
            if job.key == f"service:{job.task}" and _tells_more(job, found.get(job.task)):
                found[job.task] = job
        before = page[-1].id
    now, workers = errands.now(), await errands.workers()
    known = [ServiceStatus.of(job, now, workers=workers) for job in found.values()]
    declared = [each for each in await errands.services() if not each.every_process]
    known += [each for each in declared if each.name not in found]
    return sorted(known, key=lambda service: service.name)


def _tells_more(job: Job, other: Job | None) -> bool:
    """Whether it is the unfinished one, or else finished later."""
    if other is None or not job.is_final:
        return True
    if job.finished_at is None or other.finished_at is None:
        return False
    return other.is_final and job.finished_at > other.finished_at


async def _required(errands: Errands, name: str) -> ServiceStatus:
    """The service of this name, or the only one whose name ends like that.

    Raises:
        click.ClickException: if there is none, or more than one.
    """
    known = {each.name: each for each in await services_of(errands)}
    if name in known:
        return known[name]
    alike = [each for each in known if each.endswith(f".{name}")]
    if len(alike) == 1:
        return known[alike[0]]
    if alike:
        raise click.ClickException(f"{name!r} ends the names of several services: {some(alike)}")
    there = f"there are {some(known)}" if known else "there is none"
    raise click.ClickException(f"no service of the cluster is named {name!r}: {there}")


def _service_columns(now: datetime) -> list[Column]:
    return [
        Column("service", lambda each: each["name"], least=8),
        Column("state", lambda each: each["state"]),
        Column("ready", lambda each: "yes" if each["is_ready"] else ""),
        Column("for", lambda each: short(now - each["since"]), justify="right"),
        Column("restarts", lambda each: str(each["restarts"]), justify="right"),
        Column("worker", lambda each: each["worker"] or "", since=WIDE),
        Column("starts", lambda each: _in(each["starts_at"], now)),
        Column("error", lambda each: reason_of(each["error"]), least=12),
    ]


def _in(starts_at: datetime | None, now: datetime) -> str:
    return "" if starts_at is None else f"in {short(starts_at - now)}"

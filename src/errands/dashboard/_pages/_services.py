"""The page Services: which are up, since when, how often they fell, and what they logged."""

from __future__ import annotations

from errands import LogLine, ServiceState, ServiceStatus
from errands.errors import reason_of

from .._markup import Child, Markup, h, join
from .._parts import Column, act, clipped, nothing, pre, service_badge, table, took, until
from .._visit import Page, Visit

COLUMNS = (
    Column("State", "state"), Column("Service", "main"), Column("For", "num"),
    Column("Restarts", "num"), Column("Worker", "quiet"), Column("", "act"),
)  # fmt: skip  # a table
UP = (ServiceState.STARTING, ServiceState.RUNNING)


async def services_page(visit: Visit) -> Page:
    """See the module."""
    services = await visit.errands.services()
    if not services:
        return Page("Services", nothing("There are no services."), live=5)
    rows = (_row(visit, each) for each in services)
    return Page("Services", table(COLUMNS, rows, cls="services"), live=2)


def _row(visit: Visit, service: ServiceStatus) -> list[Child]:
    return [
        service_badge(service.state),
        join(
            _name(visit, service), _next(visit, service), _remark(visit, service),
            _log(visit, service),
        ),
        took(visit.now - service.since) if service.state is not ServiceState.STOPPED else "",
        str(service.restarts) if service.restarts else "",
        service.worker or "",
        act(visit, "restart", "Start", service=service.name, cls="small")
        if visit.may_act and service.state not in UP
        else "",
    ]  # fmt: skip  # a row


def _name(visit: Visit, service: ServiceStatus) -> Markup:
    """Its name; where it is a job, a link to what that job has been through."""
    if service.every_process:
        name = h.bdi(service.name, data_row=True, tabindex=-1)
        return h.div(name, " ", h.small("in each process"))
    jobs = visit.link("jobs", key=f"service:{service.name}")
    return h.div(h.a(service.name, href=jobs, data_row=True))


def _next(visit: Visit, service: ServiceStatus) -> Markup | None:
    if service.starts_at is None:
        return None
    return h.span("starts again ", until(service.starts_at, visit.now), cls="line quiet")


def _remark(visit: Visit, service: ServiceStatus) -> Markup | None:
    if service.error is None:
        return None
    said = visit.redaction.text(reason_of(service.error))
    return h.details(
        h.summary(h.bdi(said, cls="error")),
        pre(visit.redaction.text(service.error[-20_000:])),
        id=f"error-{service.name}", cls="line",
    )  # fmt: skip  # a call


def _log(visit: Visit, service: ServiceStatus) -> Markup | None:
    """The last line that it logged; opened, all that are known, the newest first."""
    if not service.log:
        return None
    last = clipped(visit.redaction.text(service.log[-1].text), 120)
    lines = "\n".join(_line(visit, each) for each in reversed(service.log))
    return h.details(
        h.summary("log: ", h.bdi(last)), pre(lines), id=f"log-{service.name}",
        cls="line quiet",
    )  # fmt: skip  # a call


def _line(visit: Visit, line: LogLine) -> str:
    form = "%H:%M:%S" if line.at.date() == visit.now.date() else "%Y-%m-%d %H:%M:%S"
    return f"{line.at:{form}}  {line.level:8} {visit.redaction.text(line.text)}"

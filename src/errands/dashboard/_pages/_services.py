"""The page Services: which are up, since when, and how often they fell."""

from __future__ import annotations

from errands import ServiceState, ServiceStatus
from errands.errors import reason_of

from .._markup import Child, Markup, h, join
from .._parts import Column, act, nothing, service_badge, table, took
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
        return Page("Services", nothing("There are no services."))
    return Page("Services", table(COLUMNS, (_row(visit, each) for each in services)), live=2)


def _row(visit: Visit, service: ServiceStatus) -> list[Child]:
    return [
        service_badge(service.state),
        join(_name(visit, service), _remark(visit, service)),
        took(visit.now - service.since) if service.state is not ServiceState.STOPPED else "",
        str(service.restarts) if service.restarts else "",
        service.worker or "",
        act(visit, "restart", "Start", service=service.name, cls="small")
        if visit.may_act and service.state not in UP
        else "",
    ]


def _name(visit: Visit, service: ServiceStatus) -> Markup:
    """Its name; where it is a job, a link to what that job has been through."""
    if service.every_process:
        return join(
            h.bdi(service.name, data_row=True, tabindex=-1), " ", h.small("in each process")
        )
    jobs = visit.link("jobs", key=f"service:{service.name}")
    return h.a(service.name, href=jobs, data_row=True)


def _remark(visit: Visit, service: ServiceStatus) -> Markup | None:
    if service.error is None:
        return None
    said = visit.redaction.text(reason_of(service.error))
    return h.details(
        h.summary(h.bdi(said, cls="error")),
        h.pre(h.bdi(visit.redaction.text(service.error[-20_000:]))),
        id=f"error-{service.name}", cls="line",
    )  # fmt: skip  # a call

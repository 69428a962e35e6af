"""The page Workers: who runs jobs, where, and when it was seen last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from errands import Heartbeat, Job, State

from .._markup import Child, h, join
from .._parts import Column, act, ago, hidden, is_service, nothing, table, took, worker_badge
from .._visit import Page, Visit

COLUMNS = (
    Column("State", "state"), Column("Worker", "main"), Column("Running", "num"),
    Column("Queues"), Column("Up", "num"), Column("Seen", "num quiet"),
    Column("Version", "quiet"),
    Column("", "act"),
)  # fmt: skip  # a table
MOST = 200  # jobs that run, which are looked at


@dataclass(frozen=True, slots=True)
class RunningJobs:
    """The jobs that run, without services, which take no slot.

    Attributes:
        is_all: Whether no more of them run than were looked at.
    """

    jobs: Sequence[Job]
    is_all: bool

    def at(self, worker: Heartbeat) -> int:
        """How many of a worker's slots are in use.

        What it says of itself may be some seconds old; the jobs are as the store has them now.
        """
        if not self.is_all:
            return worker.running
        return sum(job.worker == worker.worker for job in self.jobs)


async def running_jobs(visit: Visit) -> RunningJobs:
    """Those that run just now, newest first."""
    found = await visit.errands.jobs(states=[State.RUNNING], limit=MOST)
    return RunningJobs([job for job in found if not is_service(job)], len(found) < MOST)


async def workers_page(visit: Visit) -> Page:
    """See the module."""
    workers = await visit.errands.workers()
    orders = await visit.errands.orders()
    paused = {order.name for order in orders if order.kind == "worker"}
    changed = {order.name for order in orders if order.kind == "slots"}
    if not workers:
        text = "Nobody has worked here for a day. Start errands worker, or an application."
        return Page("Workers", nothing(text), live=2)
    ordered = sorted(workers, key=lambda worker: not worker.is_alive(visit.now))
    running = await running_jobs(visit)
    rows = (
        _row(visit, w, running.at(w), is_paused=w.worker in paused, is_changed=w.worker in changed)
        for w in ordered
    )
    return Page("Workers", table(COLUMNS, rows), live=2)


def _row(
    visit: Visit, worker: Heartbeat, busy: int, *, is_paused: bool, is_changed: bool
) -> list[Child]:
    end = worker.gone_at or visit.now
    place = f"{worker.host}, process {worker.pid}"
    use = h.meter(value=busy, max=worker.slots, aria_label="slots in use")
    return [
        worker_badge(worker, visit.now, is_paused=is_paused),
        join(h.bdi(worker.worker, data_row=True, tabindex=-1), h.bdi(place, cls="line quiet")),
        join(f"{busy} of {worker.slots} ", use) if worker.gone_at is None else "",
        "all" if worker.queues is None else ", ".join(worker.queues),
        took(end - worker.started_at),
        ago(worker.gone_at or worker.seen_at, visit.now),
        worker.version,
        _buttons(visit, worker, is_paused=is_paused, is_changed=is_changed),
    ]


def _buttons(visit: Visit, worker: Heartbeat, *, is_paused: bool, is_changed: bool) -> Child:
    """To have it claim no more, which drains it, and to change its slots."""
    if not visit.may_act or not worker.is_alive(visit.now):
        return ""
    do, label = ("resume", "Resume") if is_paused else ("pause", "Drain")
    slots = h.form(
        hidden(worker=worker.worker, back=visit.here),
        h.input(
            name="slots", value=worker.slots if is_changed else None, placeholder=worker.slots,
            inputmode="numeric", size=3, aria_label="slots", autocomplete="off",
        ),
        h.button("Set slots", cls="small"),
        method="post", action=visit.link("do/slots"),
    )  # fmt: skip  # a form
    return join(slots, act(visit, do, label, worker=worker.worker, cls="small"))

"""The checks of `errands doctor`: each finds something in order, or says what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from errands import Errands, Examination, Heartbeat, Job, ServiceState, State

from ._filter import PAGE
from ._records import state_of
from ._services import services_of
from ._texts import instant, lasting, number
from ._workers import busy_slots

SKEW = 1.0  # seconds between this machine's clock and the store's
FUTURE = timedelta(seconds=5)  # by which a worker may be ahead
OVERDUE = timedelta(seconds=5)  # for which a lease may be over before somebody takes the job
NAMED = 3  # things that a line names


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at, in a word or two.
        text: What was found.
        cure: What to do about it; `None` where all is well.
    """

    check: str
    text: str
    cure: str | None = None

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do."""
        return self.cure is None


Check = Callable[[Errands], Awaitable[Finding]]


def of_store(errands: Errands, found: Examination | None) -> list[Finding]:
    """What is told of the store before it is opened."""
    if found is None:
        return [Finding("store", f"{errands.address}, which tells nothing more of itself")]
    store = Finding("store", errands.address)
    engine = Finding("version", found.engine, found.flaw)
    schema = Finding("schema", f"{found.schema}, as this version of Errands has it")
    if found.is_old:
        schema = Finding(
            "schema", f"{found.schema}, and this version of Errands has {found.known}",
            "start the application or a worker of this version, which upgrades it",
        )  # fmt: skip  # a row
    elif found.schema > found.known:
        schema = Finding("schema", f"{found.schema}, which this version ({found.known}) can use")
    return [store, engine, schema]


async def clock(errands: Errands) -> Finding:
    """Whether this machine, the store and the workers mean the same time."""
    skew = (datetime.now(UTC) - errands.now()).total_seconds()
    if abs(skew) > SKEW:
        way = "ahead of" if skew > 0 else "behind"
        return Finding(
            "clock", f"this machine's is {lasting(timedelta(seconds=abs(skew)))} {way} the store's",
            "have NTP set both; Errands goes by the store's, your own code may not",
        )  # fmt: skip  # a row
    ahead = [w for w in await errands.workers() if w.seen_at > errands.now() + FUTURE]
    if ahead:
        return Finding(
            "clock", f"{_workers(ahead)} was seen in the future: the store's clock was set back",
            "have NTP set it, which does so in small steps; leases that began before last longer",
        )  # fmt: skip  # a row
    return Finding("clock", f"{instant(errands.now())} UTC, here and in the store")


async def workers(errands: Errands) -> Finding:
    """Whether anybody is at work, and nobody is silent."""
    now = errands.now()
    there = [worker for worker in await errands.workers() if worker.gone_at is None]
    silent = [worker for worker in there if not worker.is_alive(now)]
    alive = [worker for worker in there if worker.is_alive(now)]
    if silent:
        return Finding(
            "workers", f"nothing was heard of {_workers(silent)} since {_seen(silent)} UTC",
            "see whether it hangs, and kill it; if it died, its jobs went on elsewhere",
        )  # fmt: skip  # a row
    if not alive:
        return Finding("workers", "none is at work", "start one: errands worker MODULE:NAME")
    in_use = await busy_slots(errands)
    busy = sum(w.running if in_use is None else in_use.get(w.worker, 0) for w in alive)
    slots = sum(worker.slots for worker in alive)
    return Finding("workers", f"{number(len(alive), 'worker')}, {busy} of {slots} slots in use")


async def leases(errands: Errands) -> Finding:
    """Whether a job is held that nobody runs."""
    now = errands.now()
    running = await _jobs(errands, State.RUNNING)
    lost = [job for job in running if job.free_at < now - OVERDUE]
    if not lost:
        return Finding("leases", f"{number(len(running), 'job')} running, each held by a worker")
    ids = ", ".join(f"{job.id} ({job.task})" for job in lost[:NAMED])
    return Finding(
        "leases", f"{number(len(lost), 'job')} held by nobody any more: {ids}{_more(lost)}",
        "start a worker of their queues that knows their tasks: it takes them over",
    )  # fmt: skip  # a row


async def tasks(errands: Errands) -> Finding:
    """Whether each job that is due has a worker that would take it."""
    now, due = errands.now(), await errands.due()
    alive = [worker for worker in await errands.workers() if worker.is_alive(now)]
    strange = [
        f"{task} in {queue}, since {instant(since)} UTC"
        for (queue, task), since in due.items()
        if not any(worker.takes(queue, task) for worker in alive)
    ]
    if not strange:
        text = f"{number(len(due), 'task')} with jobs that are due, all known to a worker"
        return Finding("tasks", text if due else "no job waits for a worker")
    known = {name for worker in alive for name in worker.tasks}
    is_unknown = any(task not in known for _, task in due)
    cure = (
        "deploy the code that declares it, or name the task as before"
        if is_unknown and alive
        else "start a worker for the queue: errands worker MODULE:NAME --queues …"
    )
    said = "; ".join(strange[:NAMED])
    return Finding("tasks", f"no worker would take {said}{_more(strange)}", cure)


async def schedules(errands: Errands) -> Finding:
    """Whether each schedule has somebody who sees to it."""
    now = errands.now()
    there = await errands.schedules.list()
    states = {each.name: state_of(each, now) for each in there}
    overdue = [name for name, state in states.items() if state == "overdue"]
    unknown = [name for name, state in states.items() if state == "unknown"]
    if overdue:
        return Finding(
            "schedules", f"overdue: {', '.join(overdue[:NAMED])}{_more(overdue)}",
            "start a process at work that declares them; `errands schedules` says when they were"
            " due",
        )  # fmt: skip  # a row
    if unknown:
        return Finding(
            "schedules", f"no process declares {', '.join(unknown[:NAMED])}{_more(unknown)}",
            "start one that does; or, if the code is gone: await errands.schedules.remove(name)",
        )  # fmt: skip  # a row
    return Finding("schedules", f"{number(len(there), 'schedule')}, none overdue")


async def services(errands: Errands) -> Finding:
    """Whether each service is up."""
    found = await services_of(errands)
    down = [s for s in found if s.state in (ServiceState.FAILED, ServiceState.BACKING_OFF)]
    if not down:
        return Finding("services", f"{number(len(found), 'service')}, none has failed")
    said = ", ".join(f"{each.name} ({each.state})" for each in down[:NAMED])
    first = down[0].name
    return Finding(
        "services", f"not up: {said}{_more(down)}",
        f"`errands services {first}` says why; mend it, then: errands restart {first}",
    )  # fmt: skip  # a row


async def paused(errands: Errands) -> Finding:
    """What was paused, which is in order: somebody wanted it."""
    orders = [order for order in await errands.orders() if order.kind != "slots"]
    if not orders:
        return Finding("paused", "nothing")
    said = (f"{each.kind} {each.name} since {instant(each.since)} UTC" for each in orders[:NAMED])
    return Finding("paused", f"{', '.join(said)}{_more(orders)}")


CHECKS: Sequence[Check] = (clock, workers, leases, tasks, schedules, services, paused)


async def _jobs(errands: Errands, state: State) -> list[Job]:
    """All jobs in a state of which there are few."""
    found: list[Job] = []
    before: str | None = None
    while page := await errands.jobs(states=[state], before=before, limit=PAGE):
        found += page
        before = page[-1].id
    return found


def _workers(there: Sequence[Heartbeat]) -> str:
    said = ", ".join(f"{w.worker} (process {w.pid} on {w.host})" for w in there[:NAMED])
    return f"{said}{_more(there)}"


def _seen(there: Sequence[Heartbeat]) -> str:
    return instant(max(worker.seen_at for worker in there))


def _more(things: Sequence[object]) -> str:
    return f" and {len(things) - NAMED} more" if len(things) > NAMED else ""

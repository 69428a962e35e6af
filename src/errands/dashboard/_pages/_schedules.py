"""The page Schedules: what is added by itself, when it was, and when it will be."""

from __future__ import annotations

from json import dumps

from errands import Schedule

from .._markup import Child, Markup, h, join
from .._parts import Column, act, ago, moment, nothing, summary, table, until
from .._visit import Page, Visit

COLUMNS = (
    Column("State", "state"), Column("Schedule", "main"), Column("When"),
    Column("Last", "num quiet"), Column("Next", "num"), Column("", "act"),
)  # fmt: skip  # a table
AHEAD = 5  # coming ticks that are shown


async def schedules_page(visit: Visit) -> Page:
    """See the module."""
    schedules = await visit.errands.schedules.list()
    if not schedules:
        return Page("Schedules", nothing("There are no schedules."), live=5)
    return Page("Schedules", table(COLUMNS, (_row(visit, each) for each in schedules)), live=5)


def _row(visit: Visit, schedule: Schedule) -> list[Child]:
    arguments = summary(schedule.payload, visit.redaction)
    return [
        _state(visit, schedule),
        join(
            h.a(schedule.name, href=visit.link("jobs", task=schedule.task), data_row=True),
            h.bdi(arguments, cls="line code") if arguments else None,
        ),
        _when(visit, schedule),
        ago(schedule.last_tick, visit.now) if schedule.last_tick else "",
        _next(visit, schedule),
        _buttons(visit, schedule),
    ]


def _state(visit: Visit, schedule: Schedule) -> Markup:
    if schedule.is_paused:
        return h.span("paused", cls="badge retrying")
    if schedule.is_orphaned(visit.now):
        told = "no process at work declares it, or its task"
        return h.span("orphaned", cls="badge failed", title=told)
    word = "on" if schedule.next_tick else "over"
    return h.span(word, cls=f"badge {'done' if schedule.next_tick else 'cancelled'}")


def _when(visit: Visit, schedule: Schedule) -> Markup:
    """The spec in a few words; what this version cannot read stands as it is."""
    spec = visit.redaction.shown(schedule.spec)
    if not isinstance(spec, dict):
        return h.bdi(schedule.spec, cls="code")
    if "every" in spec:
        main: Child = join("every ", _length(spec.pop("every")))
    else:
        main = h.span(str(spec.pop("cron", "")), cls="code")
    rest = ", ".join(f"{name} {value}" for name, value in spec.items() if value not in (None, 0))
    return join(main, h.bdi(rest, cls="line quiet") if rest else None)


def _length(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return dumps(seconds)
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _next(visit: Visit, schedule: Schedule) -> Child:
    if schedule.next_tick is None:
        return ""
    try:
        ticks = visit.errands.upcoming(schedule, AHEAD)
    except ValueError:  # a later version wrote it
        return until(schedule.next_tick, visit.now)
    coming = h.ul(h.li(moment(tick)) for tick in ticks)
    first = h.summary(until(schedule.next_tick, visit.now))
    return h.details(first, coming, id=f"next-{schedule.name}")


def _buttons(visit: Visit, schedule: Schedule) -> Child:
    if not visit.may_act:
        return ""
    turn = ("resume", "Resume") if schedule.is_paused else ("pause", "Pause")
    buttons = [act(visit, turn[0], turn[1], schedule=schedule.name, cls="small")]
    if schedule.task in visit.errands.tasks:  # elsewhere nobody can tell its queue
        buttons.append(act(visit, "run", "Run now", schedule=schedule.name, cls="small"))
    return join(*buttons)

"""The claims of the SQLite store: which jobs are free, best first, whatever else there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from ..._job import NEVER, Job
from ..._store import Claim
from .._rows import UNFINISHED, decode, instant, ms
from . import _limits
from ._database import Database
from ._reading import ROWS, by_id, one, read
from ._writing import start

FOR_GOOD = ms(NEVER)  # when those are free that are blocked
Place = tuple[str, int, str]  # queue, priority, task

# Every queue, priority and task that has a job, found by skipping through the
# index: so that no number of jobs of tasks that a worker does not know stands in its way.
ALL_PLACES = f"""
with recursive queues (queue) as (
    select min(queue) from errands_jobs where {UNFINISHED}
    union all
    select (select min(queue) from errands_jobs where {UNFINISHED} and queue > queues.queue)
    from queues where queue is not null
), levels (queue, priority) as (
    select queue, (select max(priority) from errands_jobs
                   where {UNFINISHED} and queue = queues.queue)
    from queues where queue is not null
    union all
    select queue, (select max(priority) from errands_jobs
                   where {UNFINISHED} and queue = levels.queue and priority < levels.priority)
    from levels where priority is not null
), places (queue, priority, task) as (
    select queue, priority, (select min(task) from errands_jobs
                             where {UNFINISHED} and queue = levels.queue
                             and priority = levels.priority)
    from levels where priority is not null
    union all
    select queue, priority, (select min(task) from errands_jobs
                             where {UNFINISHED} and queue = places.queue
                             and priority = places.priority and task > places.task)
    from places where task is not null
)
select json_group_array(json_array(queue, priority, task)) from places where task is not null
"""
# Those that are not paused.
PLACES = f"""{ALL_PLACES}
and queue not in (select name from errands_orders where kind = 'queue')
and task not in (select name from errands_orders where kind = 'task')
"""
AT_PLACE = f"{UNFINISHED} and queue = ? and priority = ? and task = ?"
DUE = f"from errands_jobs where {AT_PLACE} and free_at <= ? order by free_at, id limit ?"
DUE_IDS = f"select json_group_array(json_array(free_at, id)) from (select free_at, id {DUE})"
DUE_ROWS = f"select {ROWS} from (select * {DUE})"
NEXT = f"select min(free_at) from errands_jobs where {AT_PLACE}"


def claim(db: Database, calls: list[Claim]) -> list[list[Job]]:
    """See `Store.claim`."""
    return [_claim(db, call) for call in calls]


def places(db: Database, calls: list[datetime]) -> list[set[tuple[str, str]]]:
    """See `Store.places`."""
    found = [(place, one(db, NEXT, place)) for place in decode(one(db, PLACES))]
    return [
        {
            (queue, task)
            for (queue, _, task), free in found
            if free is not None and free <= ms(before)
        }
        for before in calls
    ]


def waiting_since(db: Database, calls: list[datetime]) -> list[Mapping[str, datetime]]:
    """See `Store.waiting_since`."""
    found = [(place[0], one(db, NEXT, place)) for place in decode(one(db, ALL_PLACES))]
    first = sorted(((free, queue) for queue, free in found if free is not None), reverse=True)
    return [
        {queue: instant(free) for free, queue in first if free <= ms(before)} for before in calls
    ]


def next_free(db: Database, calls: list[Claim]) -> list[datetime | None]:
    """See `Store.next_free`."""
    answers = []
    for call in calls:
        found = [one(db, NEXT, place) for place in _places(db, call)]
        coming = (at for at in found if at is not None and at < FOR_GOOD)
        answers.append(instant(min(coming, default=None)))
    return answers


def _claim(db: Database, call: Claim) -> list[Job]:
    places = sorted(_places(db, call), key=_priority, reverse=True)
    if call.limits:
        return _limits.claim(db, call, lambda limit: _found(db, places, ms(call.now), limit))
    return start(db, call, _found(db, places, ms(call.now), call.limit))


def _found(db: Database, places: Sequence[Place], now: int, limit: int) -> list[Job]:
    found: list[Job] = []
    for _, level in groupby(places, key=_priority):
        if len(found) == limit:
            break
        found += _due(db, list(level), now, limit - len(found))
    return found


def _due(db: Database, level: Sequence[Place], now: int, limit: int) -> Iterable[Job]:
    """The jobs of these places, which have one priority, that were free first."""
    if len(level) == 1:
        return read(db, DUE_ROWS, (*level[0], now, limit))
    free = [pair for place in level for pair in decode(one(db, DUE_IDS, (*place, now, limit)))]
    first = by_id(db, [job_id for _, job_id in sorted(free)[:limit]])
    return sorted(first, key=lambda job: (job.free_at, job.id))


def _places(db: Database, call: Claim) -> list[Place]:
    return [
        (queue, priority, task)
        for queue, priority, task in decode(one(db, PLACES))
        if task in call.tasks and (call.queues is None or queue in call.queues)
    ]


def _priority(place: Place) -> int:
    return place[1]

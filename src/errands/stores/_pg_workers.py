"""What is asked of the PostgreSQL store about workers: one row each, to a day after its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from .._heartbeat import Heartbeat
from ._pg_link import Session
from ._rows import as_json, decode, instant, ms

COLUMNS = (
    "worker", "host", "pid", "queues", "slots", "running", "version", "started_at", "seen_at",
    "gone_at",
)  # fmt: skip  # as they stand in a row
TABLE = """
create table errands_workers (
    worker text collate "C" primary key, host text not null, pid bigint not null, queues text,
    slots bigint not null, running bigint not null, version text not null,
    started_at bigint not null, seen_at bigint not null, gone_at bigint
);
"""
BEAT = f"""
insert into errands_workers values ({", ".join(f"%({name})s" for name in COLUMNS)})
on conflict (worker) do update
set {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])}
"""
WORKERS = f"select {', '.join(COLUMNS)} from errands_workers order by started_at desc, worker desc"
BURY = """
update errands_workers set running = 0, gone_at = %(now)s
where worker = any(%(gone)s::text[]) and gone_at is null
"""
PRUNE = """
delete from errands_workers where coalesce(gone_at, seen_at) < %(before)s returning worker
"""


async def beat(session: Session, beats: list[Heartbeat]) -> list[None]:
    """See `Store.beat`."""
    for each in beats:
        await session.rows(BEAT, dict(zip(COLUMNS, _row(each), strict=True)))
    return [None] * len(beats)


async def workers(session: Session, calls: list[None]) -> list[list[Heartbeat]]:
    """See `Store.workers`."""
    found = [_heartbeat(row) for row in await session.rows(WORKERS)]
    return [found for _ in calls]


async def bury(session: Session, calls: list[tuple[list[str], datetime]]) -> list[None]:
    """Mark workers that died, unless they had said good-bye."""
    for gone, now in calls:
        await session.rows(BURY, {"gone": gone, "now": ms(now)})
    return [None] * len(calls)


async def prune_workers(session: Session, instants: list[datetime]) -> list[int]:
    """See `Store.prune_workers`."""
    return [len(await session.rows(PRUNE, {"before": ms(before)})) for before in instants]


def _row(beat: Heartbeat) -> Sequence[str | int | None]:
    queues = None if beat.queues is None else as_json(beat.queues)
    return (
        beat.worker, beat.host, beat.pid, queues, beat.slots, beat.running, beat.version,
        ms(beat.started_at), ms(beat.seen_at), ms(beat.gone_at),
    )  # fmt: skip  # in the order of `COLUMNS`


def _heartbeat(row: Sequence[Any]) -> Heartbeat:
    (worker, host, pid, queues, slots, running, version, started_at, seen_at, gone_at) = row
    return Heartbeat(
        worker=worker,
        host=host,
        pid=pid,
        queues=None if queues is None else tuple(decode(queues)),
        slots=slots,
        running=running,
        version=version,
        started_at=_at(started_at),
        seen_at=_at(seen_at),
        gone_at=instant(gone_at),
    )


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

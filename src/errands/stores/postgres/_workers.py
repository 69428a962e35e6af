"""What the PostgreSQL store is told of workers: one row each, from its start to a day after."""

from __future__ import annotations

from datetime import datetime

from ..._heartbeat import Heartbeat
from ..._store import Claim
from .. import _beats
from .._beats import COLUMNS, heartbeat_of, row_of
from .._rows import ms
from ._link import Session

NAMES = ", ".join(COLUMNS)
BEAT = f"""
insert into errands_workers ({NAMES}) values ({", ".join(f"%({name})s" for name in COLUMNS)})
on conflict (worker) do update set {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])}
"""
WORKERS = f"select {NAMES} from errands_workers order by started_at desc, worker desc"
PRUNE = "delete from errands_workers where coalesce(gone_at, seen_at) < %(before)s returning worker"


async def beat(session: Session, beats: list[Heartbeat]) -> list[None]:
    """See `Store.beat`."""
    for each in beats:
        await session.rows(BEAT, dict(zip(COLUMNS, row_of(each), strict=True)))
    return [None] * len(beats)


async def workers(session: Session, calls: list[None]) -> list[list[Heartbeat]]:
    """See `Store.workers`."""
    found = await _workers(session)
    return [found for _ in calls]


async def served(session: Session, call: Claim) -> frozenset[str] | None:
    """The queues that somebody works for; `None` for all."""
    return None if call.queues is None else _beats.served(call, await _workers(session))


async def prune_workers(session: Session, instants: list[datetime]) -> list[int]:
    """See `Store.prune_workers`."""
    return [len(await session.rows(PRUNE, {"before": ms(before)})) for before in instants]


async def _workers(session: Session) -> list[Heartbeat]:
    return [heartbeat_of(row) for row in await session.rows(WORKERS)]

"""What the PostgreSQL store is told about what operators ask of the workers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..._order import Order, OrderKind
from .._rows import instant, ms
from ._link import Session

COLUMNS = ("kind", "name", "value", "since")
TABLE = """
create table errands_orders (
    kind text collate "C" not null, name text collate "C" not null, value bigint,
    since bigint not null, primary key (kind, name)
);
"""
ALL = f"select {', '.join(COLUMNS)} from errands_orders order by kind, name"
PUT = """
insert into errands_orders (kind, name, value, since)
values (%(kind)s, %(name)s, %(value)s, %(since)s)
on conflict (kind, name) do update set value = excluded.value, since = excluded.since
"""
REMOVE = "delete from errands_orders where kind = %(kind)s and name = %(name)s"
CANCEL = """
update errands_jobs set is_cancelling = 1
where state = 'running' and id = any(%(ids)s::text[]) returning id
"""
ASKED = """
select id from errands_jobs
where is_cancelling = 1 and state = 'running' and worker = %(worker)s
"""


async def request_cancel(session: Session, calls: list[Collection[str]]) -> list[set[str]]:
    """See `Store.request_cancel`."""
    return [
        {job_id for (job_id,) in await session.rows(CANCEL, {"ids": sorted(ids)})} for ids in calls
    ]


async def cancelling(session: Session, workers: list[str]) -> list[set[str]]:
    """See `Store.cancelling`."""
    return [
        {job_id for (job_id,) in await session.rows(ASKED, {"worker": worker})}
        for worker in workers
    ]


async def orders(session: Session, calls: list[None]) -> list[list[Order]]:
    """See `Store.orders`."""
    rows = await session.rows(ALL)
    found = [Order(kind=k, name=n, value=v, since=instant(since)) for k, n, v, since in rows]
    return [found for _ in calls]


async def put(session: Session, calls: list[Sequence[Order]]) -> list[None]:
    """See `Store.put_orders`."""
    for order in (each for call in calls for each in call):
        values = {"kind": order.kind, "name": order.name, "value": order.value}
        await session.rows(PUT, values | {"since": ms(order.since)})
    return [None] * len(calls)


async def remove(session: Session, calls: list[Collection[tuple[OrderKind, str]]]) -> list[None]:
    """See `Store.remove_orders`."""
    for kind, name in (each for call in calls for each in call):
        await session.rows(REMOVE, {"kind": kind, "name": name})
    return [None] * len(calls)

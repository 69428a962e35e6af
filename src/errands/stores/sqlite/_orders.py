"""The statements of the SQLite store about what operators ask of the workers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..._order import Order, OrderKind
from .._rows import as_json, instant, ms
from ._database import Database
from ._reading import many

COLUMNS = ("kind", "name", "value", "since")
NAME = "errands_orders"
TABLE = f"""
create table if not exists {NAME} (
    kind text not null, name text not null, value integer, since integer not null,
    primary key (kind, name)
) without rowid;
"""
CANCEL = """
update errands_jobs set is_cancelling = 1
where state = 'running' and id in (select value from json_each(?))
"""
ASKED = "is_cancelling and state = 'running'"


def request_cancel(db: Database, calls: list[Collection[str]]) -> list[set[str]]:
    """See `Store.request_cancel`."""
    answers = []
    for ids in calls:
        wanted = as_json(ids)
        db.execute(CANCEL, (wanted,))
        sql = (
            f"select id from errands_jobs where {ASKED} and id in (select value from json_each(?))"
        )
        answers.append(set(many(db, sql, (wanted,))))
    return answers


def cancelling(db: Database, workers: list[str]) -> list[set[str]]:
    """See `Store.cancelling`."""
    sql = f"select id from errands_jobs where {ASKED} and worker = ?"
    return [set(many(db, sql, (worker,))) for worker in workers]


def orders(db: Database, calls: list[None]) -> list[list[Order]]:
    """See `Store.orders`."""
    sql = f"select {', '.join(COLUMNS)} from {NAME} order by kind, name"
    rows = db.execute(sql).fetchall()
    found = [Order(kind=k, name=n, value=v, since=instant(since)) for k, n, v, since in rows]
    return [found for _ in calls]


def put(db: Database, calls: list[Sequence[Order]]) -> list[None]:
    """See `Store.put_orders`."""
    for order in (each for call in calls for each in call):
        row = (order.kind, order.name, order.value, ms(order.since))
        db.execute(f"insert or replace into {NAME} values (?, ?, ?, ?)", row)
    return [None] * len(calls)


def remove(db: Database, calls: list[Collection[tuple[OrderKind, str]]]) -> list[None]:
    """See `Store.remove_orders`."""
    for kind, name in (each for call in calls for each in call):
        db.execute(f"delete from {NAME} where kind = ? and name = ?", (kind, name))
    return [None] * len(calls)

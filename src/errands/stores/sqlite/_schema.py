"""The tables of the SQLite store: made, upgraded, and known from others of their name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import NotAStore, SchemaTooNew
from .. import _rates
from .._beats import COLUMNS as BEATS
from .._plans import COLUMNS as PLANS
from .._plans import NAME as SCHEDULES
from .._rows import COLUMNS, FINISHED, UNFINISHED
from .._tallies import COLUMNS as TALLIED
from .._tallies import NAME as HISTORY
from . import _groups, _history, _limits, _orders, _schedules, _waiting, _workers
from ._database import Database
from ._reading import many, one

VERSION = 6  # of the tables below; a change adds a step to `UPGRADES`

FREE = f"""
create index errands_free on errands_jobs (queue, priority, task, free_at) where {UNFINISHED};
"""
ENDED_BADLY = "state in ('failed', 'cancelled')"
BAD = f"create index errands_bad on errands_jobs (state, id) where {ENDED_BADLY};"
LATER = (  # columns that older versions did not have
    "group_name text", "waits_for text", "runs_anyway integer", "concurrency_key text",
    "rate_key text", "is_cancelling integer", "blocked_by text",
)  # fmt: skip  # a row
TABLES = f"""
create table errands_meta (name text primary key, value) without rowid;
create table errands_jobs (
    id text primary key, task text not null, payload text not null, queue text not null,
    priority integer not null, key text, added_at integer not null, due_at integer not null,
    free_at integer not null, state text not null, attempt integer not null, worker text,
    started_at integer, finished_at integer, result text, progress text, history text,
    version integer not null, {", ".join(LATER)}) without rowid;
{FREE}
create unique index errands_key on errands_jobs (key) where key is not null and {UNFINISHED};
create index errands_held on errands_jobs (worker) where state = 'running';
create index errands_finished on errands_jobs (finished_at) where {FINISHED};
{BAD}
{_groups.TABLE}
{_waiting.TABLE}
{_limits.INDEXES}
{_limits.TABLE}
{_workers.TABLE}
{_schedules.TABLE}
{_orders.TABLE}
{_history.TABLE}
insert into errands_meta values ('schema', {VERSION});
"""
OURS = ("errands_meta", "errands_jobs")
UPGRADES: Mapping[int, str] = {  # from this version to the next
    1: f"{_workers.TABLE} drop index if exists errands_free; {FREE}",  # at first without tasks
    2: _schedules.TABLE,
    3: "".join(f"alter table errands_jobs add column {each};" for each in LATER)
    + f"{_groups.TABLE} {_waiting.TABLE} {_orders.TABLE}"
    + f"{_history.TABLE} {_limits.INDEXES} {_limits.TABLE} {BAD}",
    4: _workers.AGAIN,
    5: _workers.AGAIN,  # at first without what services log
}


def prepare(db: Database, paths: list[str]) -> list[None]:
    """Make the tables, or upgrade those that an older version made.

    Raises:
        SchemaTooNew: if a newer version made them.
        NotAStore: if a table has one of our names and is not ours.
    """
    found = version_of(db, paths[0])
    if found is None:
        db.execute(TABLES)
        found = VERSION
    for version in range(found, VERSION):
        db.execute(UPGRADES[version])
        db.execute("update errands_meta set value = ? where name = 'schema'", (version + 1,))
    _require(db, paths[0], OURS[1], COLUMNS)
    _require(db, paths[0], _workers.NAME, BEATS)
    _require(db, paths[0], SCHEDULES, PLANS)
    _require(db, paths[0], _orders.NAME, _orders.COLUMNS)
    _require(db, paths[0], "errands_waits", ("parent", "child", "is_over"))
    _require(db, paths[0], HISTORY, TALLIED)
    _require(db, paths[0], _rates.NAME, _rates.COLUMNS)
    return [None] * len(paths)


def version_of(db: Database, path: str) -> int | None:
    """The version of the tables that are there, `None` if there are none.

    Raises:
        SchemaTooNew: if a newer version made them.
        NotAStore: if a table has one of our names and is not ours.
    """
    if not set(many(db, "select name from sqlite_schema where name in (?, ?)", OURS)):
        return None
    _require(db, path, OURS[0], ("name", "value"))
    found = one(db, "select value from errands_meta where name = 'schema'")
    if not isinstance(found, int):
        raise NotAStore(f"{path}: errands_meta says nothing of a schema. Name another file.")
    if found > VERSION:
        raise SchemaTooNew(
            f"{path} has schema {found}, and this version of Errands knows {VERSION}: "
            "install the version that wrote it, or a newer one."
        )
    _require(db, path, OURS[1], ("id", "version"))  # as every version has them
    return found


def _require(db: Database, path: str, table: str, columns: Sequence[str]) -> None:
    if not set(columns) <= set(many(db, "select name from pragma_table_info(?)", (table,))):
        raise NotAStore(f"{path}: its {table} was not made by Errands. Name another file.")

"""The tables of the PostgreSQL store: made, upgraded, and known from others of their name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import errors, sql

from ...errors import NotAStore, SchemaTooNew, SetupError, StoreUnavailable
from .._beats import COLUMNS as BEATS
from .._plans import COLUMNS as PLANS
from .._rates import COLUMNS as RATES
from .._rows import COLUMNS, FINISHED, UNFINISHED
from .._tallies import COLUMNS as TALLIED
from ._groups import TABLE as GROUPS
from ._history import TABLE as HISTORY
from ._link import Row, Session
from ._orders import COLUMNS as ORDERED
from ._orders import TABLE as ORDERS
from ._waiting import TABLE as WAITS

OLDEST_SERVER = 13
VERSION = 5  # of the tables below; a change adds a step to `UPGRADES`
# The oldest version of this code whose statements still work on these tables. An upgrade that
# only adds leaves it, so that old processes may start anew while a deployment is under way.
WORKS_SINCE = 1

SCHEDULES = """
create table errands_schedules (
    name text collate "C" primary key, task text not null, spec text not null,
    payload text not null, declared text, is_paused bigint not null, is_removed bigint not null,
    last_tick bigint, next_tick bigint, known_at bigint not null, known_by text not null,
    version bigint not null
);
"""
LATER_COLUMNS = (  # that older versions did not have
    'group_name text collate "C"', "waits_for text", "runs_anyway bigint",
    'concurrency_key text collate "C"', 'rate_key text collate "C"', "is_cancelling bigint",
    'blocked_by text collate "C"',
)  # fmt: skip  # a row
BAD = """
create index errands_bad on errands_jobs (state, id) where state in ('failed', 'cancelled');
"""
LIMITS = """
create index errands_limited on errands_jobs (concurrency_key)
    where concurrency_key is not null and state = 'running';
create index errands_blocked on errands_jobs (blocked_by, priority desc, due_at, id)
    where blocked_by is not null;
create table errands_rates (
    key text collate "C" primary key, taken text not null, over bigint not null
);
"""
# Text sorts by its bytes, as in the other stores. Every job is written three times, so that the
# dead rows are to be swept soon, and a busy table is not to wait for a fifth of it to change.
TABLES = f"""
create table errands_meta (name text primary key, value bigint not null);
create table errands_enlisted (worker text collate "C" primary key);
create table errands_jobs (
    id text collate "C" primary key, task text collate "C" not null, payload text not null,
    queue text collate "C" not null, priority bigint not null, key text collate "C",
    added_at bigint not null, due_at bigint not null, free_at bigint not null,
    state text collate "C" not null, attempt bigint not null, worker text collate "C",
    started_at bigint, finished_at bigint, result text, progress text, history text,
    version bigint not null, {", ".join(LATER_COLUMNS)}
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create index errands_free on errands_jobs (queue, task, priority, free_at, id)
    where {UNFINISHED};
create unique index errands_key on errands_jobs (key) where key is not null and {UNFINISHED};
create index errands_held on errands_jobs (worker) where state = 'running';
create index errands_finished on errands_jobs (finished_at) where {FINISHED};
create table errands_workers (
    worker text collate "C" primary key, host text not null, pid bigint not null, queues text,
    slots bigint not null, running bigint not null, version text not null,
    started_at bigint not null, seen_at bigint not null, gone_at bigint, tasks text,
    processes text, log text
);
{BAD}
{GROUPS}
{LIMITS}
{WAITS}
{SCHEDULES}
{ORDERS}
{HISTORY}
insert into errands_meta values ('schema', {VERSION}), ('works_since', {WORKS_SINCE});
"""
LATER_BEATS = {"tasks", "processes", "log"}  # as above, of workers
NEW = {column.split()[0] for column in LATER_COLUMNS}
OURS: Mapping[str, Sequence[str]] = {
    "errands_meta": ("name", "value"),
    "errands_enlisted": ("worker",),
    "errands_jobs": [name for name in COLUMNS if name not in NEW],
    "errands_workers": [name for name in BEATS if name not in LATER_BEATS],
    "errands_schedules": PLANS,
    "errands_orders": ORDERED,
    "errands_waits": ("parent", "child", "is_over"),
    "errands_history": TALLIED,
    "errands_rates": RATES,
}
LATER = (
    "errands_schedules",
    "errands_orders",
    "errands_waits",
    "errands_history",
    "errands_rates",
)  # tables that older versions did not have
UPGRADES: Mapping[int, str] = {  # from this version to the next
    1: SCHEDULES,
    2: "".join(f"alter table errands_jobs add column {each};" for each in LATER_COLUMNS)
    + f"{GROUPS} {WAITS} {ORDERS} alter table errands_workers add column tasks text; {HISTORY}"
    + f"{LIMITS} {BAD}",
    3: "alter table errands_workers add column processes text;",
    4: "alter table errands_workers add column log text;",
}

LOCK = "select pg_advisory_xact_lock(hashtextextended(%(name)s, 0))"
THERE = """
select table_name::text, array_agg(column_name::text) from information_schema.columns
where table_schema = %(schema)s and table_name like 'errands\\_%%' group by table_name
"""


async def schema_of(connection: psycopg.AsyncConnection[Row], wanted: str | None) -> str:
    """The schema where the tables are, or are to be.

    Raises:
        SetupError: if the server is too old, or its database does not keep Unicode.
        StoreUnavailable: if the user has no schema there.
    """
    info = connection.info
    if info.server_version < OLDEST_SERVER * 10_000:
        raise SetupError(
            f"{info.host} runs PostgreSQL {info.server_version // 10_000}, "
            f"and Errands needs {OLDEST_SERVER} or newer: upgrade it"
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SetupError(
            f"the database {info.dbname!r} is encoded in {encoding}: "
            "name one that was made with `create database … encoding 'UTF8' template template0`"
        )
    if wanted is not None:
        return wanted
    cursor = await connection.execute("select current_schema()::text")
    [[found]] = await cursor.fetchall()
    if found is None:
        raise StoreUnavailable(
            f"the user {info.user!r} has no schema in the database {info.dbname!r}: "
            "name one, `?schema=errands`, that it may use or create"
        )
    return str(found)


async def prepare(session: Session, schema: str, shown: str) -> None:
    """Make the tables, or upgrade those that an older version made.

    Raises:
        SchemaTooNew: if a newer version made them, and this one cannot use them.
        NotAStore: if a table has one of our names and is not ours.
    """
    if await _is_ready(session, schema, shown):  # without any right to make tables
        return
    async with session.transaction():  # one process at a time; the others find them made
        await session.rows(LOCK, {"name": f"errands.{schema}"})
        if await _is_ready(session, schema, shown):
            return
        found = await version_of(session, schema, shown)
        if found is None:
            await _create_schema(session, schema)
            await _execute(session, TABLES)
            return
        for version in range(found, VERSION):
            await _execute(session, UPGRADES[version])
        await session.rows(
            "update errands_meta set value = %(value)s where name = 'schema'", {"value": VERSION}
        )


async def _is_ready(session: Session, schema: str, shown: str) -> bool:
    found = await version_of(session, schema, shown)
    return found is not None and found >= VERSION


async def version_of(session: Session, schema: str, shown: str) -> int | None:
    """The version of the tables that are there, `None` if there are none.

    Raises:
        SchemaTooNew: if a newer version made them, and this one cannot use them.
        NotAStore: if a table has one of our names and is not ours.
    """
    there = {str(name): set(columns) for name, columns in await _there(session, schema)}
    if not set(there) & set(OURS):
        return None
    owed = {name: set(each) for name, each in OURS.items() if name in there or name not in LATER}
    strange = [name for name, columns in owed.items() if not columns <= there.get(name, set())]
    if strange:
        raise NotAStore(
            f"{shown}: {strange[0]} in the schema {schema!r} was not made by Errands, or not by "
            "it alone. Name another schema: ?schema=errands"
        )
    meta: dict[str, int] = dict(await session.rows("select name, value from errands_meta"))
    found, since = meta.get("schema"), meta.get("works_since")
    if found is None or since is None:
        raise NotAStore(
            f"{shown}: errands_meta says nothing of a schema. Name another one: ?schema=errands"
        )
    if since > VERSION:
        raise SchemaTooNew(
            f"{shown} has schema {found}, and this version of Errands knows {VERSION}: "
            "install the version that wrote it, or a newer one."
        )
    return found


async def _there(session: Session, schema: str) -> list[Row]:
    return await session.rows(THERE, {"schema": schema})


async def _create_schema(session: Session, schema: str) -> None:
    if await session.rows("select 1 from pg_namespace where nspname = %(n)s", {"n": schema}):
        return
    await session.connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))


async def _execute(session: Session, statements: str) -> None:
    try:
        for statement in filter(str.strip, statements.split(";")):
            await session.rows(statement)
    except errors.DuplicateTable as error:
        raise NotAStore(f"{error}: another index or view has its name") from error

"""What only the PostgreSQL store does on its own: its URL, its tables, its errors, its plans."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from due_jobs import NOW, job
from postgres_server import PostgresServer

from errands import Claim, Errands, Limit, Limits, Query, State
from errands.errors import NotAStore, SchemaTooNew, SetupError, StoreUnavailable
from errands.stores import store_at
from errands.stores.postgres import PostgresStore, _link, _schema, _statements

LEASE = timedelta(seconds=60)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(postgres_url) as store:
        yield store


def a_claim(**fields: Any) -> Claim:
    common: dict[str, Any] = {
        "worker": "w", "queues": None, "tasks": ["t"], "limit": 10, "now": NOW, "lease": LEASE,
    }  # fmt: skip  # a row
    return Claim(**common | fields)


def schema_in(url: str) -> str:
    return url.partition("schema=")[2]


# The URL


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:geheim@h/d?colour=red", "unknown option 'colour'"),
        ("postgresql://u:geheim@h/d?pooler=session", "pooler is transaction, got 'session'"),
        ("postgresql://u:geheim@h/d?schema=", "1 to 63 bytes"),
        ("postgresql://u:geheim@h/d?schema=" + "x" * 64, "1 to 63 bytes"),
        ("postgresql://u:geheim%zz@h/d", "%40"),
        ("postgresql://u:geh@eim%zz@h/d", "%40"),
        ("postgres:u:geheim@h/d", "postgresql://user:password@host:5432/database"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused(url: str, words: str) -> None:
    """The message says what to write, and does not tell the password."""
    with pytest.raises(ValueError, match="postgres") as refusal:
        Errands(url)

    told = "".join(traceback.format_exception(refusal.value))
    assert words in str(refusal.value)
    assert ("geheim" in told, "eim%" in told) == (False, False)


@pytest.mark.parametrize("url", ["postgress://u:geheim@h/d", "pg://u:geheim@h/d"])
def test_a_scheme_that_there_is_not_tells_no_password(url: str) -> None:
    """Also of a URL that no store can read."""
    with pytest.raises(ValueError, match="postgresql:") as refusal:
        Errands(url)

    assert "geheim" not in str(refusal.value)


def test_a_store_shows_no_password() -> None:
    """Where it is printed, or its parts are."""
    store = PostgresStore("postgres://u:geheim@h:5432/d?schema=s&sslmode=require")

    assert "<PostgresStore postgres://u@h:5432/d?schema=s>" == repr(store)
    assert "geheim" not in repr(store._address)


def test_a_driver_that_is_missing_is_named() -> None:
    """With what to install."""
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from errands import Errands, errors\n"
        "try: Errands('postgresql:///d')\n"
        "except errors.SetupError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'errands[postgres]'" in done.stdout


def test_a_driver_without_its_library_asks_for_that() -> None:
    """The extra is there, and to install it again would change nothing."""
    program = (
        "from errands import Errands, errors\n"
        "try: Errands('postgresql:///d')\n"
        "except errors.SetupError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PSYCOPG_IMPL": "nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'psycopg[binary]'" in done.stdout
    assert 1 == len(done.stdout.splitlines())


# The server


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """And the message names it."""
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1/d.*refused\. See that"):
        await PostgresStore("postgresql://u:geheim@127.0.0.1:1/d").__aenter__()


async def test_a_wrong_password_is_told_as_such(postgres: PostgresServer) -> None:
    """And is not told itself, wherever it is printed."""
    url = postgres.url.replace("secret", "geheim")
    with pytest.raises(StoreUnavailable, match="Correct the user or the password") as refusal:
        await PostgresStore(url).__aenter__()

    assert "geheim" not in "".join(traceback.format_exception(refusal.value))


async def test_a_database_that_is_missing_is_told_as_such(postgres: PostgresServer) -> None:
    with pytest.raises(StoreUnavailable, match="Create the database"):
        await PostgresStore(postgres.url + "none").__aenter__()


async def test_a_database_that_keeps_no_unicode_is_refused(postgres: PostgresServer) -> None:
    """Arguments would come back as something else, or not at all."""
    name = f"latin_{uuid4().hex}"
    postgres.execute(f"create database {name} encoding 'LATIN1' template template0")
    with pytest.raises(SetupError, match="LATIN1"):
        await PostgresStore(postgres.url.removesuffix("postgres") + name).__aenter__()


# The tables


async def test_jobs_outlive_the_store(postgres_url: str) -> None:
    """A second one finds what the first has kept."""
    first = job()
    async with store_at(postgres_url) as one:
        await one.add([first])
    async with store_at(postgres_url.replace("postgresql:", "postgres:")) as two:
        assert [first] == await two.find(Query())


async def test_many_may_open_a_new_store_at_once(postgres_url: str) -> None:
    """One makes the tables, the others find them."""
    stores = [PostgresStore(postgres_url) for _ in range(8)]
    await asyncio.gather(*(store.__aenter__() for store in stores))
    await asyncio.gather(*(store.add([job()]) for store in stores))
    found = await stores[0].find(Query())
    await asyncio.gather(*(store.__aexit__() for store in stores))

    assert 8 == len(found)


async def test_a_schema_may_have_any_name(postgres: PostgresServer) -> None:
    """Quoted where a URL needs it."""
    name = f'A "b" 100% ü {uuid4().hex}'
    url = f"{postgres.url}?schema={name.replace('%', '%25').replace(' ', '%20')}"
    async with PostgresStore(url) as store:
        assert [] == await store.find(Query())
        await store.add([each := job()])
        assert [each.id] == [found.id for found in await store.claim(a_claim())]
        assert {each.id} == await asyncio.to_thread(store.extend, [each.id], "w", NOW)

    names = postgres.execute("select nspname::text from pg_namespace")
    assert (name,) in names


async def test_a_user_who_may_make_nothing_uses_what_is_there(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """Who has no rights at all is told which are missing; who may use the tables uses them."""
    async with PostgresStore(postgres_url):
        pass
    user, schema = f"u{uuid4().hex}", schema_in(postgres_url)
    postgres.execute(f"create role {user} login password 'secret'")
    url = postgres_url.replace("postgres:secret", f"{user}:secret")

    with pytest.raises(StoreUnavailable, match="Grant this user what is missing"):
        await PostgresStore(url).__aenter__()
    with pytest.raises(StoreUnavailable, match="Grant this user what is missing"):
        await PostgresStore(url + "_new").__aenter__()
    postgres.execute(f"grant usage on schema {schema} to {user}")
    postgres.execute(f"grant all on all tables in schema {schema} to {user}")
    async with PostgresStore(url) as store:
        await store.add([job()])
        await store.enlist("w")
        assert 1 == len(await store.claim(a_claim()))


async def test_tables_are_where_new_tables_of_the_user_are(postgres: PostgresServer) -> None:
    """Without `?schema=`; and who has no such place is told what to write."""
    user = f"u{uuid4().hex}"
    postgres.execute(f"create role {user} login password 'secret'")
    url = postgres.url.replace("postgres:secret", f"{user}:secret")
    postgres.execute(f"alter role {user} set search_path = {user}")
    with pytest.raises(StoreUnavailable, match=r"\?schema=errands"):
        await PostgresStore(url).__aenter__()

    postgres.execute(f"create schema {user} authorization {user}")
    async with PostgresStore(url) as store:
        await store.add([job()])
    assert [(1,)] == postgres.execute(f"select count(*) from {user}.errands_jobs")


async def test_tables_of_version_1_become_those_of_today(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """What they hold is kept, and a process of the old version may still use them."""
    schema, first = schema_in(postgres_url), job()
    async with PostgresStore(postgres_url) as store:
        await store.add([first])
    later = ", ".join(f"{schema}.{table}" for table in _schema.LATER)
    postgres.execute(f"drop table {later}")
    for column in ("tasks", "processes", "log"):
        postgres.execute(f"alter table {schema}.errands_workers drop column {column}")
    postgres.execute(f"drop index {schema}.errands_bad")
    for column in (*_schema.NEW, "is_awaited"):
        postgres.execute(f"alter table {schema}.errands_jobs drop column {column}")
    postgres.execute(f"update {schema}.errands_meta set value = 1 where name = 'schema'")

    async with PostgresStore(postgres_url) as store:
        assert first == await store.get(first.id)
        assert [] == await store.schedules()
    assert [("schema", 5), ("works_since", 1)] == postgres.execute(
        f"select name, value from {schema}.errands_meta order by name"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "create table {}.errands_jobs (id text)",
        "create table {}.errands_meta (name text)",
        "create table {}.errands_enlisted (name text)",
        "create table {}.errands_workers (name text)",
        "create table {}.errands_schedules (name text)",
    ],
)
async def test_a_foreign_table_of_our_name_is_left_alone(
    postgres: PostgresServer, postgres_url: str, sql: str
) -> None:
    """And the message says what to write instead."""
    schema = schema_in(postgres_url)
    postgres.execute(f"create schema {schema}")
    postgres.execute(sql.format(schema))

    with pytest.raises(NotAStore, match=r"\?schema=errands"):
        await PostgresStore(postgres_url).__aenter__()


async def test_a_newer_schema_is_used_as_long_as_it_works(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """So that old processes may start while a deployment is under way; and no longer."""
    async with PostgresStore(postgres_url) as store:
        await store.add([job()])
    meta = f"{schema_in(postgres_url)}.errands_meta"
    postgres.execute(f"update {meta} set value = 99 where name = 'schema'")
    async with PostgresStore(postgres_url) as store:
        assert 1 == len(await store.claim(a_claim()))

    assert [(99,)] == postgres.execute(f"select value from {meta} where name = 'schema'")
    postgres.execute(f"update {meta} set value = 98 where name = 'works_since'")
    with pytest.raises(SchemaTooNew, match="has schema 99"):
        await PostgresStore(postgres_url).__aenter__()


async def test_a_store_whose_tables_vanish_is_unavailable(
    postgres: PostgresServer, store: PostgresStore, postgres_url: str
) -> None:
    """And says so; nothing that was acknowledged seems to be there."""
    await store.add([job()])
    postgres.execute(f"drop schema {schema_in(postgres_url)} cascade")

    with pytest.raises(StoreUnavailable, match="tables are gone"):
        await store.add([job()])


# Calls


async def test_one_call_of_a_group_may_fail_alone(store: PostgresStore) -> None:
    """A key that PostgreSQL cannot keep spoils nobody else's addition."""
    good = [job() for _ in range(3)]
    answers = await asyncio.gather(
        *(store.add([each]) for each in (good[0], job(key="a\0b"), *good[1:])),
        return_exceptions=True,
    )

    assert isinstance(answers[1], ValueError)
    assert sorted(each.id for each in good) == sorted(each.id for each in await store.find(Query()))


async def test_who_asks_for_what_cannot_be_there_finds_nothing(store: PostgresStore) -> None:
    """The character that PostgreSQL does not keep is in no id, and in no argument."""
    await store.add([job()])

    assert None is await store.get("\0")
    assert [] == await store.find(Query(text="\0"))


async def test_a_caller_who_gave_up_spoils_nothing(store: PostgresStore) -> None:
    """The others of the batch get their answers."""
    given_up = asyncio.ensure_future(store.add([job()]))
    other = asyncio.ensure_future(store.add([job()]))
    await asyncio.sleep(0)
    given_up.cancel()

    assert 1 == len(await other)
    assert 1 == len(await store.claim(a_claim(limit=1)))


async def test_what_was_asked_before_closing_is_done(postgres_url: str) -> None:
    """Closing waits for it."""
    store = await PostgresStore(postgres_url).__aenter__()
    adding = [asyncio.ensure_future(store.add([job()])) for _ in range(50)]
    await asyncio.sleep(0)
    await store.__aexit__()

    assert 50 == len([await each for each in adding])
    async with PostgresStore(postgres_url) as again:
        assert {("default", State.QUEUED): 50} == await again.count()


async def test_many_big_jobs_are_added_as_a_whole(store: PostgresStore) -> None:
    """In several statements, of which the last fails: nothing is kept."""
    big = [job(payload='"' + "x" * 2**20 + '"') for _ in range(12)]
    assert 12 == len(await store.add(big))

    more = [*(job(payload=big[0].payload, key=f"k{n}") for n in range(12)), job(key="z\0")]
    with pytest.raises(ValueError, match="NUL"):
        await store.add(more)
    assert {("default", State.QUEUED): 12} == await store.count()


async def test_two_versions_of_a_job_are_saved_in_one_batch(store: PostgresStore) -> None:
    """Each follows the one before."""
    await store.add([job()])
    [running] = await store.claim(a_claim())
    again = running.failed("no", NOW, 0)
    ended = again.cancelled(NOW)
    answers = await asyncio.gather(store.save([again]), store.save([ended]))

    assert [{running.id}, {running.id}] == list(answers)
    assert ended == await store.get(running.id)


async def test_a_job_that_is_lost_often_is_what_the_transition_says(store: PostgresStore) -> None:
    """Its history is written by the server, and forgets the oldest attempts as `Job` does."""
    error = 'Traceback: "quoted" ü \u2603 \\u0000 %s'
    await store.add([job()])
    [expected] = await store.claim(a_claim())
    expected = replace(expected.failed(error, NOW, 0))
    await store.save([expected])
    for number in range(25):
        now = NOW + number * 2 * LEASE
        worker = f'w"{number}'
        expected = expected.claimed(worker, now, LEASE)
        assert [expected] == await store.claim(a_claim(worker=worker, now=now))
        assert expected == await store.get(expected.id)


async def test_a_forked_child_may_not_use_its_parents_connections(store: PostgresStore) -> None:
    """It would speak in the midst of what the parent says."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # no test goes on here
        try:
            store.add([]).send(None)
        except SetupError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)

    assert b"was forked while" in os.read(reading, 1000)
    os.close(reading)


# Plans


@pytest.mark.parametrize("name", ["CLAIM", "NEXT", "UPDATE", "REMOVE", "REPORT"])
async def test_what_is_done_all_the_time_reads_no_table_from_end_to_end(
    store: PostgresStore, name: str
) -> None:
    """Not even one that the planner takes to be empty: it may be full when the plan is used."""
    values: dict[str, Any] = {
        "tasks": ["t"], "queues": None, "now": 1, "limit": 5, "worker": "w", "until": 2,
        "jobs": "[]",
    }  # fmt: skip  # a row

    async def explain(session: _link.Session, calls: list[Any]) -> list[Any]:
        rows = await session.rows("explain " + getattr(_statements, name), values)
        return ["\n".join(line for (line,) in rows) for _ in calls]

    plan = await store._claiming.call(explain, None)
    assert "Index" in plan
    assert "Seq Scan on errands_jobs" not in plan
    assert "Bitmap" not in plan
    if name in ("CLAIM", "NEXT"):
        assert "using errands_free" in plan


@pytest.mark.parametrize("name", ["CLAIM", "NEXT", "WAITING", "SINCE"])
async def test_the_entries_of_jobs_that_have_ended_are_passed_by_once(
    store: PostgresStore, name: str
) -> None:
    """Those of a queue that was drained, until the server has come by to sweep them."""
    for _ in range(3):
        await store.add([job() for _ in range(1000)])
        ended = [each.done(None, NOW) for each in await store.claim(a_claim(limit=1000))]
        await store.save(ended)
    await store.add([job()])
    values = _statements.wanted(a_claim()) | {"worker": "w", "before": 0}
    values["until"] = values["now"]  # it is as free as before, for the second look

    async def explain(session: _link.Session, calls: list[Any]) -> list[Any]:
        sql = "explain (analyze, buffers, format json) " + getattr(_statements, name)
        return [(await session.rows(sql, values))[0][0] for _ in range(2)][1:]

    [told] = await store._claiming.call(explain, None)
    pages = sorted(pages_of(told["Plan"]))
    assert 20 < pages[-1]
    assert pages[-2] < 20


def pages_of(plan: dict[str, Any]) -> list[int]:
    """How many pages each look at the index of free jobs has read."""
    pages = [plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]]
    inner = [each for part in plan.get("Plans", ()) for each in pages_of(part)]
    return [*pages, *inner] if plan.get("Index Name") == "errands_free" else inner


# Limits


async def test_a_claim_that_fails_midway_answers_with_what_it_has_taken(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that meets a full limit looks again; what it took before is committed, and starts."""
    monkeypatch.setitem(_link.COMMON, "lock_timeout", "100ms")
    limits = {"t": Limits(concurrency=Limit(1, per="c"))}
    one, two = job(concurrency_key="full", priority=1), job(concurrency_key="full", priority=1)
    three = job(concurrency_key="stuck")
    lock = "select pg_advisory_lock(hashtextextended('errands.limit:stuck', 0))"
    async with PostgresStore(postgres_url) as store:
        await store.add([one, two, three])
        async with await psycopg.AsyncConnection.connect(postgres_url.partition("?")[0]) as stopped:
            await stopped.execute(lock)
            claimed = await store.claim(a_claim(limits=limits, limit=2))
            with pytest.raises(StoreUnavailable, match="for too long"):
                await store.claim(a_claim(limits=limits, limit=2))
        later = await store.claim(a_claim(limits=limits, limit=2))

    assert [one.id] == [each.id for each in claimed]
    assert [three.id] == [each.id for each in later]

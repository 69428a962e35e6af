"""Connections that jobs cannot be added on, and what the user is told to do instead."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import apsw
import asyncpg
import psycopg
import pytest
import sqlalchemy
from postgres_server import PostgresServer
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from errands import Errands, Job
from errands.errors import UnfitConnection


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "app.db")


@pytest.fixture
async def errands(path: str) -> AsyncIterator[Errands]:
    """Whose jobs are in a file that the standard library opened."""
    async with Errands(f"sqlite:///{path}?driver=sqlite3") as errands:
        errands.task(print)
        yield errands


async def add(errands: Errands, connection: Any) -> Job:
    return await errands.options(connection=connection).add_task(print)


async def refusal(errands: Errands, connection: Any) -> str:
    """What is said of a connection; no job was added."""
    with pytest.raises(UnfitConnection) as refused:
        await add(errands, connection)
    assert [] == await errands.jobs()
    return str(refused.value)


@pytest.mark.parametrize("connection", [object(), "app.db", 5], ids=type)
async def test_what_is_no_connection_is_named(errands: Errands, connection: Any) -> None:
    """With the kinds that we know."""
    said = await refusal(errands, connection)

    assert f"is a builtins.{type(connection).__name__}, expected one of sqlite3.Connection" in said
    assert "fastlite.Database" in said
    assert "sqlalchemy.AsyncSession" in said


async def test_what_makes_connections_is_none(errands: Errands, path: str) -> None:
    """SQLAlchemy's engine, say."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    assert "sqlalchemy.engine.base.Engine, expected" in await refusal(errands, engine)


async def test_a_connection_that_commits_by_itself_is_refused(errands: Errands, path: str) -> None:
    """The message says to begin; then it is fine."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert "begin one first, or leave connection=… out" in await refusal(errands, db)

        db.execute("begin")
        job = await add(errands, db)
        db.execute("commit")
        assert job == await errands.job(job.id)


async def test_an_asynchronous_connection_that_commits_by_itself_is_refused(
    errands: Errands, path: str
) -> None:
    """As the plain one is."""
    async with aiosqlite.connect(path, isolation_level=None) as db:
        assert "begin one first" in await refusal(errands, db)


async def test_an_engine_that_commits_by_itself_is_refused(errands: Errands, path: str) -> None:
    """SQLAlchemy thinks that a transaction is open."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    with engine.begin() as connection:
        assert "begin one first" in await refusal(errands, connection)
    engine.dispose()


async def test_apsw_without_a_transaction_is_refused(path: str) -> None:
    """It commits each statement by itself."""
    async with Errands(f"sqlite:///{path}") as errands:
        errands.task(print)
        db = apsw.Connection(path)
        assert "begin one first" in await refusal(errands, db)
        db.close()


async def test_another_file_is_refused(errands: Errands, path: str, tmp_path: Path) -> None:
    """Both are named, and what to write."""
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        said = await refusal(errands, db)
    assert f"is open on {other}, and the jobs are in {path}" in said
    assert f"sqlite:///{other}" in said
    with closing(sqlite3.connect(":memory:")) as db:
        assert "is open on no file" in await refusal(errands, db)


async def test_the_same_file_by_another_path_is_fine(
    errands: Errands, path: str, tmp_path: Path
) -> None:
    """A file is told by what it is."""
    (tmp_path / "link.db").symlink_to(path)
    with closing(sqlite3.connect(tmp_path / "link.db")) as db:
        job = await add(errands, db)
        db.commit()
    assert job == await errands.job(job.id)


async def test_another_library_is_refused(errands: Errands, path: str) -> None:
    """Even to ask it for its file would break locks; the message says what to write."""
    db = apsw.Connection(":memory:")
    said = await refusal(errands, db)
    assert f"is of apsw, and the store opened {path} with sqlite3" in said
    assert "write ?driver=apsw behind the store's URL" in said


async def test_the_standard_library_is_refused_where_the_store_has_apsw(tmp_path: Path) -> None:
    """Also inside of SQLAlchemy and aiosqlite."""
    engine = sqlalchemy.create_engine("sqlite://")
    async with Errands(f"sqlite:///{tmp_path}/errands.db") as errands:
        errands.task(print)
        with closing(sqlite3.connect(":memory:")) as db:
            assert "write ?driver=sqlite3 behind" in await refusal(errands, db)
        async with aiosqlite.connect(":memory:") as there:
            assert "write ?driver=sqlite3 behind" in await refusal(errands, there)
        with engine.begin() as connection:
            assert "write ?driver=sqlite3 behind" in await refusal(errands, connection)
        with Session(engine) as session:
            assert "write ?driver=sqlite3 behind" in await refusal(errands, session)
    engine.dispose()


async def test_a_session_whose_transaction_failed_is_refused(errands: Errands, path: str) -> None:
    """The message says to roll back; then it is fine."""

    class Base(sqlalchemy.orm.DeclarativeBase):
        """The application's tables."""

    class Cat(Base):
        """One of them."""

        __tablename__ = "cats"
        name: sqlalchemy.orm.Mapped[str] = sqlalchemy.orm.mapped_column(primary_key=True)

    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(sqlalchemy.insert(Cat).values(name="Tom"))
        session.add(Cat(name="Tom"))
        with pytest.raises(IntegrityError):
            session.flush()
        assert "has failed: roll it back" in await refusal(errands, session)
        session.rollback()
        job = await add(errands, session)
        session.commit()
    engine.dispose()
    assert job == await errands.job(job.id)


async def test_memory_takes_part_in_no_transaction(path: str) -> None:
    """The message says where to keep the jobs instead."""
    async with Errands("memory:") as errands:
        errands.task(print)
        with closing(sqlite3.connect(path)) as db:
            said = await refusal(errands, db)
    assert "leave connection=… out, or keep them beside your tables" in said


async def test_the_tasks_of_a_request_are_in_no_transaction_of_its_own(errands: Errands) -> None:
    """They are stored at its end; the message says what to write."""
    with pytest.raises(UnfitConnection, match=r"Write `await errands\.options\(connection=…\)"):
        errands.background().options(connection=object())


async def test_an_error_of_the_driver_stays_its_own(errands: Errands, path: str) -> None:
    """It belongs to whoever owns the transaction, and may have its own way to begin again."""
    with closing(sqlite3.connect(path, timeout=0)) as one, closing(sqlite3.connect(path)) as two:
        two.execute("begin immediate")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await add(errands, one)
        two.rollback()


async def test_a_caller_who_gives_up_leaves_a_connection_that_works(
    errands: Errands, path: str
) -> None:
    """The statement that is under way in aiosqlite's thread ends first."""
    async with aiosqlite.connect(path) as db:
        adding = asyncio.create_task(add(errands, db))
        await asyncio.sleep(0)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        await db.rollback()
        job = await add(errands, db)
        await db.commit()
    assert [job] == await errands.jobs()


# PostgreSQL


@pytest.fixture
async def remote(postgres_url: str) -> AsyncIterator[Errands]:
    """Whose jobs are on a server."""
    async with Errands(postgres_url) as errands:
        errands.task(print)
        yield errands


async def test_an_autocommitting_psycopg_is_refused(
    remote: Errands, postgres: PostgresServer
) -> None:
    """Plain and asynchronous; in a block of a transaction it is fine."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        assert "begin one first" in await refusal(remote, connection)
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as there:
        assert "begin one first" in await refusal(remote, there)
        async with there.transaction():
            job = await add(remote, there)
        assert job == await remote.job(job.id)


async def test_asyncpg_without_a_transaction_is_refused(
    remote: Errands, postgres: PostgresServer
) -> None:
    """It commits each statement by itself."""
    connection = await asyncpg.connect(postgres.url)
    assert "begin one first" in await refusal(remote, connection)
    async with connection.transaction():
        job = await add(remote, connection)
    await connection.close()
    assert job == await remote.job(job.id)


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_an_autocommitting_engine_of_a_server_is_refused(
    remote: Errands, postgres: PostgresServer, driver: str
) -> None:
    """SQLAlchemy thinks that a transaction is open."""
    url = postgres.url.replace("postgresql:", f"postgresql+{driver}:")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.begin() as connection:
        assert "begin one first" in await refusal(remote, connection)
    await engine.dispose()


async def test_a_transaction_that_has_failed_is_refused(
    remote: Errands, postgres: PostgresServer
) -> None:
    """The message says to roll back; then it is fine."""
    with psycopg.connect(postgres.url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 / 0")
        assert "has failed: roll it back" in await refusal(remote, connection)
        connection.rollback()
        job = await add(remote, connection)
    assert job == await remote.job(job.id)


async def test_a_transaction_of_asyncpg_that_has_failed_is_refused(
    remote: Errands, postgres: PostgresServer
) -> None:
    """As psycopg's."""
    connection = await asyncpg.connect(postgres.url)
    transaction = connection.transaction()
    await transaction.start()
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connection.execute("select 1 / 0")
    assert "has failed: roll it back" in await refusal(remote, connection)
    await transaction.rollback()
    await connection.close()


async def test_a_transaction_of_sqlalchemy_that_has_failed_is_refused(
    remote: Errands, postgres: PostgresServer
) -> None:
    """As psycopg's, which is below."""
    engine = sqlalchemy.create_engine(postgres.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        with pytest.raises(sqlalchemy.exc.DataError):
            connection.execute(sqlalchemy.text("select 1 / 0"))
        assert "has failed: roll it back" in await refusal(remote, connection)
    engine.dispose()


async def test_another_database_is_refused(remote: Errands, postgres: PostgresServer) -> None:
    """The message says where the jobs are, without a password."""
    with psycopg.connect(postgres.new_database()) as connection:
        said = await refusal(remote, connection)
    assert "is of another database than the jobs, which are in postgresql://postgres@" in said
    assert "secret" not in said


async def test_a_file_is_no_part_of_a_server(remote: Errands, errands: Errands, path: str) -> None:
    """And a server none of a file; SQLAlchemy speaks to either."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        assert "speaks sqlite, and the jobs are in PostgreSQL" in await refusal(remote, connection)
    engine.dispose()
    with closing(sqlite3.connect(path)) as db:
        assert "expected one of psycopg.Connection" in await refusal(remote, db)


async def test_a_server_is_no_part_of_a_file(errands: Errands, postgres: PostgresServer) -> None:
    """Though SQLAlchemy speaks to either."""
    engine = sqlalchemy.create_engine(postgres.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        assert "speaks postgresql, and the jobs are in" in await refusal(errands, connection)
    engine.dispose()
    with psycopg.connect(postgres.url) as plain:
        assert "expected one of sqlite3.Connection" in await refusal(errands, plain)


async def test_a_server_that_was_started_anew_is_known(
    remote: Errands, postgres: PostgresServer
) -> None:
    """What was known of it is asked for again."""
    remote._engine.store._place = (1, 2, "3")  # type: ignore[attr-defined]  # as before
    with psycopg.connect(postgres.url) as connection:
        job = await add(remote, connection)
    assert job == await remote.job(job.id)


async def test_a_conflict_of_a_transaction_stays_its_own(
    remote: Errands, postgres: PostgresServer
) -> None:
    """Whoever owns it may have a way to begin it anew."""
    store = remote._engine.store
    [running] = await store.add([await _claimed(remote)])
    with psycopg.connect(postgres.url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.execute("select 1 from pg_class limit 1")
        store.extend([running.id], "w", running.free_at + timedelta(hours=1))
        with pytest.raises(psycopg.errors.SerializationFailure):
            await store.save_within(connection, [running.done(None, remote.now())])


async def _claimed(errands: Errands) -> Job:
    adding = errands.options()
    job = adding._engine.make(adding._options, print, (), {})
    return job.claimed("w", errands.now(), timedelta(minutes=1))

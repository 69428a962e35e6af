"""What only the SQLite store does: files, lanes, siblings and its errors."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from due_jobs import NOW, job
from patience import eventually, soon

from errands import Claim, Errands, Job, Query, State
from errands.errors import (
    JobExists,
    NotAStore,
    SchemaTooNew,
    SetupError,
    StoreFull,
    StoreUnavailable,
)
from errands.stores import store_at
from errands.stores.sqlite import SQLiteStore, _address, _file, _lane
from errands.stores.sqlite._database import Database
from errands.stores.sqlite._drivers import connected
from errands.testing import drain

LEASE = timedelta(seconds=60)
LONG = 10  # seconds, an upper bound that is never reached


@pytest.fixture(params=["apsw", "sqlite3"], autouse=True)
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whatever is promised here, each library keeps."""
    monkeypatch.setattr(_address, "DRIVER", request.param)
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "errands.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    async with SQLiteStore(f"sqlite:///{path}") as store:
        yield store


def a_claim(worker: str = "w", limit: int = 10) -> Claim:
    return Claim(worker=worker, queues=None, tasks=["t"], limit=limit, now=NOW, lease=LEASE)


def asked(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the file answers to a connection of its own."""
    db = connected(_address.DRIVER, str(path))
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


# The URL


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:", "write sqlite:///errands.db"),
        ("sqlite://", "write sqlite:///errands.db"),
        ("sqlite:///", "write sqlite:///errands.db"),
        ("sqlite://errands.db", "write sqlite:///errands.db"),
        ("sqlite:errands.db", "write sqlite:///errands.db"),
        ("sqlite:///:memory:", "memory: for none"),
        ("sqlite:///a.db?colour=red", "unknown option 'colour'"),
        ("sqlite:///a.db?synchronous=off", "full, normal, extra"),
        ("sqlite:///a.db?driver=pysqlite", "apsw, sqlite3"),
        ("sqlite:///a.db?synchronous=", "full, normal, extra"),
    ],
)
def test_a_url_that_names_no_file_is_refused(url: str, words: str) -> None:
    """The message quotes it and says what to write."""
    with pytest.raises(ValueError, match=r"sqlite:") as refusal:
        Errands(url)
    assert repr(url) in str(refusal.value)
    assert words in str(refusal.value)


async def test_a_path_may_be_relative_or_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes or four; a later change of folder does not move the file."""
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path)
    relative = store_at("sqlite:///here.db")
    monkeypatch.chdir(tmp_path / "later")
    async with relative, store_at(f"sqlite:///{tmp_path}/there.db"):
        assert (tmp_path / "here.db").is_file()
        assert (tmp_path / "there.db").is_file()


async def test_a_path_may_have_any_character(tmp_path: Path) -> None:
    """Quoted where a URL needs it."""
    async with store_at(f"sqlite:///{tmp_path}/a%20b%3Fc-%C3%BC.db?synchronous=normal"):
        assert (tmp_path / "a b?c-ü.db").is_file()


@pytest.mark.parametrize(
    ("option", "level"), [("", 2), ("?synchronous=NORMAL", 1), ("?synchronous=extra", 3)]
)
async def test_a_commit_is_as_durable_as_was_asked_for(path: Path, option: str, level: int) -> None:
    """Fully, by default; and always with a write-ahead log."""
    async with SQLiteStore(f"sqlite:///{path}{option}") as store:
        assert [level, "wal"] == [
            await pragma(store, "synchronous"), await pragma(store, "journal_mode"),
        ]  # fmt: skip  # a row


async def pragma(store: SQLiteStore, name: str) -> Any:
    """A setting of the connection that writes."""

    def work(db: Database, arguments: list[Any]) -> list[Any]:
        [[value]] = db.execute(f"pragma {name}").fetchall()
        return [value for _ in arguments]

    return await store._writer.call(work, None)


# The file


async def test_jobs_outlive_the_store(path: Path) -> None:
    """A second one finds what the first has kept, and nothing else is left lying about."""
    first = job(payload='{"n":1}')
    async with SQLiteStore(f"sqlite:///{path}") as store:
        await store.enlist("w")
        await store.add([first])
    assert [path.name] == [left.name for left in path.parent.iterdir()]

    async with SQLiteStore(f"sqlite:///{path}") as store:
        assert first == await store.get(first.id)


async def test_what_was_acknowledged_outlives_a_killed_process(path: Path) -> None:
    """Nothing depends on a clean exit."""
    with child(path, "for n in range(50): await store.add([job()])", "print('added')") as process:
        assert "added" == said(process)
    async with SQLiteStore(f"sqlite:///{path}") as store:
        assert 50 == len(await store.find(Query(limit=100)))
    assert [("ok",)] == asked(path, "pragma integrity_check")


async def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """As the processes of a web server do when they start for the first time."""
    for n in range(5):
        url = f"sqlite:///{tmp_path}/{n}.db"
        stores = [SQLiteStore(url) for _ in range(6)]
        opened = await asyncio.gather(
            *(store.__aenter__() for store in stores), return_exceptions=True
        )
        for store, answer in zip(stores, opened, strict=True):
            if answer is store:
                await store.__aexit__(None, None, None)
        assert [] == [answer for answer in opened if isinstance(answer, BaseException)]


async def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """As `touch` makes one."""
    path.touch()
    async with SQLiteStore(f"sqlite:///{path}") as store:
        assert 1 == len(await store.add([job()]))


async def test_other_tables_in_the_file_are_left_alone(path: Path) -> None:
    """Though a file of its own is better."""
    asked(path, "create table cats (name); insert into cats values ('Tom')")
    async with SQLiteStore(f"sqlite:///{path}") as store:
        await store.add([job()])

    assert [("Tom",)] == asked(path, "select name from cats")


async def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """The store is unavailable; it makes no folders."""
    path = tmp_path / "missing" / "errands.db"
    with pytest.raises(StoreUnavailable, match=r"missing/errands\.db: .* Make its folder"):
        async with store_at(f"sqlite:///{path}"):
            pass
    assert not path.parent.exists()


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(StoreUnavailable) as refusal:
        async with store_at(f"sqlite:///{tmp_path}"):
            pass
    assert str(tmp_path) in str(refusal.value)


async def test_a_place_without_rights_is_named() -> None:
    """Nobody may write there, not even root."""
    with pytest.raises(StoreUnavailable, match=r"/proc/errands\.db"):
        async with store_at("sqlite:////proc/errands.db"):
            pass


@pytest.mark.parametrize("content", [b"hello\n", b"x" * 5000, b"\x00" * 4096 + b"x"])
async def test_a_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    """The message says what to do."""
    path.write_bytes(content)
    with pytest.raises(NotAStore, match="Name another file, or move this one away") as refusal:
        async with store_at(f"sqlite:///{path}"):
            pass
    assert str(path) in str(refusal.value)
    assert content == path.read_bytes()


@pytest.mark.parametrize(
    "sql",
    [
        "create table errands_jobs (id)",
        "create table errands_meta (name, value)",
        "create table errands_meta (id)",
        "create table errands_meta (name, value); insert into errands_meta values ('schema', 'x')",
        "create view errands_jobs as select 1",
        "create table errands_meta (name text primary key, value);"
        "insert into errands_meta values ('schema', 1)",
    ],
)
async def test_a_foreign_table_of_our_name_is_left_alone(path: Path, sql: str) -> None:
    """It is no store, and stays as it was."""
    asked(path, sql)
    before = asked(path, "select sql from sqlite_schema")
    with pytest.raises(NotAStore, match=path.name):
        await Errands(f"sqlite:///{path}").examine()
    with pytest.raises(NotAStore, match=path.name):
        async with store_at(f"sqlite:///{path}"):
            pass
    assert before == asked(path, "select sql from sqlite_schema")


async def test_a_newer_schema_is_left_alone(path: Path) -> None:
    """The message says which versions they are, and what to install."""
    async with store_at(f"sqlite:///{path}"):
        pass
    asked(path, "update errands_meta set value = 99 where name = 'schema'")

    with pytest.raises(SchemaTooNew, match=r"has schema 99, .* knows 6: install") as refusal:
        async with store_at(f"sqlite:///{path}"):
            pass
    assert str(path) in str(refusal.value)
    assert [(99,)] == asked(path, "select value from errands_meta where name = 'schema'")


async def test_errands_whose_store_cannot_be_opened_is_not_open(path: Path) -> None:
    """And can be opened once the file is mended."""
    path.write_bytes(b"no database at all\n")
    errands = Errands(f"sqlite:///{path}")
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(NotAStore):
            async with errands.working():
                pass
        assert not errands.is_open
    await eventually(True, lambda: threading.active_count() <= before + 1)  # asyncio's own
    path.unlink()
    async with errands.working():
        assert errands.is_open


# A full disk


async def limit(store: SQLiteStore, pages: int | None) -> None:
    """Let the file grow by so many pages, or without end."""

    def work(db: Database, arguments: list[Any]) -> list[Any]:
        [[count]] = db.execute("pragma page_count").fetchall()
        most = 2**30 if pages is None else count + pages
        db.execute(f"pragma max_page_count = {most}")
        return [None for _ in arguments]

    await store._writer.call(work, None)


async def test_a_used_up_quota_is_a_full_disk(store: SQLiteStore, path: Path, driver: str) -> None:
    """To SQLite it is an I/O error like any other; the limit on file sizes stands in for it."""
    told = "Make room on its disk; nothing was written" if driver == "apsw" else "disk I/O error"
    [kept] = await store.add([job()])
    size = path.with_name(f"{path.name}-wal").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
    try:
        with pytest.raises(StoreUnavailable, match=told):  # only apsw says what the system said
            await store.add([job(payload="x" * 100_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    [again] = await store.add([job(payload="x" * 100_000)])
    assert [again, kept] == await store.find(Query())


async def test_a_full_disk_loses_nothing_that_was_acknowledged(
    store: SQLiteStore, path: Path
) -> None:
    """Who adds is told; with room again, all goes on."""
    await limit(store, 20)
    kept: list[Job] = []

    async def fill() -> None:
        while len(kept) < 1000:
            kept.extend(await store.add([job(payload="x" * 1000)]))

    with pytest.raises(StoreFull, match=r"full.*Make room on its disk; nothing was written") as no:
        await fill()
    assert str(path) in str(no.value)
    assert isinstance(no.value.__cause__, apsw.FullError)

    assert len(kept) == len(await store.find(Query(limit=1000)))
    assert set(kept) == set(await store.find(Query(limit=1000)))
    await limit(store, None)
    kept += await store.add([job(payload="x" * 100_000)])
    assert len(kept) == len(await store.find(Query(limit=1000)))
    assert [("ok",)] == asked(path, "pragma integrity_check")


async def test_a_full_disk_refuses_some_of_many_who_add_at_once(store: SQLiteStore) -> None:
    """Each call is told for itself, and what was not refused is there."""
    await limit(store, 30)
    answers = await asyncio.gather(
        *(store.add([job(payload="x" * 3000)]) for _ in range(60)), return_exceptions=True
    )
    kept = {answer[0].id for answer in answers if not isinstance(answer, BaseException)}
    refused = [answer for answer in answers if isinstance(answer, BaseException)]

    assert {StoreFull} == {type(error) for error in refused}
    assert kept == {found.id for found in await store.find(Query(limit=100))}


async def test_jobs_go_on_when_there_is_room_again(path: Path) -> None:
    """An outcome that found none is saved later; the job does not run twice."""
    errands, runs = Errands(f"sqlite:///{path}"), list[int]()
    gate = asyncio.Event()

    @errands.task
    async def work() -> str:
        runs.append(1)
        await gate.wait()
        return "x" * 200_000

    async with errands.working():
        store = errands._engine.store
        assert isinstance(store, SQLiteStore)
        added = await errands.add_task(work)
        await eventually([1], lambda: runs)
        await limit(store, 5)
        gate.set()
        await asyncio.sleep(0.05)
        found = await errands.job(added.id)
        assert found is not None
        assert State.RUNNING is found.state
        await limit(store, None)
        assert "x" * 200_000 == await errands.result(added, timeout=LONG)
    assert [1] == runs


# Lanes


async def test_one_call_of_a_group_may_fail_alone(store: SQLiteStore) -> None:
    """The others of its transaction are kept."""
    await store.add([job(key="taken")])
    calls = []
    for n in range(30):
        key = "taken" if n % 3 == 0 else f"free{n}"
        calls.append(store.add([job(key=key), job()], "raise"))
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [n % 3 == 0 for n in range(30)] == [isinstance(a, JobExists) for a in answers]
    assert 1 + 2 * 20 == len(await store.find(Query(limit=100)))


async def test_of_one_group_only_one_gets_a_key(store: SQLiteStore) -> None:
    """All others are refused."""
    answers = await asyncio.gather(
        *(store.add([job(key="k")], "raise") for _ in range(20)), return_exceptions=True
    )
    assert [JobExists] * 19 == [type(a) for a in answers if isinstance(a, BaseException)]
    assert 1 == len(await store.find(Query()))


async def test_a_caller_who_gave_up_spoils_nothing(store: SQLiteStore) -> None:
    """Those who share its transaction get their answers."""
    mine, other = job(), job()
    gives_up = asyncio.create_task(store.add([mine]))
    stays = asyncio.create_task(store.add([other]))
    await asyncio.sleep(0)
    gives_up.cancel()

    with pytest.raises(asyncio.CancelledError):
        await gives_up
    assert [other] == await soon(stays)
    assert other == await store.get(other.id)


async def test_calls_of_all_kinds_share_a_transaction(store: SQLiteStore) -> None:
    """And each gets its own answer."""
    first, second = job(), job()
    await store.add([first])
    [running] = await store.claim(a_claim())
    added, saved, removed, pruned, claimed = await asyncio.gather(
        store.add([second]),
        store.save([running.done("1", NOW)]),
        store.remove([job()]),
        store.prune(NOW - LEASE, 10),
        store.claim(a_claim("x", 1)),
    )

    assert ([second], {first.id}, set(), 0) == (added, saved, removed, pruned)
    assert {first.id, second.id} >= {found.id for found in claimed}


async def test_what_was_asked_before_closing_is_done(path: Path) -> None:
    """Closing waits for it."""
    store = SQLiteStore(f"sqlite:///{path}")
    await store.__aenter__()
    adding = [asyncio.ensure_future(store.add([job()])) for _ in range(20)]
    await asyncio.sleep(0)
    await store.__aexit__(None, None, None)

    assert 20 == len(await soon(asyncio.gather(*adding)))
    assert [(20,)] == asked(path, "select count(*) from errands_jobs")


async def test_who_asks_while_the_store_closes_is_told(path: Path) -> None:
    """And does not use the connection while it is being closed."""

    async def add_on(store: SQLiteStore) -> None:
        while True:
            await store.add([job()])

    for _ in range(5):
        async with SQLiteStore(f"sqlite:///{path}?synchronous=normal") as store:
            for _ in range(3):  # a lone caller's go by the event loop
                await store.add([job()])
            adding = asyncio.ensure_future(add_on(store))
        with pytest.raises(StoreUnavailable, match="was closed: open the store again"):
            await soon(adding)


async def test_a_file_that_another_program_locks_is_unavailable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; nothing was written, and it works again when the lock is gone."""
    for module in (_file, _lane):
        monkeypatch.setattr(module, "BUSY", 5)
    async with SQLiteStore(f"sqlite:///{path}") as store:
        other = connected(_address.DRIVER, str(path))
        other.execute("begin immediate")
        with pytest.raises(StoreUnavailable, match=r"errands\.db.*locked"):
            await store.add([job()])
        assert [] == await store.find(Query())
        other.execute("rollback")
        other.close()
        assert 1 == len(await store.add([job()]))


async def test_leases_are_extended_while_the_loop_is_blocked(store: SQLiteStore) -> None:
    """From a thread, without a turn of the event loop."""
    await store.add([job()])
    [running] = await store.claim(a_claim())
    held: list[set[str]] = []
    thread = threading.Thread(
        target=lambda: held.append(store.extend([running.id], "w", NOW + 2 * LEASE))
    )
    thread.start()
    thread.join(LONG)  # in the event loop's thread, on purpose

    assert [{running.id}] == held


# Two libraries


async def test_two_libraries_on_one_file_are_refused(path: Path, driver: str) -> None:
    """Each would lose the locks of the other; the message says what to write."""
    other = "sqlite3" if driver == "apsw" else "apsw"
    async with store_at(f"sqlite:///{path}"):
        with pytest.raises(SetupError, match=rf"write \?driver={driver} here, too"):
            async with store_at(f"sqlite:///{path}?driver={other}"):
                pass

    async with store_at(f"sqlite:///{path}?driver={other}") as store:  # one after another
        assert 1 == len(await store.add([job()]))


async def test_a_file_that_cannot_be_opened_is_nobodys(path: Path, driver: str) -> None:
    """Once it is mended either library may open it."""
    path.write_bytes(b"x" * 5000)
    with pytest.raises(NotAStore):
        async with store_at(f"sqlite:///{path}"):
            pass
    path.unlink()

    async with store_at(f"sqlite:///{path}?driver={'sqlite3' if driver == 'apsw' else 'apsw'}"):
        pass


def test_an_sqlite_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its version, before a statement fails."""
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr("sqlite3.sqlite_version", "3.34.1")

    with pytest.raises(SetupError, match=r"came with SQLite 3\.34\.1.*needs 3\.35"):
        connected("sqlite3", ":memory:")


# Two handles


@pytest.fixture
async def two(path: Path) -> AsyncIterator[tuple[SQLiteStore, SQLiteStore]]:
    one, other = (SQLiteStore(f"sqlite:///{path}") for _ in range(2))
    async with one, other:
        yield one, other


async def test_two_handles_share_their_jobs(two: tuple[SQLiteStore, SQLiteStore]) -> None:
    """No job goes to both, and neither ever finds the file locked."""
    one, other = two

    async def add(store: SQLiteStore) -> None:
        for _ in range(20):
            await store.add([job() for _ in range(5)])

    async def claim(store: SQLiteStore, name: str) -> list[str]:
        mine: list[str] = []
        while len(mine) < 200 and not is_over.is_set():
            found = await store.claim(a_claim(name, 7))
            assert {each.id for each in found} == await store.save(
                [each.done("1", NOW) for each in found]
            )
            mine += [each.id for each in found]
            claimed.update(each.id for each in found)
            if claimed.total() >= 200:
                is_over.set()
        return mine

    claimed: Counter[str] = Counter()
    is_over = asyncio.Event()
    await soon(asyncio.gather(add(one), add(other), claim(one, "a"), claim(other, "b")))
    assert (200, {1}) == (len(claimed), set(claimed.values()))
    assert {("default", State.DONE): 200} == dict(await one.count())


async def test_the_other_handle_is_woken_by_news(
    two: tuple[SQLiteStore, SQLiteStore],
) -> None:
    """As soon as a job is added or queued again, by a message and not by looking."""
    one, other = two
    await one.enlist("a")
    await other.enlist("b")
    heard = asyncio.Event()
    other.listen(heard.set)
    await one.add([job()])
    await soon(heard.wait(), "the wake-up")

    heard.clear()
    [running] = await one.claim(a_claim("a"))
    await one.save([running.failed("no", NOW, 1)])
    await soon(heard.wait(), "the second wake-up")


async def test_one_who_only_adds_wakes_the_workers(
    two: tuple[SQLiteStore, SQLiteStore],
) -> None:
    """It was never enlisted itself."""
    adds, works = two
    await works.enlist("b")
    heard = asyncio.Event()
    works.listen(heard.set)
    await adds.add([job()])

    await soon(heard.wait(), "the wake-up")


async def test_a_path_that_is_too_long_for_a_socket_is_rung_all_the_same(tmp_path: Path) -> None:
    """A socket's address has 107 bytes."""
    folder = tmp_path / ("a" * 90) / ("b" * 90)
    folder.mkdir(parents=True)
    url = f"sqlite:///{folder}/errands.db"
    async with SQLiteStore(url) as one, SQLiteStore(url) as other:
        await other.enlist("b" * 60)
        heard = asyncio.Event()
        other.listen(heard.set)
        await one.add([job()])
        await soon(heard.wait(), "the wake-up")
    assert ["errands.db"] == [left.name for left in folder.iterdir()]


async def test_a_job_that_is_done_wakes_nobody(two: tuple[SQLiteStore, SQLiteStore]) -> None:
    """There is nothing to claim."""
    one, other = two
    await other.enlist("b")
    heard: list[int] = []
    other.listen(lambda: heard.append(1))
    await one.add([job()])
    await eventually(1, lambda: len(heard))
    [running] = await one.claim(a_claim("a"))
    await one.save([running.done("1", NOW)])
    await asyncio.sleep(0.02)  # far longer than a message takes
    after_the_end = len(heard)
    await one.add([job()])
    await eventually(2, lambda: len(heard))

    assert 1 == after_the_end


async def test_a_stale_socket_is_in_nobodys_way(two: tuple[SQLiteStore, SQLiteStore]) -> None:
    """Left behind by a process that was killed; strange files neither."""
    one, other = two
    await other.enlist("b")
    folder = Path(f"{one._path}-workers")
    (folder / "ghost.sock").write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    heard = asyncio.Event()
    other.listen(heard.set)
    await one.add([job()])

    await soon(heard.wait(), "the wake-up")
    assert 0 == await one.rescue(NOW)
    assert (folder / "notes.txt").exists()


# Real processes

CHILD = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from errands import Claim, Errands, Job, State, new_id
from errands.stores.sqlite import SQLiteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)

def job():
    return Job(id=new_id(NOW), task="t", payload="{}", due_at=NOW, free_at=NOW, added_at=NOW)

def claim():
    lease = timedelta(days=9999)
    return Claim(worker="child", queues=None, tasks=["t"], limit=9, now=NOW, lease=lease)

async def main():
    async with SQLiteStore(f"sqlite:///{sys.argv[1]}") as store:
LINES
        sys.stdout.flush()
        await asyncio.sleep(60)

asyncio.run(main())
"""


@contextmanager
def child(path: Path, *lines: str) -> Iterator[subprocess.Popen[str]]:
    """A process that opens the store, does what the lines say, and is killed in the end."""
    code = CHILD.replace("LINES", "\n".join(f"        {line}" for line in lines))
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=LONG)


def said(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


CLAIMS = ("await store.enlist('child')", "print(len(await store.claim(claim())))")


@pytest.mark.slow
async def test_the_jobs_of_a_killed_process_are_free_at_once(
    store: SQLiteStore, path: Path
) -> None:
    """Although their leases have hours to go; its files vanish."""
    await store.enlist("ours")
    await store.add([job(), job()])
    folder = path.with_name(f"{path.name}-workers")
    with child(path, *CLAIMS) as process:
        assert "2" == await asyncio.to_thread(said, process)
        assert 0 == await store.rescue(NOW)
        assert [] == await store.claim(a_claim())
        assert (folder / "child.lock").exists()
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait, LONG)
        assert 2 == await store.rescue(NOW)

    assert {"ours.lock", "ours.sock"} == {left.name for left in folder.iterdir()}
    assert 0 == await store.rescue(NOW)
    again = await store.claim(a_claim("ours"))
    assert [(2, "ours"), (2, "ours")] == [(each.attempt, each.worker) for each in again]


@pytest.mark.slow
async def test_a_job_whose_process_was_killed_is_run_by_another(path: Path) -> None:
    """Within a moment, by a worker that was there all along."""
    errands = Errands(f"sqlite:///{path}", lease=3600)
    attempts: list[int] = []

    async with errands:
        ours = job()
        await errands._engine.store.add([ours])
        with child(path, *CLAIMS) as process:
            assert "1" == await asyncio.to_thread(said, process)

            @errands.task(name="t")
            async def work() -> int:
                attempts.append(1)
                return 7

            async with errands.working():
                await asyncio.sleep(0.4)  # longer than the pause between two looks
                assert [] == attempts
                process.send_signal(signal.SIGKILL)
                assert 7 == await errands.result(ours, timeout=LONG)


WORKER = """
import asyncio, sys
from errands import Errands, State

errands = Errands(f"sqlite:///{sys.argv[1]}", slots=5)

@errands.task(name="note")
async def note(n: int) -> None:
    print(n)

async def main():
    first, number, total = map(int, sys.argv[2:])
    async with errands.working():
        for n in range(first, first + number):
            await errands.add_task(note, n)
        while (await errands.count()).get(("default", State.DONE), 0) < total:
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def output_of(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """What it printed until its end, which does not come too late."""
    late = asyncio.get_running_loop().call_later(LONG, process.kill)
    try:
        return await process.communicate()
    finally:
        late.cancel()


@pytest.mark.slow
async def test_two_processes_share_their_jobs(path: Path) -> None:
    """None runs twice, none is lost, and neither finds the file locked."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, str(path), str(100 * n), "100", "200",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        for n in range(2)
    ]  # fmt: skip  # a row
    answers = await asyncio.gather(*(output_of(process) for process in processes))

    assert [b"", b""] == [errors for _, errors in answers]
    assert [0, 0] == [process.returncode for process in processes]
    assert list(range(200)) == sorted(int(n) for output, _ in answers for n in output.split())
    assert [("ok",)] == asked(path, "pragma integrity_check")


async def test_two_applications_in_one_process_share_a_file(path: Path) -> None:
    """What one adds the other runs, too; random loads."""
    pair = [Errands(f"sqlite:///{path}", slots=3) for _ in range(2)]
    runs: Counter[int] = Counter()

    async def work(n: int) -> None:
        runs[n] += 1

    for errands in pair:
        errands.task(work)
    async with pair[0].working(), pair[1].working():
        order = random.Random(7)
        await asyncio.gather(*(order.choice(pair).add_task(work, n) for n in range(150)))
        await drain(pair[0])

    assert (150, {1}) == (len(runs), set(runs.values()))


async def test_a_worker_is_woken_by_another_application(path: Path) -> None:
    """Long before it would have looked by itself."""
    adds, works = (Errands(f"sqlite:///{path}") for _ in range(2))

    async def work() -> int:
        return 1

    for errands in (adds, works):
        errands.task(work)
    async with adds, works.working():
        await eventually(True, lambda: works._engine._worker and works._engine._worker._is_idle)
        for _ in range(5):  # together far below the second between two looks
            started = asyncio.get_running_loop().time()
            assert 1 == await adds.result(await adds.add_task(work), timeout=LONG)
            assert 0.9 > asyncio.get_running_loop().time() - started


VERSION_1 = """
create table errands_meta (name text primary key, value) without rowid;
create table errands_jobs (
    id text primary key, task text not null, payload text not null, queue text not null,
    priority integer not null, key text, added_at integer not null, due_at integer not null,
    free_at integer not null, state text not null, attempt integer not null, worker text,
    started_at integer, finished_at integer, result text, progress text, history text,
    version integer not null
) without rowid;
create index errands_free on errands_jobs (queue, priority, free_at)
    where state in ('queued', 'running');
create unique index errands_key on errands_jobs (key)
    where key is not null and state in ('queued', 'running');
create index errands_held on errands_jobs (worker) where state = 'running';
create index errands_finished on errands_jobs (finished_at)
    where state in ('done', 'failed', 'cancelled');
insert into errands_meta values ('schema', 1);
insert into errands_jobs values
    ('1', 'double', '{"number":21}', 'default', 0, null, 1, 1, 1, 'queued', 0, null,
     null, null, null, null, null, 0);
"""


async def test_a_file_of_version_1_becomes_one_of_today(path: Path) -> None:
    """Its tables are those of a new file; its jobs are kept, and run."""
    asked(path, VERSION_1)
    new = path.with_name("new.db")
    async with store_at(f"sqlite:///{new}"):
        pass
    errands = Errands(f"sqlite:///{path}")

    @errands.task(name="double")
    async def double(number: int) -> int:
        return 2 * number

    async with errands.working():
        assert 42 == await errands.result("1", timeout=10)
        await eventually(1, lambda: count_of_workers(errands))
    assert [(6,)] == asked(path, "select value from errands_meta where name = 'schema'")
    assert shape(new) == shape(path)


def shape(path: Path) -> set[str]:
    """The tables and indexes of a file, however they are laid out."""
    found = asked(path, "select sql from sqlite_schema where sql is not null")
    return {" ".join(sql.split()).replace(" ,", ",") for (sql,) in found}


async def count_of_workers(errands: Errands) -> int:
    return len(await errands.workers())


async def test_a_store_opens_although_a_hook_meets_a_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As apsw's best practice does, which writes at each connection; FastHTML has it applied."""
    met: list[int] = []

    def hook(connection: apsw.Connection) -> None:
        met.append(1)
        if len(met) in (1, 3):
            raise apsw.BusyError("database is locked")

    monkeypatch.setattr(apsw, "connection_hooks", [hook])
    async with store_at(f"sqlite:///{path}?driver=apsw") as store:
        await store.add([job()])

    assert 4 == len(met)

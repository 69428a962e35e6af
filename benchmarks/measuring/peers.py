"""What Errands is measured against: huey on SQLite, and a loop on apsw without anything else."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import apsw

try:
    _huey: Any = import_module("huey")  # it has no types, and is installed for benchmarks alone
except ImportError:
    raise SystemExit("the benchmarks need their peer: pip install huey==3.5.4") from None

TABLE = """
create table jobs (
    id integer primary key, task text not null, payload text not null, state text not null,
    free_at integer not null, worker text, result text, version integer not null
);
create index free on jobs (free_at) where state in ('queued', 'running');
"""
CLAIM = """
update jobs set state = 'running', worker = ?, free_at = ?, version = version + 1
where id in (
    select id from jobs where state in ('queued', 'running') and free_at <= ?
    order by free_at limit ?
) returning id, payload, version
"""
FINISH = """
update jobs set state = 'done', result = ?, version = version + 1 where id = ? and version = ?
"""


class Huey:
    """huey in one file, with a flush at each commit, and one task that answers with its number.

    Args:
        results: Whether it keeps what the task returns.

    Attributes:
        started: Of each run of `note`, how many seconds after it was asked for it started.
        first: When the first of the expected jobs was completed.
        last: When the last one was.
    """

    def __init__(self, folder: Path, *, results: bool = True) -> None:
        """Make the file, and run nothing yet."""
        self.huey = _huey.SqliteHuey(
            filename=str(folder / "huey.db"), results=results, fsync=True, journal_mode="wal"
        )
        self.started: list[float] = []
        self.first = self.last = 0.0
        self._number, self._left = itertools.count(1), 0
        self._over = threading.Event()
        self.noop = self.huey.task(name="noop")(_noop)
        self.note = self.huey.task(name="note")(self._note)
        self.huey.signal("complete")(self._completed)

    def add(self, number: int) -> None:
        """Add so many jobs, one after another."""
        for each in range(number):
            self.noop(each)

    def expect(self, number: int) -> None:
        """Begin to count: so many jobs are to be completed."""
        self._number, self._left = itertools.count(1), number
        self._over.clear()

    def wait(self) -> None:
        """Return when all that were expected are completed, and their results kept."""
        if not self._over.wait(120):
            raise TimeoutError("huey did not complete its jobs in 120 s")

    @contextmanager
    def working(self, workers: int, **options: Any) -> Iterator[None]:
        """Run jobs in so many threads; it looks for one each millisecond, if not told otherwise."""
        options = {"initial_delay": 0.001, "max_delay": 0.001, "backoff": 1.0} | options
        consumer = self.huey.create_consumer(
            workers=workers, periodic=False, check_worker_health=False, **options
        )
        consumer.start()
        try:
            yield
        finally:
            consumer.stop(graceful=True)

    def _note(self, asked: float) -> int:
        self.started.append(time.monotonic() - asked)
        return 1

    def _completed(self, signal: str, task: Any) -> None:
        number = next(self._number)
        if number == 1:
            self.first = time.perf_counter()
        if number == self._left:
            self.last = time.perf_counter()
            self._over.set()


def _noop(number: int) -> int:
    return number


def connect(file: Path) -> apsw.Connection:
    """A connection to a new file of our own, with a write-ahead log that is flushed."""
    db = apsw.Connection(str(file))
    db.execute("pragma journal_mode = wal").fetchall()
    db.execute("pragma synchronous = full")
    return db


def raw_loop(folder: Path, number: int, batch: int) -> float:
    """Jobs per second that a bare loop claims, for a lease, and finishes, if they are still its.

    Two flushed transactions for each batch, and nothing in between: the job does nothing.
    """
    db = connect(folder / "raw.db")
    db.execute(TABLE)
    db.execute("begin")
    rows = (("noop", f'{{"number":{each}}}', each) for each in range(number))
    db.executemany(
        "insert into jobs (task, payload, state, free_at, version) values (?, ?, 'queued', ?, 0)",
        rows,
    )
    db.execute("commit")
    begin = time.perf_counter()
    now = round(time.time() * 1000)
    finished = 0
    while True:
        db.execute("begin immediate")
        claimed = db.execute(CLAIM, ("worker", now + 15_000, now, batch)).fetchall()
        db.execute("commit")
        if not claimed:
            break
        db.execute("begin immediate")
        db.executemany(FINISH, [("1", id_, version) for id_, _, version in claimed])
        db.execute("commit")
        finished += len(claimed)
    took = time.perf_counter() - begin
    assert finished == number
    db.close()
    return number / took

"""A lane: one thread with one SQLite connection, where the calls that wait share a transaction.

SQLite has one writer at a time, and a commit costs a flush of the disk: so calls queue up
for the one thread, and whatever is waiting when it is free becomes one transaction. Nobody
waits for a timer, and an idle lane adds nothing but its two hand-overs.

apsw gives up Python's global lock at each statement and must win it back from a busy event
loop, up to 5 ms a time. That is why a `Work` handles all its calls at once, in as few
statements as it can.
"""

from __future__ import annotations

import asyncio
import math
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from itertools import groupby
from typing import Any

import apsw

from ...errors import StoreUnavailable
from .. import _fork
from ._call import Answer, Asked, Call, Work, deliver, kind, settle
from ._database import OwnDatabase
from ._told import translated
from ._turn import Turn

BUSY = 5000  # milliseconds that a statement waits for another process' transaction
SLOW = 0.002  # seconds of a commit in the event loop that are too many
AVOID = 10.0  # seconds for which the loop then leaves commits to the thread
TRIES = 4  # times that a transaction which could not begin is begun anew


class Lane:
    """Runs works in its own thread, grouped, each group in a transaction of its own.

    Args:
        connect: Opens the connection; called in the lane's thread.
        path: What to name in errors.
        turn: The queue of those who write; left out, this lane only reads.
    """

    def __init__(
        self, connect: Callable[[], OwnDatabase], path: str, turn: Turn | None = None
    ) -> None:
        """Make the lane; `open` starts it."""
        self._connect, self._path, self._turn = connect, path, turn
        self._begin = "begin" if turn is None else "begin immediate"
        self._calls: queue.SimpleQueue[list[Call] | None] = queue.SimpleQueue()
        self._fresh: list[Call] = []  # of this turn of the loop
        self._asked = 0  # how often in this turn
        self._was_lone = self._was_slow = False
        self._slow_until = math.inf if turn is None else 0.0
        self._in_use = threading.Lock()  # the connection, by the thread or by the loop
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._db: OwnDatabase | None = None

    async def open(self) -> None:
        """Start the thread and open the connection.

        Raises:
            SetupError: in a process that was forked while the file was open.
        """
        _fork.opened(self._path)
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        first = Call(lambda db, arguments: arguments, None, opened.get_loop(), opened)
        self._thread = threading.Thread(
            target=self._run, args=(first,), name="errands sqlite", daemon=True
        )
        self._thread.start()
        try:
            await opened
        except BaseException:
            _fork.closed(self._path)
            raise

    async def close(self) -> None:
        """Finish what is queued, close the connection, and end the thread."""
        _fork.refuse(self._path)
        if self._thread is not None:
            self._is_closed = True  # the thread alone has the connection now
            if self._fresh:
                self._hand_over()
            self._calls.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
            _fork.closed(self._path)

    def call(
        self, work: Work[Asked, Answer], argument: Asked, *, is_small: bool = False
    ) -> Awaitable[Answer]:
        """Ask for `work`, and wait until it is committed.

        Args:
            is_small: It takes hardly longer than its commit.

        Raises:
            StoreUnavailable: once the lane is closed.
        """
        self._require_open()
        loop = asyncio.get_running_loop()
        call = Call(work, argument, loop, loop.create_future())
        if not self._asked:
            loop.call_soon(self._hand_over)  # with all that is asked for in this turn of the loop
        self._asked += 1
        is_lone = is_small and self._asked == 1 and self._was_lone
        if not (is_lone and self._transacts_here(call)):
            self._fresh.append(call)
        return call

    def call_and_wait(self, work: Work[Asked, Answer], argument: Asked, seconds: float) -> Answer:
        """Ask for `work` from a thread, and block until it is committed.

        Raises:
            StoreUnavailable: if that takes longer than `seconds`, or the lane is closed.
        """
        self._require_open()
        future: Future[Answer] = Future()
        self._calls.put([Call(work, argument, None, future)])
        try:
            return future.result(seconds)
        except TimeoutError:
            raise StoreUnavailable(f"{self._path} did not answer in {seconds:g} s") from None

    def _require_open(self) -> None:
        _fork.refuse(self._path)
        if self._is_closed:
            raise StoreUnavailable(f"{self._path} was closed: open the store again")

    def _hand_over(self) -> None:
        self._was_lone, self._asked = self._asked == 1, 0
        if self._fresh:
            calls, self._fresh = self._fresh, []
            self._calls.put(calls)

    def _transacts_here(self, call: Call) -> bool:
        """Commit a small call of a lone caller in the event loop, if that takes no time.

        The way to the thread and back takes as long as a quick disk's commit, and the loop has
        nothing else to do if nobody else calls. A slow disk, or a lane in use, is left alone.
        """
        begun, db = time.monotonic(), self._db
        if db is None or begun < self._slow_until or not self._in_use.acquire(blocking=False):
            return False
        try:
            db.set_busy_timeout(0)
            self._transact(db, [call], patience=0)
        except apsw.BusyError:  # another process writes: queue up behind it, in the thread
            self._slow_until = begun + AVOID
            return False
        except Exception as error:  # noqa: BLE001  # told to the one who called
            call.error = translated(error, self._path, self._db)
        finally:
            db.set_busy_timeout(BUSY)
            self._in_use.release()
        if time.monotonic() - begun <= SLOW:
            self._was_slow = False
        elif self._was_slow:  # the log was not just folded into the file, at every 1,000th page
            self._slow_until = begun + AVOID
        else:
            self._was_slow = True
        settle([call])
        return True

    def _run(self, first: Call) -> None:
        try:
            self._db = self._connect()
            self._file = _identity(self._path)
            if self._turn is not None:
                self._turn.open()
        except Exception as error:  # noqa: BLE001  # told to the one who opens
            first.error = translated(error, self._path, self._db)
            deliver([first])
            return
        deliver([first])
        while calls := self._waiting():
            with self._in_use:
                self._group(self._db, calls)
        self._db.close()
        if self._turn is not None:
            self._turn.close()

    def _waiting(self) -> list[Call]:
        """All calls that wait, at least one; none once the lane is closed."""
        calls: list[Call] = []
        more = self._calls.get()
        while more is not None:
            calls += more
            try:
                more = self._calls.get_nowait()
            except queue.Empty:
                return calls
        if calls:
            self._calls.put(None)  # first what is left, then the end
        return calls

    def _group(self, db: OwnDatabase, calls: list[Call]) -> None:
        try:
            self._transact(db, calls, patience=BUSY / 1000)
        except Exception as error:  # noqa: BLE001  # told to the one who called
            if len(calls) == 1:
                calls[0].error = translated(error, self._path, self._db)
            else:  # one of them sank the group: each gets a transaction of its own
                for call in calls:
                    self._group(db, [call])
                return
        deliver(calls)

    def _transact(self, db: OwnDatabase, calls: list[Call], *, patience: float) -> None:
        if self._turn is not None and not self._turn.take(patience):
            raise apsw.BusyError("another process does not stop writing")
        try:
            self._start(db)
            for _, same in groupby(sorted(calls, key=kind), key=kind):
                together = list(same)
                results = together[0].work(db, [call.argument for call in together])
                for call, result in zip(together, results, strict=True):
                    call.result = result
            db.execute("commit")
        finally:
            if db.in_transaction:
                db.execute("rollback")
            if self._turn is not None:
                self._turn.leave()

    def _start(self, db: OwnDatabase) -> None:
        if _identity(self._path) != self._file:
            raise StoreUnavailable(
                f"{self._path} was deleted, moved or replaced while it was open: "
                "put it back, or start again"
            )
        for tries_left in range(TRIES, 0, -1):
            try:
                db.execute(self._begin)
                return
            except apsw.BusyError:
                if tries_left == 1:
                    raise


def _identity(path: str) -> tuple[int, int] | None:
    """Which file a path names; SQLite goes on with the one it opened, wherever that is."""
    try:
        there = os.stat(path)  # noqa: PTH116  # before each transaction
    except FileNotFoundError:
        return None
    return there.st_dev, there.st_ino

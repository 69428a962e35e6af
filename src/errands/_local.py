"""Local tasks: plain functions that run in this process, once, after the request is over.

Those of one request run one after another, in the order in which they were added. One that
fails is logged and stops nothing: not the next, not the connection, not the transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

from ._function import is_async
from .errors import QueueFull
from .executors.thread import Threads

logger = logging.getLogger("errands.local")

CLEANUP = 2.0  # seconds that cancelled tasks have to clean up


class LocalCall(NamedTuple):
    """A function to be called, in the context in which it was added."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    context: Context

    @property
    def name(self) -> str:
        """What to call it in the log."""
        return getattr(self.function, "__qualname__", None) or repr(self.function)


class Locals:
    """Runs the local tasks of all requests, each request's by itself.

    Args:
        threads: How many plain functions run side by side.
        max_pending: How many tasks may wait or run before no more are taken.
    """

    def __init__(self, threads: int, max_pending: int) -> None:
        """Run nothing yet."""
        self._threads, self._max_pending = Threads(threads), max_pending
        self._rows: dict[asyncio.Task[None], deque[LocalCall]] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self.pending = 0  # tasks that were added and have not ended

    def admit(self) -> None:
        """Count one more task.

        Raises:
            QueueFull: if too many are pending.
        """
        if self.pending >= self._max_pending:
            raise QueueFull(
                f"{self.pending} local tasks are pending, and max_pending is {self._max_pending}"
            )
        self.pending += 1

    def dismiss(self, calls: Sequence[LocalCall]) -> None:
        """Count off tasks that were admitted and are not to run."""
        self.pending -= len(calls)

    def start(self, calls: Sequence[LocalCall]) -> None:
        """Run admitted calls one after another."""
        left = deque(calls)
        row = asyncio.get_running_loop().create_task(
            self._run(left), name="errands local tasks", context=left[0].context
        )
        self._rows[row] = left
        row.add_done_callback(self._ended)

    @property
    def is_busy(self) -> bool:
        """Whether a task is running."""
        return bool(self._rows)

    def starving(self) -> tuple[int, float]:
        """How many plain functions wait for a thread, and the first of them for how long."""
        return self._threads.starving()

    async def ended(self) -> None:
        """Wait for all that run now."""
        if self._rows:
            await asyncio.wait(self._rows)

    async def drain(self, grace: float) -> None:
        """Wait up to `grace` seconds, then cancel what still runs and name what is dropped."""
        if self._rows and grace > 0:
            await asyncio.wait(self._rows, timeout=grace)
        rows = list(self._rows)
        for row in rows:
            dropped = ", ".join(call.name for call in self._rows[row])
            logger.warning("local tasks did not end in time and are dropped: %s", dropped)
            self._cancelled.add(row)
            row.cancel()
        if rows:
            await asyncio.wait(rows, timeout=CLEANUP)

    async def _run(self, left: deque[LocalCall]) -> None:
        here = left[0].context  # this row's own: its first task needs none beside it
        while left:
            await self._call(left[0], is_here=left[0].context is here)
            left.popleft()
            self.pending -= 1

    async def _call(self, call: LocalCall, *, is_here: bool) -> None:
        try:
            if not is_async(call.function):
                function = call.function if is_here else partial(call.context.run, call.function)
                await self._threads.run(function, *call.args, **call.kwargs)
            elif is_here:
                await call.function(*call.args, **call.kwargs)
            else:
                loop, error = asyncio.get_running_loop(), _error_of(call)
                if raised := await loop.create_task(error, context=call.context, name=call.name):
                    raise raised
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task in self._cancelled:
                raise
            task.uncancel()  # it cancelled itself, and is not the last of its request
            logger.warning("local task %s cancelled itself", call.name)
        except (KeyboardInterrupt, GeneratorExit):  # meant for the process, or for us
            raise
        except BaseException:  # nobody is left who could be told otherwise
            logger.exception("local task %s failed", call.name)

    def _ended(self, row: asyncio.Task[None]) -> None:
        self._cancelled.discard(row)
        self.pending -= len(self._rows.pop(row))


async def _error_of(call: LocalCall) -> BaseException | None:
    """What the coroutine raises; a task of asyncio that raises `SystemExit` ends the process."""
    try:
        await call.function(*call.args, **call.kwargs)
    except (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001  # it is the answer
        return error
    return None

"""Plain functions run in threads of our own.

They are not the framework's threads, of which there are 40: a hundred slow tasks leave every
endpoint as quick as it was. They are daemons, so that a function that never returns does not
keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

logger = logging.getLogger("errands.worker")

PATIENCE = 2.0  # seconds that an abandoned call gets to notice it
IDLE = 10.0  # seconds after which a thread without work ends


@dataclass(slots=True, eq=False)
class _Call:
    function: Callable[[], Any]
    context: Context
    future: asyncio.Future[Any]
    name: str | None = None
    loop: asyncio.AbstractEventLoop = field(init=False)
    since: float = field(default_factory=time.monotonic)
    is_running: bool = False
    is_abandoned: bool = False

    def __post_init__(self) -> None:
        self.loop = self.future.get_loop()


class Threads:
    """A pool that grows to `limit` threads and shrinks when there is nothing to do.

    A call that is abandoned keeps its thread, which nobody can end. There are up to `limit` of
    those, too; while there are more nothing takes their places.
    """

    def __init__(self, limit: int) -> None:
        """Start no thread yet."""
        self._limit, self._threads, self._idle = limit, 0, 0
        self._left: list[_Call] = []
        self._calls: deque[_Call] = deque()
        self._change = threading.Condition()

    def resize(self, limit: int) -> None:
        """Have up to so many threads from now on; those that run go on."""
        self._limit = max(1, limit)

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function` in a thread, with this coroutine's context variables.

        When this is cancelled, a call that has not started will not; one that has is
        abandoned: it goes on by itself, and no longer counts against the limit.
        """
        return await self.run_named(None, function, *args, **kwargs)

    async def run_named(
        self, name: str | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """As `run`; if the function goes on for long after it was abandoned, it is named."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call = _Call(partial(function, *args, **kwargs), copy_context(), future, name)
        with self._change:
            self._calls.append(call)
            if self._idle >= len(self._calls):
                self._change.notify()
            else:
                self._start_missing()
        try:
            return await future
        except asyncio.CancelledError:
            self._abandon(call)
            raise

    @property
    def left(self) -> list[str]:
        """The names of the abandoned calls that go on, the oldest first."""
        return [call.name for call in list(self._left) if call.name is not None]

    def starving(self) -> tuple[int, float]:
        """How many calls wait for a thread, and the first of them for how many seconds."""
        with self._change:
            calls = list(self._calls)
        return len(calls), time.monotonic() - calls[0].since if calls else 0.0

    def _abandon(self, call: _Call) -> None:
        with self._change:
            if call in self._calls:
                self._calls.remove(call)
            elif call.is_running and not call.is_abandoned:
                self._left.append(call)
                self._replace_left()
                if call.name is not None:
                    call.loop.call_later(PATIENCE, self._report, call)

    def _report(self, call: _Call) -> None:
        if call in self._left:
            logger.error(
                "%s ignores its cancellation and goes on in its thread, without a slot; there are "
                "%d such threads", call.name, len(self._left),
            )  # fmt: skip  # a message and its parts

    def _replace_left(self) -> None:
        """Let others run in place of what was abandoned, up to the limit."""
        for call in self._left[: self._limit]:
            if not call.is_abandoned:
                call.is_abandoned = True
                self._threads -= 1
                self._start_missing()

    def _start_missing(self) -> None:
        if self._threads < self._limit and len(self._calls) > self._idle:
            self._threads += 1
            threading.Thread(target=self._work, name="errands task", daemon=True).start()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            is_abandoned = self._answer(call)
            del call  # an idle thread keeps nothing alive
            if is_abandoned:
                return

    def _answer(self, call: _Call) -> bool:
        result, error = None, None
        try:
            result = call.context.run(call.function)
        except BaseException as raised:  # noqa: BLE001  # told to the one who waits
            error = raised
        with self._change:
            call.is_running = False
            if call in self._left:
                self._left.remove(call)
                self._replace_left()
        with contextlib.suppress(RuntimeError):  # the loop was closed; nobody waits
            call.loop.call_soon_threadsafe(_settle, call.future, result, error)
        return call.is_abandoned

    def _next(self) -> _Call | None:
        with self._change:
            while not self._calls:
                self._idle += 1
                woken = self._change.wait(IDLE)
                self._idle -= 1
                if not woken and not self._calls:
                    self._threads -= 1
                    return None
            call = self._calls.popleft()
            call.is_running = True
            return call


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # abandoned
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration | GeneratorExit):  # a future cannot carry them
        future.set_exception(RuntimeError(f"the function raised {error!r}"))
    else:
        future.set_exception(error)

"""A leash: drives a coroutine, and can let go of one that does not want to end.

A task that swallows its cancellation can be cancelled as often as one likes; the loop that is
to be closed waits for it without end. What nobody drives does not run. Services are on a leash
from their start; of jobs, which are many, those alone are seen to that do not end.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

logger = logging.getLogger("errands.leash")


def let_go(task: asyncio.Task[Any], context: Context) -> None:
    """End a task that swallows its cancellation, which has no say in it.

    Args:
        context: The one that it runs in.

    Its coroutine is closed. If it swallows that as well, it is left as it is, and the loop
    does not wait for it when it is closed.
    """
    coroutine: Any = task.get_coro()
    _close(coroutine, lambda: context.run(coroutine.close))
    if inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:
        task.add_done_callback(_seen)
        task.cancel()
    else:
        asyncio._unregister_task(task)


class Leash:
    """Awaits a coroutine; once it is dropped, a cancellation ends us and not the coroutine."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Drive nothing yet."""
        self._coroutine, self._is_dropped = coroutine, False

    def drop(self) -> None:
        """Let the next cancellation close the coroutine, which has no say in it."""
        self._is_dropped = True

    def __await__(self) -> Generator[Any, Any, Any]:
        """What the coroutine returns."""
        coroutine = self._coroutine
        try:
            awaited = coroutine.send(None)
            while True:
                try:
                    yield awaited
                except BaseException as error:
                    if self._is_dropped:
                        _close(coroutine, coroutine.close)
                        raise
                    awaited = coroutine.throw(error)
                else:
                    awaited = coroutine.send(None)
        except StopIteration as end:
            return end.value


def _close(coroutine: object, close: Callable[[], object]) -> None:
    try:
        close()
    except BaseException:  # raised by its cleanup, which has no time left to await anything
        logger.warning("%s was closed in its midst", coroutine, exc_info=True)


def _seen(task: asyncio.Task[Any]) -> None:
    """Read that the closed coroutine could not go on, which asyncio logs otherwise."""
    if not task.cancelled():
        task.exception()

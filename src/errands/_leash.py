"""A leash: drives a coroutine, and can let go of one that does not want to end.

A task that swallows its cancellation can be cancelled as often as one likes; the loop that is
to be closed waits for it without end. What nobody drives does not run.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any

logger = logging.getLogger("errands.service")


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
        step = partial(self._coroutine.send, None)
        while True:
            try:
                awaited = step()
            except StopIteration as end:
                return end.value
            try:
                yield awaited
            except BaseException as error:
                if self._is_dropped:
                    self._close()
                    raise
                step = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, None)

    def _close(self) -> None:
        try:
            self._coroutine.close()
        except BaseException:  # raised by its cleanup, which has no time left to await anything
            logger.warning("%s was closed in its midst", self._coroutine, exc_info=True)

"""Which error a request is handling right now, if any: so a failed one is told from others.

Frameworks call exception handlers, and send their responses, inside of `except` blocks. So
while a response is sent `sys.exc_info()` tells whether it was raised or returned.
"""

from __future__ import annotations

import asyncio
import sys

HANDLES = "wrapped_app"  # in starlette._exception_handler


class Handling:
    """The errors of the request that begins now.

    Attributes:
        loop: The event loop in which the request is served.
    """

    __slots__ = ("_outside", "_request", "loop")

    def __init__(self) -> None:
        """Take an error that is being handled already for somebody else's."""
        self._outside = sys.exc_info()[1]
        self.loop = asyncio.get_running_loop()
        self._request = asyncio.current_task(self.loop)

    def error(self) -> BaseException | None:
        """The error that is being handled, if the request raised it. May be asked in any thread."""
        error = sys.exc_info()[1]
        if error is not None:
            return None if error is self._outside else error
        return None if asyncio._get_running_loop() is self.loop else _handled_by(self._request)


def _handled_by(request: asyncio.Task[object] | None) -> BaseException | None:
    """The error for which the framework called an exception handler in one of its threads.

    `sys.exc_info()` is a thread's own. But the request waits for the handler in Starlette's
    `except Exception as exc` block, in a coroutine of the name above, and `exc` is bound there
    for just as long.
    """
    coroutine = request.get_coro() if request is not None else None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and frame.f_code.co_name == HANDLES:
            error = frame.f_locals.get("exc")
            if isinstance(error, BaseException):
                return error
        coroutine = getattr(coroutine, "cr_await", None)
    return None

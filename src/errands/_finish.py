"""Await something to its end although we are cancelled meanwhile: what was promised is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The answer of the coroutine; a cancellation is passed on once it has ended.

    What is to be finished must end by itself, and soon.
    """
    task = asyncio.ensure_future(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:  # anyio cancels again and again
            cancelled = error
    answer = task.result()
    if cancelled is not None:
        raise cancelled
    return answer

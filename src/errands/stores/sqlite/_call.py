"""A call of a lane: work that is asked for, and whoever waits for its answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ._database import Database

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Work: TypeAlias = Callable[[Database, list[Asked]], list[Answer]]


@dataclass(slots=True)
class Call:
    """What was asked for, and what became of it."""

    work: Work[Any, Any]
    argument: Any
    loop: asyncio.AbstractEventLoop | None  # whose future it is; `None` for a blocked thread's
    future: Any  # asyncio's, or a thread's
    result: Any = None
    error: BaseException | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        if self.future.done():
            yield  # others get their turn, as they would while we wait
        return (yield from self.future)


def kind(call: Call) -> int:
    """What calls have in common that are handled at once."""
    return id(call.work)


def deliver(calls: list[Call]) -> None:
    """Tell those who wait, each in its own event loop, from the thread of a lane."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Call]] = defaultdict(list)
    for call in calls:
        if call.loop is None:
            settle([call])
        else:
            by_loop[call.loop].append(call)
    for loop, mine in by_loop.items():
        try:
            loop.call_soon_threadsafe(settle, mine)
        except RuntimeError:  # the loop was closed, and with it whoever waited
            continue


def settle(calls: list[Call]) -> None:
    """Tell those who wait, in their event loop; whoever waits in a thread, from anywhere."""
    for call in calls:
        if call.future.done():  # whoever waited was cancelled
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.result)

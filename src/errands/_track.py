"""Go through items, and tell the progress of the running job meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from typing import Any, TypeVar, overload

from ._run import progress

T = TypeVar("T")


@overload
def track(
    items: Iterable[T], text: str | None = None, *, total: float | None = None
) -> Iterator[T]: ...
@overload
def track(
    items: AsyncIterable[T], text: str | None = None, *, total: float | None = None
) -> AsyncIterator[T]: ...
def track(items: Any, text: str | None = None, *, total: float | None = None) -> Any:
    """Go through `items`, plain or asynchronous, and tell the progress of the job meanwhile.

    Args:
        text: What is being done, in a few words.
        total: How many there are, where `len(items)` does not say.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    steps = _track_async if isinstance(items, AsyncIterable) else _track
    return steps(items, text, total)


def _track(items: Iterable[T], text: str | None, total: float | None) -> Iterator[T]:
    done = 0
    progress(done, total, text)
    for item in items:
        yield item
        done += 1
        progress(done, total, text)


async def _track_async(
    items: AsyncIterable[T], text: str | None, total: float | None
) -> AsyncIterator[T]:
    done = 0
    progress(done, total, text)
    async for item in items:
        yield item
        done += 1
        progress(done, total, text)

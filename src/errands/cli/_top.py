"""`errands top`: queues, workers and the last failures, live in a terminal."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress

import click

from errands import Errands
from errands.errors import StoreUnavailable

from ._keys import pressed
from ._reach import Reach, reaching, with_json
from ._tables import HAS_RICH, write_json
from ._view import View, look

PAUSE = 1.0  # seconds between two looks
REST = 10.0  # a look that takes long is followed by so many times its time


@click.command("top", context_settings={"max_content_width": 100})
@with_json
@reaching
def top_command(reach: Reach, *, is_json: bool) -> None:
    """Watch queues, workers and the last failures, live; q or Ctrl-C ends it.

    With --json it looks once. It looks every second or, where a look takes longer than a tenth
    of that, as seldom as it has to for the store to have nine tenths of its time for others.
    """
    if is_json:
        write_json(reach.run(look).as_json())
        return
    if not HAS_RICH:
        raise click.ClickException("a live picture needs rich: pip install 'errands[cli]'")
    if not sys.stdout.isatty():
        raise click.UsageError("this is no terminal: errands top --json looks once")
    reach.run(_watch)


async def _watch(errands: Errands) -> None:
    """Draw until somebody has had enough."""
    from rich.live import Live  # noqa: PLC0415  # an extra, and slow to import

    from ._drawing import Drawing  # noqa: PLC0415  # as above

    is_over = asyncio.Event()

    def take(keys: str) -> None:
        if "q" in keys.lower() or "\x03" in keys:
            is_over.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, is_over.set)
    view, pause = await look(errands), PAUSE
    with Live(Drawing(view, pause), screen=True, auto_refresh=False) as live, pressed(take):
        live.refresh()
        while not await _over_within(is_over, pause):
            view, pause, trouble = await next_look(errands, view)
            live.update(Drawing(view, pause, trouble), refresh=True)


async def next_look(errands: Errands, before: View) -> tuple[View, float, str]:
    """The next view, how long to wait after it, and what kept it."""
    begin = time.monotonic()
    try:
        view = await look(errands, before)
    except StoreUnavailable as error:  # the picture stays, and says so
        return before, PAUSE, f"the store is away: {error}"
    return view, pause_after(time.monotonic() - begin), ""


def pause_after(took: float) -> float:
    """Seconds until the next look, after one that took so many."""
    return max(PAUSE, REST * took)


async def _over_within(is_over: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await is_over.wait()
    return is_over.is_set()

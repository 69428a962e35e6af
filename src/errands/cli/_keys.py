"""Keys: read one by one from the terminal, without a return after each."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

try:
    import termios
    import tty
except ImportError:  # Windows, where Ctrl-C ends what runs
    HAS_KEYS = False
else:
    HAS_KEYS = True


@contextmanager
def pressed(take: Callable[[str], object]) -> Iterator[None]:
    """Have `take` called in the running event loop with what is typed, while in the block."""
    if not HAS_KEYS or not sys.stdin.isatty():
        yield
        return
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, lambda: take(os.read(keyboard, 64).decode(errors="replace")))
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

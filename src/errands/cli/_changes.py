"""Changes: which Python files of a folder were written since one looked last."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

try:
    import watchfiles
except ImportError:
    HAS_WATCHFILES = False
else:
    HAS_WATCHFILES = True

LOOK = 0.5  # seconds between two looks, where nobody tells
NOT_OURS = frozenset({"__pycache__", "node_modules", "site-packages"})


async def changes(folder: Path) -> AsyncIterator[set[Path]]:
    """Each time Python files in the folder change, all that did."""
    found = _told(folder) if HAS_WATCHFILES else looked_for(folder)
    async for paths in found:
        yield paths


async def _told(folder: Path) -> AsyncIterator[set[Path]]:
    """By the operating system."""
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it says less than we do
    only = watchfiles.PythonFilter()
    async for found in watchfiles.awatch(folder, watch_filter=only, step=20, debounce=200):
        yield {Path(path) for _, path in found}


async def looked_for(folder: Path, pause: float = LOOK) -> AsyncIterator[set[Path]]:
    """By looking again and again."""
    before = await asyncio.to_thread(_stamps, folder)
    while True:
        await asyncio.sleep(pause)  # nobody tells
        now = await asyncio.to_thread(_stamps, folder)
        changed = {Path(path) for path, _ in now.items() ^ before.items()}
        before = now
        if changed:
            yield changed


def _stamps(folder: Path) -> dict[str, int]:
    return dict(_stamped(str(folder)))


def _stamped(folder: str) -> Iterator[tuple[str, int]]:
    for path, folders, files in os.walk(folder):
        if "pyvenv.cfg" in files:  # a virtual environment
            folders.clear()
            continue
        folders[:] = [name for name in folders if name[0] != "." and name not in NOT_OURS]
        for name in files:
            if name.endswith((".py", ".pyw")):
                file = os.path.join(path, name)  # noqa: PTH118  # many, and often
                try:
                    yield file, os.stat(file).st_mtime_ns  # noqa: PTH116  # as above
                except FileNotFoundError:  # it went while we looked
                    continue

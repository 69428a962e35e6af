"""Many jobs that do nothing, through one process; `apps_noop.py URL JOBS`.

What it prints is JSON: the memory while it went on, and what was left behind in the end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from errands import Errands
from errands.testing import drain

AT_ONCE, LOOKS = 500, 40
PAGE = os.sysconf("SC_PAGE_SIZE")


async def nothing(number: int) -> None:
    pass


def resident() -> int:
    """The memory of this process, in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def left() -> dict[str, list[str]]:
    """What a process may leak, by name."""
    descriptors = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            descriptors.append(str(link.readlink()))
        except FileNotFoundError:  # the one that listed them
            continue
    return {
        "descriptors": sorted(descriptors),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "tasks": sorted(task.get_name() for task in asyncio.all_tasks()),
    }


async def main(url: str, jobs: int) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # or it may have two
    await asyncio.to_thread(int)  # its own thread stays, whoever uses it first
    before, memory = left(), list[tuple[int, int]]()
    errands = Errands(url)
    errands.task(nothing)
    every = max(jobs // LOOKS // AT_ONCE * AT_ONCE, AT_ONCE)
    async with errands.working():
        for first in range(0, jobs, AT_ONCE):
            await errands.add_tasks((nothing, n) for n in range(first, first + AT_ONCE))
            await drain(errands)
            if (first + AT_ONCE) % every == 0:
                memory.append((first + AT_ONCE, resident()))
    found = {str(state): number for (_, state), number in (await counted(url)).items()}
    print(json.dumps({"memory": memory, "before": before, "after": left(), "count": found}))


async def counted(url: str) -> dict[tuple[str, str], int]:
    """How many jobs there are, says one who comes later."""
    async with Errands(url) as errands:
        return {(queue, str(state)): n for (queue, state), n in (await errands.count()).items()}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

"""Four threads that add jobs one by one, each in a loop of its own; `apps_adders.py URL TEXT`.

It says `ready`, and begins when its input is closed. What it prints then is JSON:
`{"seconds": […], "errors": […]}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from errands import Errands

THREADS, EACH = 4, 25
is_open, may_begin = threading.Barrier(THREADS + 1, timeout=20), threading.Event()


async def kept(text: str) -> None:
    pass


async def add(url: str, label: str) -> tuple[list[float], list[str]]:
    """Add jobs, and say how long each took and what went wrong."""
    errands, seconds, errors = Errands(url), list[float](), list[str]()
    errands.task(name="kept")(kept)
    async with errands:
        is_open.wait()
        may_begin.wait()
        for number in range(EACH):
            begin = time.perf_counter()
            try:
                await errands.add_task(kept, f"{label}-{number}")
            except Exception as error:  # noqa: BLE001  # told to the test
                errors.append(f"{type(error).__name__}: {error}")
            seconds.append(time.perf_counter() - begin)
    return seconds, errors


def main(url: str, label: str) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        adding = pool.map(lambda n: asyncio.run(add(url, f"{label}-{n}")), range(THREADS))
        is_open.wait()
        print("ready", flush=True)
        sys.stdin.read()
        may_begin.set()
        answers = list(adding)
    everything = {
        "seconds": [each for seconds, _ in answers for each in seconds],
        "errors": [each for _, errors in answers for each in errors],
    }
    print(json.dumps(everything))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A process that forks while its store is open, as gunicorn does with `--preload`.

`apps_fork.py URL inherited`: the child goes on with the store that its parent has opened.
`apps_fork.py URL own`: the child opens another one on the same file.

The parent adds jobs before, meanwhile and after. What it prints is JSON: what the parent had
kept, and how the child fared.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from typing import Any

from errands import Errands
from errands.errors import ErrandsError

PATIENCE = 5.0  # seconds after which the child has been left hanging


def kept(text: str) -> None:
    pass


def errands_at(url: str) -> Errands:
    errands = Errands(url)
    errands.task(name="kept")(kept)
    return errands


async def child(url: str, errands: Errands, kind: str) -> dict[str, Any]:
    """Add jobs, and say how that went."""
    added, error = list[str](), None
    try:
        async with asyncio.timeout(PATIENCE):
            if kind == "own":
                async with errands_at(url) as mine:
                    added += [(await mine.add_task(kept, f"c{n}")).id for n in range(50)]
            else:
                added += [(await errands.add_task(kept, f"c{n}")).id for n in range(50)]
    except (ErrandsError, TimeoutError) as refusal:
        error = refusal
    return {
        "added": added,
        "error": type(error).__name__ if error else None,
        "is_ours": isinstance(error, ErrandsError),
        "words": str(error),
    }


def forked(url: str, errands: Errands, kind: str) -> tuple[int, int]:
    """The child's id, and where its report can be read."""
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: there are threads
        pid = os.fork()
    if pid:
        os.close(writes)
        return pid, reads
    status = 1
    try:
        asyncio._set_running_loop(None)  # the parent's, which a fork leaves in place
        report = asyncio.run(child(url, errands, kind))
        os.write(writes, json.dumps(report).encode())
        status = 0
    finally:
        os._exit(status)


async def main(url: str, kind: str) -> None:
    errands, added = errands_at(url), list[str]()
    async with errands.working():
        added += [(await errands.add_task(kept, f"b{n}")).id for n in range(20)]
        pid, reads = forked(url, errands, kind)
        reading = asyncio.create_task(asyncio.to_thread(read_all, reads))
        while not reading.done():
            added.append((await errands.add_task(kept, "m")).id)
            await asyncio.sleep(0.002)
        _, status = os.waitpid(pid, 0)
        added += [(await errands.add_task(kept, f"a{n}")).id for n in range(20)]
        await asyncio.wait_for(errands.result(added[-1]), PATIENCE)
    report = json.loads(await reading or "{}")
    print(json.dumps({"added": added, "child": report, "status": status}))


def read_all(file: int) -> bytes:
    with os.fdopen(file, "rb") as reports:
        return reports.read()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

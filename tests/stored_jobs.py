"""The jobs of a store that other processes work on, by what each was given."""

from __future__ import annotations

import asyncio
import json

from errands import Errands, Job


def stored_at(url: str) -> dict[str, Job]:
    """All jobs in the store, however many, by the text that each was given."""
    return asyncio.run(_look(url))


async def _look(url: str) -> dict[str, Job]:
    found: dict[str, Job] = {}
    async with Errands(url) as errands:
        page = await errands.jobs(limit=1000)
        while page:
            found |= {json.loads(job.payload)["text"]: job for job in page}
            page = await errands.jobs(limit=1000, before=page[-1].id)
    return found

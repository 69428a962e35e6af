"""Outcomes are stored, whatever one of them is like."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from errands import Errands, Job, State
from errands.stores.memory import MemoryStore
from errands.testing import drain


class Choosy(MemoryStore):
    """A store that cannot write one result, whether alone or among others."""

    async def save(self, jobs: Sequence[Job]) -> set[str]:
        if any(job.result == '"odd"' for job in jobs):
            raise OverflowError("too odd")
        return await super().save(jobs)


@pytest.mark.errands_falls  # its error is what is meant
async def test_an_outcome_that_cannot_be_stored_fails_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those that are saved with it are done, and the worker goes on."""
    errands = Errands(Choosy())
    together = asyncio.Barrier(3)

    @errands.task
    async def echo(word: str) -> str:
        await together.wait()
        return word

    with caplog.at_level(logging.ERROR, "errands"):
        async with errands.working():
            for words in (("one", "odd", "two"), ("three", "odd", "four")):
                jobs = await errands.add_tasks((echo, word) for word in words)
                await drain(errands)
                ended = [await errands.job(job.id) for job in jobs]

                states = [job.state for job in ended if job is not None]
                assert [State.DONE, State.FAILED, State.DONE] == states
                assert ended[1] is not None
                why = "Its outcome, done, cannot be stored: OverflowError: too odd"
                assert why == ended[1].error
    assert 2 == len(caplog.records)
    assert "cannot be stored: it has failed" in caplog.text


async def test_a_long_text_of_a_progress_is_cut() -> None:
    """It is written ten times a second, and shown in one line."""
    from errands import progress

    errands = Errands("memory:")

    @errands.task
    async def tell() -> None:
        progress(1, 2, "x" * 1_000_000)

    async with errands.working():
        job = await errands.add_task(tell)
        await drain(errands)
        ended = await errands.job(job.id)
    assert ended is not None
    assert ended.progress is not None
    assert "x" * 1000 == ended.progress.text

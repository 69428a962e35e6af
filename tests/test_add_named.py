"""A call that is added by the name of its task, as doors know it."""

from __future__ import annotations

import pytest

from errands import Errands
from errands.errors import NotSerializable, UnknownTask


@pytest.fixture
def errands(errands: Errands) -> Errands:
    @errands.task(name="join", queue="texts", priority=3)
    async def join(first: str, *more: str, end: str = ".") -> str:
        return " ".join((first, *more)) + end

    return errands


async def test_the_arguments_go_to_their_parameters(errands: Errands) -> None:
    """By name, whatever kind the parameter is of."""
    async with errands.working():
        job = await errands.add_named("join", {"first": "a", "more": ["b", "c"], "end": "!"})

        assert "a b c!" == await errands.result(job, timeout=10)
    assert ("texts", 3, None) == (job.queue, job.priority, job.group)


async def test_a_place_may_be_told(errands: Errands) -> None:
    """Instead of the task's own."""
    async with errands:
        job = await errands.add_named("join", {"first": "a"}, queue="q", priority=-1, group="g")

    assert ("q", -1, "g") == (job.queue, job.priority, job.group)


async def test_what_does_not_fit_is_refused(errands: Errands) -> None:
    """A task that there is not, and arguments that it cannot read."""
    async with errands:
        with pytest.raises(UnknownTask, match="none"):
            await errands.add_named("none", {})
        for arguments in ({}, {"first": 1}):
            with pytest.raises(NotSerializable, match="join: arguments cannot be read"):
                await errands.add_named("join", arguments)
        assert [] == await errands.jobs()

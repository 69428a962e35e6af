"""Additions to the PostgreSQL store of jobs that wait for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from ..._job import Job
from ..._store import OnConflict
from .._waits import family_of, new_children, require_kept, settled
from . import _adding
from ._lane import Work
from ._link import Session
from ._waiting import keep, locked, require_no_circle


async def _add(
    on_conflict: OnConflict, session: Session, calls: list[Sequence[Job]]
) -> list[list[Job]]:
    """See `Store.add`."""
    answers = []
    for jobs in calls:
        async with session.transaction():
            answers.append(await _add_one(on_conflict, session, jobs))
    return answers


async def _add_one(on_conflict: OnConflict, session: Session, jobs: Sequence[Job]) -> list[Job]:
    there = await locked(session, family_of(jobs))
    ready = settled(jobs, there)
    [kept] = await _adding.BY[on_conflict](session, [ready])
    require_kept(ready, kept, there)
    children = new_children(ready, kept)
    await keep(session, children, {job.id: job.state for job in kept} | there)
    replaced = {stays.id for job, stays in zip(jobs, kept, strict=True) if stays.id != job.id}
    await require_no_circle(session, [job for job in children if job.id in replaced])
    return kept


BY: Mapping[OnConflict, Work[Sequence[Job], list[Job]]] = {
    "keep": partial(_add, "keep"), "raise": partial(_add, "raise"),
    "replace": partial(_add, "replace"),
}  # fmt: skip  # a row

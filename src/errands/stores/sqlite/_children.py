"""Additions to the SQLite store of jobs that wait for others."""

from __future__ import annotations

from collections.abc import Sequence

from ..._job import Job
from ..._store import OnConflict
from .._waits import family_of, new_children, require_kept, settled
from . import _sql
from ._database import Database
from ._waiting import keep, require_no_circle, states_of


def add(db: Database, calls: list[tuple[Sequence[Job], OnConflict]]) -> list[list[Job]]:
    """See `Store.add`."""
    return [_add(db, jobs, on_conflict) for jobs, on_conflict in calls]


def _add(db: Database, jobs: Sequence[Job], on_conflict: OnConflict) -> list[Job]:
    there = states_of(db, family_of(jobs))
    work = _sql.add if on_conflict == "keep" else _sql.add_anyway
    ready = settled(jobs, there)
    [kept] = work(db, [(ready, on_conflict)])
    require_kept(ready, kept, there)
    children = new_children(ready, kept)
    keep(db, children)
    replaced = {stays.id for job, stays in zip(jobs, kept, strict=True) if stays.id != job.id}
    require_no_circle(db, [job for job in children if job.id in replaced])
    return kept

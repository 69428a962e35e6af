"""Saves and removals in SQLite that let the next jobs of a limit start."""

from __future__ import annotations

from collections.abc import Sequence

from ..._job import Job
from .._waits import Saved
from . import _limits, _sql
from ._database import Database


def save(db: Database, calls: list[Sequence[Job]]) -> list[Saved]:
    """As `_sql.save`; each job that does not run any more gives its place to another."""
    answers = _sql.save(db, calls)
    freed = _limits.pass_on(db, [job for jobs in calls for job in jobs])
    return [Saved.of(saved, frees=saved.frees or freed > 0) for saved in answers]


def remove(db: Database, calls: list[Sequence[Job]]) -> list[Saved]:
    """As `_sql.remove`, and as `save`."""
    answers = _sql.remove(db, calls)
    gone = set[str]().union(*answers)
    removed = [job.unclaimed() for jobs in calls for job in jobs if job.id in gone]
    freed = _limits.pass_on(db, removed)
    return [Saved.of(ids, frees=ids.frees or freed > 0) for ids in answers]

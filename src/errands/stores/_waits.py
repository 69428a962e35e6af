"""Who waits for whom: what every store has to know of jobs with `waits_for`.

A store remembers pairs of a parent and a child, from when the child is kept until the parent
is forgotten. A pair is over once its parent has ended; a child with no other pair is free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from operator import attrgetter

from .._job import FINAL, WAITING, Job, State
from ..errors import UnknownJob

PARENTS = attrgetter("waits_for")
Pair = tuple[str, str, bool]  # parent, child, whether it is over


class Saved(set[str]):
    """The ids that were written.

    Attributes:
        frees: Whether other jobs became free by that.
    """

    frees = False

    @classmethod
    def of(cls, ids: Iterable[str], *, frees: bool) -> Saved:
        """These ids."""
        saved = cls(ids)
        saved.frees = frees
        return saved

    @classmethod
    def all_of(cls, saves: Sequence[Saved]) -> Saved:
        """What several saves have written."""
        return cls.of(chain.from_iterable(saves), frees=any(saved.frees for saved in saves))


def wait(jobs: Iterable[Job]) -> bool:
    """Whether one of these jobs has others that it waits for, or did."""
    return any(map(PARENTS, jobs))  # at each addition: a generator takes three times as long


def are_kept_back(jobs: Iterable[Job]) -> bool:
    """Whether one of these jobs is to wait for others from now on."""
    return any(map(is_kept_back, jobs))


def is_kept_back(job: Job) -> bool:
    """Whether it waits for other jobs; a limit might have the key that `WAITING` is."""
    return job.blocked_by == WAITING and bool(job.waits_for)


def parents_of(jobs: Iterable[Job]) -> list[str]:
    """The ids that these jobs wait for, in order, each once; none of one that has ended."""
    return sorted({parent for job in jobs if not job.is_final for parent in job.waits_for})


def family_of(jobs: Iterable[Job]) -> list[str]:
    """The ids of these jobs and of those that they wait for, in order, each once."""
    return sorted({each for job in jobs for each in (job.id, *job.waits_for)})


def settled(jobs: Sequence[Job], there: Mapping[str, State]) -> list[Job]:
    """The jobs, free where all that they wait for has ended.

    Args:
        there: The states of those of their family that are stored.

    Raises:
        UnknownJob: if a job that is to wait has a parent which is nowhere.
        ValueError: if they wait for each other in a circle.
    """
    _require_order(jobs)
    known = {job.id: job.state for job in jobs} | dict(there)
    for job in jobs:
        unknown = [each for each in job.waits_for if each not in known]
        if unknown and is_kept_back(job) and job.id not in there:
            raise UnknownJob(job.task, unknown[0])
    return [_settled(job, known) for job in jobs]


def require_kept(jobs: Sequence[Job], kept: Sequence[Job], there: Collection[str]) -> None:
    """See that who is waited for was kept, and not another job that had its key.

    Raises:
        UnknownJob: naming the one.
    """
    stored = {job.id for job in kept}.union(there)
    for job, stays in zip(jobs, kept, strict=True):
        lost = [parent for parent in stays.waits_for if parent not in stored]
        if (
            lost
            and job.id not in there
            and stays.waits_for == job.waits_for
            and is_kept_back(stays)
        ):
            raise UnknownJob(job.task, lost[0])


def new_children(jobs: Sequence[Job], kept: Sequence[Job]) -> list[Job]:
    """Those of which something is to be remembered: not what had its key before; each once."""
    last = {stays.id: (job, stays) for job, stays in zip(jobs, kept, strict=True)}
    return [
        stays
        for job, stays in last.values()
        if stays.waits_for and stays.waits_for == job.waits_for and not stays.is_final
    ]


def pairs_of(jobs: Iterable[Job], known: Mapping[str, State]) -> list[Pair]:
    """What is to be remembered of jobs that were kept.

    Args:
        known: The states of all their parents; of one that is missing nothing is remembered.
    """
    return [
        (parent, job.id, known[parent] in FINAL)
        for job in jobs
        if not job.is_final
        for parent in dict.fromkeys(job.waits_for)
        if parent in known
    ]


def refusal_of_circle(job: Job) -> ValueError:
    """What to say where a job would wait for itself."""
    return ValueError(
        f"job {job.id} ({job.task}) would wait for itself: leave out of its waits_for whatever "
        "waits for it"
    )


def _settled(job: Job, known: Mapping[str, State]) -> Job:
    left = [each for each in job.waits_for if each in known and known[each] not in FINAL]
    if left or not is_kept_back(job):
        return job
    return replace(job, blocked_by=None, free_at=job.due_at)


def _require_order(jobs: Sequence[Job]) -> None:
    own = {job.id: job for job in jobs}
    graph = {job.id: [each for each in job.waits_for if each in own] for job in jobs}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise refusal_of_circle(own[error.args[1][0]]) from None

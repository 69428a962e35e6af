"""Moving house: jobs and schedules of one store copied into another, as they are, and compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path

import msgspec

from ._job import Job, State
from ._query import Query
from ._store import Store
from .errors import StoreInUse, StoreUnavailable
from .stores import store_at, without_password

PAGE = 200  # jobs that are read, and added, at once
LISTED = 100  # differences that are told one by one
UNFINISHED = (State.QUEUED, State.RUNNING)

Counts = Mapping[tuple[str, State], int]
Tell = Callable[[int, int], object]
Pair = tuple[Job | None, Job | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a move did, and what the two stores hold now.

    Attributes:
        copied: Jobs that were added to the target.
        skipped: Jobs of the source that were there already, alike or not.
        counts: How many jobs each queue has in each state, in the source and in the target.
        checksums: SHA-256 over every field of every job, in the source and in the target.
        differences: What is not alike, a sentence for each schedule and for the first 100 jobs.
        schedules: How many schedules the source has.
        schedules_copied: Those that were added to the target.
        keeps_links: Whether the target has the secret of the source, so that the signed links
            which were made to its jobs are good.
    """

    copied: int
    skipped: int
    counts: tuple[Counts, Counts]
    checksums: tuple[str, str]
    differences: tuple[str, ...]
    schedules: int = 0
    schedules_copied: int = 0
    keeps_links: bool = True

    @property
    def jobs(self) -> int:
        """How many the source has."""
        return sum(self.counts[0].values())

    @property
    def is_equal(self) -> bool:
        """Whether both stores hold the same jobs, alike in every field, and schedules."""
        are_alike = self.counts[0] == self.counts[1] and self.checksums[0] == self.checksums[1]
        return are_alike and not self.differences


def _untold(done: int, total: int) -> None:
    """Nobody wants to know."""


async def move(source: str, target: str, *, force: bool = False, tell: Tell = _untold) -> Move:
    """Copy every job and schedule of one store into another, as it is, and compare the two.

    Args:
        source: The URL of a store. Its jobs stay there.
        target: The URL of another. A job of the same id, and a schedule of the same name, is
            left as it is there: so a move that was interrupted goes on where it was, and one
            that is repeated undoes nothing.
        force: Do so although a worker seems to live; then the two may differ in the end.
        tell: Called now and then with how many jobs are done, and how many there are.

    Raises:
        StoreInUse: if a worker lives on one of the stores, or a lease is not over.
        StoreUnavailable: if one of them does not answer, or the file of the source is not
            there; what is copied by then stays.
        ValueError: if both URLs are the same, one is of no store, or of one in memory; or if
            the target cannot keep what is in a job.
    """
    for url in (source, target):
        if url.startswith("memory:"):
            raise ValueError(f"{url!r}: jobs in memory end with their process. Name another store")
    if source == target:
        raise ValueError(f"{without_password(source)}: source and target are the same store")
    stores = store_at(source), store_at(target)
    file: Path | None = getattr(stores[0], "path", None)  # of those that are one
    if file is not None and not await asyncio.to_thread(file.exists):
        raise StoreUnavailable(
            f"{without_password(source)}: there is no such file, and so nothing to move. Is its "
            "URL right? A path that begins at the root has four slashes: sqlite:////var/…"
        )
    async with stores[0] as old, stores[1] as new:
        if not force:
            await _require_rest(old, without_password(source))
            await _require_rest(new, without_password(target))
        # where there are no jobs nobody has links to them, and so its own secret is not needed
        await new.keep_secret(await old.secret(), is_over=not await new.count())
        copied, skipped = await _copy(old, new, tell)
        schedules_copied = await _copy_schedules(old, new)
        checksums, differences = await _compare(old, new)
        schedules, others = await _compare_schedules(old, new)
        counts = await old.count(), await new.count()
        keeps_links = await old.secret() == await new.secret()
    return Move(
        copied=copied,
        skipped=skipped,
        counts=counts,
        checksums=checksums,
        differences=(*others, *differences),
        schedules=schedules,
        schedules_copied=schedules_copied,
        keeps_links=keeps_links,
    )


async def _require_rest(store: Store, shown: str) -> None:
    """See that nobody works on a store.

    Raises:
        StoreInUse: if somebody does, or may.
    """
    now = await store.now()
    await store.rescue(now)  # so that those who died are known to have gone
    if alive := [worker for worker in await store.workers() if worker.is_alive(now)]:
        raise StoreInUse(
            f"{shown}: worker {alive[0].worker} is alive, process {alive[0].pid} on "
            f"{alive[0].host}{f', and {len(alive) - 1} more' if alive[1:] else ''}. Stop all "
            "workers; one that was killed counts as alive for 20 seconds."
        )
    async with aclosing(_walk(store, [State.RUNNING])) as running:
        async for job in running:
            if job.free_at > now:
                raise StoreInUse(
                    f"{shown}: {job.worker} holds job {job.id} ({job.task}) until "
                    f"{job.free_at:%H:%M:%S} UTC. Stop that process, or wait until then."
                )


async def _copy(old: Store, new: Store, tell: Tell) -> tuple[int, int]:
    """Add what is missing, and say how many jobs that were, and how many were there."""
    total = sum((await old.count()).values())
    missing: list[Job] = []
    ahead: set[str] = set()  # of their turn, as somebody waits for them
    copied = skipped = done = 0
    async with aclosing(_pairs(old, new)) as pairs:
        async for mine, theirs in pairs:
            if mine is None:
                continue
            done += 1
            if theirs is None or mine.id in ahead:
                missing.append(mine)
            else:
                skipped += 1
            if done % PAGE == 0:
                ahead |= await _add_parents(old, new, missing)
                copied += await _added(new, missing)
                missing = []
                tell(done, total)
    ahead |= await _add_parents(old, new, missing)
    copied += await _added(new, missing)
    tell(done, total)
    return copied, skipped


async def _add_parents(old: Store, new: Store, jobs: Sequence[Job]) -> set[str]:
    """Add what unfinished jobs have waited for, or wait for, before them; say which those are.

    Older jobs come later, and a store keeps nobody who waits for a job that it does not have.
    """
    found: dict[str, Job] = {}
    more = [job for job in jobs if not job.is_final]
    while wanted := {each for job in more for each in job.waits_for} - set(found):
        parents = await asyncio.gather(*(old.get(each) for each in wanted))
        more = [job for job in parents if job is not None and job.id not in found]
        found |= {job.id: job for job in more}
        more = [job for job in more if not job.is_final]
    there = await new.states(list(found))
    await new.add([job for job in found.values() if job.id not in there])
    return set(found) - set(there)


async def _added(store: Store, jobs: Sequence[Job]) -> int:
    kept = await store.add(jobs)
    return sum(there.id == job.id for job, there in zip(jobs, kept, strict=True))


async def _copy_schedules(old: Store, new: Store) -> int:
    """Add those that are missing, and say how many that were.

    Each begins its count of changes anew, as any that a store has not had before.
    """
    there = {schedule.name for schedule in await new.schedules()}
    missing = [replace(each, version=1) for each in await old.schedules() if each.name not in there]
    return len(await new.put_schedules(missing)) if missing else 0


async def _compare_schedules(old: Store, new: Store) -> tuple[int, list[str]]:
    """How many the source has, and which of them are not alike."""
    here = {each.name: replace(each, version=1) for each in await old.schedules()}
    there = {each.name: replace(each, version=1) for each in await new.schedules()}
    differences: list[str] = []
    for name in sorted(here.keys() | there.keys()):
        if name not in here:
            differences.append(f"schedule {name!r} is in the target only")
        elif here[name] != there.get(name):
            how = "another one there" if name in there else "not in the target"
            differences.append(f"schedule {name!r} is {how}")
    return len(here), differences


async def _compare(old: Store, new: Store) -> tuple[tuple[str, str], tuple[str, ...]]:
    """The checksums of both, and what differs."""
    checksums = sha256(), sha256()
    differences: list[str] = []
    async with aclosing(_pairs(old, new)) as pairs:
        async for mine, theirs in pairs:
            for job, checksum in zip((mine, theirs), checksums, strict=True):
                if job is not None:
                    checksum.update(msgspec.json.encode(job) + b"\n")
            if mine != theirs and len(differences) < LISTED:
                differences.append(await _difference(mine, theirs, new))
    return (checksums[0].hexdigest(), checksums[1].hexdigest()), tuple(differences)


async def _difference(mine: Job | None, theirs: Job | None, new: Store) -> str:
    if mine is None:
        assert theirs is not None  # or there would be no pair
        return f"job {theirs.id} ({theirs.task}) is in the target only"
    name = f"job {mine.id} ({mine.task})"
    if theirs is not None:
        values = ((f.name, getattr(mine, f.name), getattr(theirs, f.name)) for f in fields(Job))
        other = ", ".join(name for name, here, there in values if here != there)
        return f"{name} is {mine.state} in the source, {theirs.state} in the target; other: {other}"
    rivals = [] if mine.key is None else await new.find(Query(key=mine.key, states=UNFINISHED))
    if rivals and not mine.is_final:
        return f"{name} is not in the target: job {rivals[0].id} there has its key {mine.key!r}"
    return f"{name} is in the source only"


async def _pairs(old: Store, new: Store) -> AsyncGenerator[Pair]:
    """The jobs of both stores, newest first, each beside that of the same id.

    What is added to the new one meanwhile, and was passed by, is not seen: pages go downward.
    """
    async with aclosing(_walk(old)) as left, aclosing(_walk(new)) as right:
        mine, theirs = await anext(left, None), await anext(right, None)
        while mine is not None or theirs is not None:
            newest = max(job.id for job in (mine, theirs) if job is not None)
            pair = (
                mine if mine is not None and mine.id == newest else None,
                theirs if theirs is not None and theirs.id == newest else None,
            )
            yield pair
            mine = mine if pair[0] is None else await anext(left, None)
            theirs = theirs if pair[1] is None else await anext(right, None)


async def _walk(store: Store, states: Collection[State] = ()) -> AsyncGenerator[Job]:
    """Its jobs, newest first."""
    before: str | None = None
    while page := await store.find(Query(states=states, before=before, limit=PAGE)):
        for job in page:
            yield job
        before = page[-1].id

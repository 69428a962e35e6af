"""An entry: what one request has added, and which of these are to be stored together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._job import Job
from ._local import LocalCall
from ._options import DEFAULT, Options
from ._store import OnConflict


@dataclass(slots=True, eq=False)
class Entry:
    """One addition: a job, or a call if the function was not declared."""

    what: Job | LocalCall
    options: Options = DEFAULT
    survives: bool = False  # kept although the handler raises
    only_then: bool = False  # and not kept if it does not
    stored: Job | None = None

    @property
    def is_unstored(self) -> bool:
        """Whether it is a job that the store is to have and does not."""
        return isinstance(self.what, Job) and self.stored is None and not self.only_then


def batches(entries: list[Entry]) -> list[list[Entry]]:
    """Entries that are to be stored together: whoever waits for a job, with it or after it."""
    batches: dict[tuple[int, OnConflict], list[Entry]] = {}
    level = 0
    for entry in entries:
        level += bool(entry.options.waits_for) and bool(batches)
        batches.setdefault((level, entry.options.on_conflict), []).append(entry)
    return list(batches.values())


def waiting_for_stored(job: Job, entries: list[Entry]) -> Job:
    """The job, waiting for what is stored in the place of those that it was to wait for."""
    stored = {
        entry.what.id: entry.stored.id
        for entry in entries
        if isinstance(entry.what, Job) and entry.stored
    }
    return replace(job, waits_for=tuple(stored.get(each, each) for each in job.waits_for))


def calls_of(entries: list[Entry]) -> list[LocalCall]:
    """What is to be called in this process."""
    return [entry.what for entry in entries if isinstance(entry.what, LocalCall)]


def stored_of(entries: list[Entry]) -> list[Job]:
    """The jobs that are in the store by these entries; not those that had their keys before."""
    pairs = [(entry.what, entry.stored) for entry in entries]
    return [job for what, job in pairs if job and isinstance(what, Job) and job.id == what.id]

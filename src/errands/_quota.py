"""The quota: what room limits leave, counted for one claim, from what its store has counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ._job import Job, State
from ._limit import NO_LIMITS, Limit, Limits, Rate

GRAINS = 100  # parts of a window: starts within one of them count as one entry

Entry = tuple[int, int]  # when tokens were taken, in milliseconds since 1970, and how many


class Bucket:
    """The tokens of one key that are taken, oldest first.

    Starts that are close to each other are one entry, with the time of the last: so that a
    bucket of a million tokens is a hundred entries, and none comes back too early.
    """

    def __init__(self, taken: Sequence[Entry], rate: Rate, now: int) -> None:
        """Leave out the tokens that have come back."""
        self._rate, self._now = rate, now
        self.taken = [(at, number) for at, number in taken if at + rate.comes_back > now]
        self.left = rate.starts - sum(number for _, number in self.taken)

    def take(self, now: int) -> None:
        """Take a token."""
        self.left -= 1
        grain, most = self._rate.comes_back // GRAINS, self._rate.starts // GRAINS
        at, number = self.taken[-1] if self.taken else (0, 0)
        if at >= now or (at > now - grain and number < most):
            self.taken[-1] = max(at, now), number + 1
        else:
            self.taken.append((now, 1))

    @property
    def next(self) -> int:
        """When the next token is there, or comes back."""
        if self.left > 0 or not self.taken:
            return self._now
        missing = 1 - self.left  # more than one, if the rate was lowered
        for at, number in self.taken:
            missing -= number
            if missing <= 0:
                return at + self._rate.comes_back
        return self.over

    @property
    def over(self) -> int:
        """When all tokens are back."""
        return self.taken[-1][0] + self._rate.comes_back if self.taken else self._now


class Quota:
    """What room the limits leave, while one claim looks at its candidates.

    Args:
        limits: Those that the worker knows, by task.
        now: The time of the claim.
        watch: Tells the time at which tokens are taken; the claim may have had to wait.
    """

    def __init__(
        self,
        limits: Mapping[str, Limits],
        now: datetime,
        watch: Callable[[], datetime] | None = None,
    ) -> None:
        """Know of no key yet."""
        self._limits, self._now = limits, _ms(now)
        self._watch = watch or (lambda: now)
        self._running: dict[str, tuple[int, int]] = {}  # how many run, and may run
        self._buckets: dict[str, Bucket] = {}
        self._wanted: dict[str, Limit | Rate] = {}  # keys whose state is to be learnt
        self._spent: set[str] = set()

    def look_at(self, jobs: Sequence[Job]) -> None:
        """Note which keys these jobs have."""
        for job in jobs:
            limits = self._limits.get(job.task, NO_LIMITS)
            if job.concurrency_key and limits.concurrency:
                self._note(job.concurrency_key, limits.concurrency)
            if job.rate_key and limits.rate:
                self._note(job.rate_key, limits.rate)

    @property
    def unknown(self) -> tuple[list[str], list[str]]:
        """The keys to be learnt about, sorted: those of jobs at once, and those of rates."""
        at_once = sorted(key for key, limit in self._wanted.items() if isinstance(limit, Limit))
        return at_once, sorted(self._wanted.keys() - at_once)

    def learn(self, running: Mapping[str, int], taken: Mapping[str, Sequence[Entry]]) -> None:
        """Take in what the store has counted of the unknown keys; nothing is none.

        Args:
            running: How many jobs of a key run.
            taken: The entries of its bucket.
        """
        for key, limit in self._wanted.items():
            if isinstance(limit, Limit):
                self._running[key] = running.get(key, 0), limit.at_once
            else:
                self._buckets[key] = Bucket(taken.get(key, ()), limit, self._now)
        self._wanted = {}

    def take(self, job: Job) -> str | None:
        """Take room for a job that is to start, or answer with the key that has none.

        One that runs, and whose worker was lost, has its place still, and needs a token.
        """
        limits = self._limits.get(job.task, NO_LIMITS)
        slot = job.concurrency_key if limits.concurrency else None
        tokens = job.rate_key if limits.rate else None
        if slot and job.state is not State.RUNNING and self.left(slot) <= 0:
            return slot
        if tokens and self.left(tokens) <= 0:
            if slot and job.state is State.RUNNING:
                self._count(slot, -1)  # it goes back, and its place is free
            return tokens
        if slot and job.state is not State.RUNNING:
            self._count(slot, 1)
        if tokens:
            self._buckets[tokens].take(max(self._now, _ms(self._watch())))
            self._spent.add(tokens)
        return None

    def left(self, key: str) -> int:
        """How many more may start."""
        if key in self._buckets:
            return self._buckets[key].left
        running, at_once = self._running[key]
        return at_once - running

    def next(self, key: str) -> int | None:
        """When a key without room has some by itself, in milliseconds; `None` if never."""
        return self._buckets[key].next if key in self._buckets else None

    @property
    def keys(self) -> list[str]:
        """All keys that were learnt about, sorted."""
        return sorted([*self._running, *self._buckets])

    @property
    def spent(self) -> dict[str, Bucket]:
        """The buckets from which a token was taken."""
        return {key: self._buckets[key] for key in sorted(self._spent)}

    def _note(self, key: str, limit: Limit | Rate) -> None:
        if key not in self._running and key not in self._buckets:
            self._wanted[key] = limit

    def _count(self, key: str, number: int) -> None:
        running, at_once = self._running[key]
        self._running[key] = running + number, at_once


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)

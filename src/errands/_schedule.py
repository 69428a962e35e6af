"""A schedule: a task that is added by itself whenever its time has come.

Like a job it is a value: a transition reads no clock and touches no store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID, uuid5

from ._cron import Cron
from ._spec import MILLISECOND, Every, Spec, whole_length

AHEAD = timedelta(seconds=1.5)  # a job is stored so much before it is due, to start in time
PUNCTUAL = timedelta(seconds=5)  # a tick that nobody saw to within that is missed
SILENCE = timedelta(seconds=90)  # after which nobody knows a schedule any more
MOST = 1000  # ticks of one schedule that are dealt with at once
TICKS = UUID("7d2f8f0e-5c3a-4a64-9d5e-0b8f4f1f6a51")  # the name space of their ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One schedule, as the store has it. All its instants are UTC, in whole milliseconds.

    Attributes:
        task: The name of the task whose jobs it adds.
        spec: When, as `Spec.text` has it.
        payload: The arguments of each job, as `Job.payload`.
        declared: What the code said when it was declared; `None` if it was added at run time.
        is_paused: Whether a person or a program stopped it for a while.
        is_removed: Whether it was removed although the code declares it: it stays away until
            the code says something else.
        last_tick: The last tick whose job was added, or left out since one had not ended.
        next_tick: The first one that nobody has dealt with; `None` if it is paused or over.
        known_at: When a process at work that declares it said so last.
        known_by: The worker of that process.
        version: Counts the changes from 1; a change must follow the version that it read.
    """

    name: str
    task: str
    spec: str
    payload: str
    declared: str | None = None
    is_paused: bool = False
    is_removed: bool = False
    last_tick: datetime | None = None
    next_tick: datetime | None = None
    known_at: datetime
    known_by: str = ""
    version: int = 1

    @property
    def when(self) -> Spec:
        """The spec as a value.

        Raises:
            ValueError: if this version, or this machine, cannot make sense of it.
        """
        return spec_of(self.spec)

    @property
    def key(self) -> str | None:
        """What its jobs have for a key, so that they do not overlap."""
        return f"schedule:{self.name}" if self.when.overlap == "skip" else None

    def is_orphaned(self, now: datetime) -> bool:
        """Whether no process at work declares it, or its task, any more."""
        return now - self.known_at > SILENCE

    def due_at(self, tick: datetime) -> datetime:
        """When the job of a tick is due: by its jitter later, alike in every process."""
        spread = self.when.spread
        return tick + (self._bits(tick) >> 96) * spread // 2**32 // MILLISECOND * MILLISECOND

    def tick_id(self, tick: datetime) -> str:
        """The id of the job of a tick: whoever adds it, it is the same, and so it is kept once.

        It is laid out as a UUIDv7, since ids sort by time: the tick in milliseconds, and for
        the 74 bits that are random elsewhere those of the UUIDv5 of schedule and tick.
        """
        bits, stamp = self._bits(tick), f"{_ms(tick):012x}"
        tail = f"{2 << 62 | bits & (1 << 62) - 1:016x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{bits >> 80 & 0xFFF:03x}-{tail[:4]}-{tail[4:]}"

    def ripe_at(self, tick: datetime) -> datetime:
        """From when on the job of a tick may be stored.

        A little ahead, so that it starts in time. Where it is left out because another one
        has not ended, nobody can say so before it is due.
        """
        wanted = self.wanted_at(tick)
        return wanted - AHEAD if self.when.overlap == "allow" else wanted

    def wanted_at(self, tick: datetime) -> datetime:
        """By when the job of a tick has to be stored."""
        return tick if self.when.overlap == "allow" else self.due_at(tick)

    def ticked(self, by: str, now: datetime) -> tuple[list[datetime], Schedule]:
        """The ticks whose jobs are to be stored now, and the schedule after that.

        Many may be left for the next time: `next_tick` is ripe again.
        """
        when, tick, ticks = self.when, self.next_tick, list[datetime]()
        late = now - PUNCTUAL - when.spread
        if tick is not None and tick <= late and when.missed != "all":
            is_one = when.missed == "one"  # for all that were missed, and one that is due by now
            ticks += [when.last_until(now, tick)] if is_one else []
            tick = when.next_after(now if is_one else late)
        while tick is not None and self.ripe_at(tick) <= now and len(ticks) < MOST:
            ticks.append(tick)
            tick = when.next_after(tick)
        last = ticks[-1] if ticks else self.last_tick
        return ticks, self._changed(next_tick=tick, last_tick=last, known_by=by, known_at=now)

    def ahead(self, now: datetime) -> list[datetime]:
        """The ticks whose jobs may be stored by now, and are not due yet."""
        if self.key:  # they are stored when they are due
            return []
        near = self.when.between(now - self.when.spread, now + AHEAD)
        return [tick for tick in near if self.due_at(tick) > now]

    def known(self, by: str, now: datetime) -> Schedule:
        """Declared by a process that is at work."""
        return self._changed(known_by=by, known_at=now)

    def paused(self) -> Schedule:
        """Stopped until it is resumed."""
        return self._changed(is_paused=True, next_tick=None)

    def resumed(self, now: datetime) -> Schedule:
        """Going on from now; what would have come meanwhile is not missed."""
        return self._changed(is_paused=False, next_tick=self.when.next_after(now))

    def removed(self) -> Schedule:
        """Gone, although the code declares it."""
        return self._changed(is_removed=True, next_tick=None)

    def changed(self, spec: Spec, payload: str, now: datetime) -> Schedule:
        """With another spec, from now on, and other arguments."""
        upcoming = None if self.is_paused else spec.next_after(now)
        return self._changed(spec=spec.text, payload=payload, next_tick=upcoming)

    def replaced(self, by: Schedule) -> Schedule:
        """Another one instead of this one, which was removed; the code's word is known."""
        return replace(by, declared=self.declared, version=self.version + 1)

    def redeclared(self, new: Schedule) -> Schedule:
        """As the code declares it by now. A pause stays, and so do ticks that were missed."""
        is_same = self.spec == new.spec and not self.is_removed
        upcoming = self.next_tick if is_same else new.next_tick
        return replace(
            new,
            is_paused=self.is_paused,
            last_tick=self.last_tick,
            next_tick=None if self.is_paused else upcoming,
            version=self.version + 1,
        )

    def _changed(self, **changes: object) -> Schedule:
        return replace(self, **changes, version=self.version + 1)  # type: ignore[arg-type]  # of several kinds

    def _bits(self, tick: datetime) -> int:
        return uuid5(TICKS, f"{self.name} {_ms(tick)}").int


@lru_cache(maxsize=4096)
def spec_of(text: str) -> Spec:
    """The spec of a text that `Spec.text` made.

    Raises:
        ValueError: if this version, or this machine, cannot make sense of it.
    """
    try:
        given = json.loads(text)
        for name in ("start", "until"):
            if name in given:
                given[name] = datetime.fromisoformat(given[name])
        if "every" in given:
            return Every(interval=whole_length(seconds=given.pop("every")), **given)
        return Cron(expression=given.pop("cron"), **given)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{text}: this is no schedule to this version: {error}") from None


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)

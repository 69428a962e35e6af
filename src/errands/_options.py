"""What one addition asks for beyond the policy of its task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from ._clock import whole
from ._ids import new_id
from ._job import NEVER, WAITING, Job
from ._plain import BYTES, LONGEST, Seconds, is_text, is_whole, seconds, shown
from ._store import OnConflict
from ._task import Task
from .errors import PayloadTooLarge

IfFailed = Literal["cancel", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """See `Errands.options`.

    Attributes:
        after: Seconds before which the job does not start.
        at: The instant before which it does not start; aware.
        key: At most one unfinished job has it.
        on_conflict: What to do where there is one.
        queue: Instead of the task's.
        priority: Instead of the task's.
        group: Which jobs it is counted with.
        waits_for: The ids of the jobs that are to end before it starts.
        if_failed: What to do if one of those did not end well.
        connection: In whose transaction the job is added.
    """

    after: Seconds | None = None
    at: datetime | None = None
    key: str | None = None
    on_conflict: OnConflict = "keep"
    queue: str | None = None
    priority: int | None = None
    group: str | None = None
    waits_for: tuple[str, ...] = ()
    if_failed: IfFailed = "cancel"
    connection: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what could never be meant.

        Raises:
            ValueError: naming the option.
            TypeError: if `after` or `at` is no time.
        """
        if self.after is not None and self.at is not None:
            raise ValueError("options(after=…, at=…): one of the two says when")
        if self.after is not None and not 0 <= seconds(self.after) <= LONGEST:
            raise ValueError(f"options(after={self.after!r}): expected 0 to {LONGEST:g} seconds")
        if not isinstance(self.at, datetime | None):
            raise TypeError(f"options(at={self.at!r}): expected an aware datetime")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError(f"options(at={self.at!r}): which time zone? Pass an aware datetime")
        if self.on_conflict not in get_args(OnConflict):
            expected = ", ".join(get_args(OnConflict))
            raise ValueError(f"options(on_conflict={self.on_conflict!r}): expected {expected}")
        if self.priority is not None and not is_whole(self.priority):
            raise ValueError(f"options(priority={self.priority!r}): expected a whole number")
        if self.if_failed not in get_args(IfFailed):
            expected = ", ".join(get_args(IfFailed))
            raise ValueError(f"options(if_failed={self.if_failed!r}): expected {expected}")
        for name, value in ("key", self.key), ("queue", self.queue), ("group", self.group):
            if value is not None and not is_text(value):
                raise ValueError(
                    f"options({name}={shown(value)}): expected text of 1 to {BYTES} bytes, "
                    "without NUL"
                )

    def job(
        self, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], now: datetime, limit: int
    ) -> Job:
        """A queued job for one call of `task`.

        Args:
            limit: How many bytes the arguments may take as JSON; 0 for any number.

        Raises:
            TypeError: if the function cannot be called with these arguments.
            NotSerializable: if one of them cannot be kept.
            PayloadTooLarge: if they take too many bytes.
        """
        payload = task.codec.dump(args, kwargs)
        if limit and len(payload) * 4 > limit and (size := len(payload.encode())) > limit:
            raise PayloadTooLarge(task.name, size, limit)
        due_at, waits = self._due_at(now), bool(self.waits_for)
        return Job.of(
            id=new_id(now),
            task=task.name,
            payload=payload,
            due_at=due_at,
            free_at=NEVER if waits else due_at,
            added_at=now,
            queue=task.queue if self.queue is None else self.queue,
            priority=task.priority if self.priority is None else self.priority,
            key=self.key,
            group=self.group,
            **task.keys(payload),
            waits_for=self.waits_for,
            runs_anyway=waits and self.if_failed == "run",
            blocked_by=WAITING if waits else None,
        )

    def _due_at(self, now: datetime) -> datetime:
        if self.at is not None:
            return whole(self.at.astimezone(UTC))
        return now if self.after is None else whole(now + timedelta(seconds=seconds(self.after)))


def ids_of(jobs: Iterable[Job | str]) -> tuple[str, ...]:
    """The ids of jobs that are to be waited for, as a user may name them.

    Raises:
        ValueError: if it is no list, or one of them is neither a job nor an id.
    """
    if isinstance(jobs, str | Job):
        raise ValueError("options(waits_for=…): expected a list of jobs or ids, as in [job]")
    ids = tuple(job.id if isinstance(job, Job) else job for job in jobs)
    for each in ids:
        if not is_text(each):
            raise ValueError(f"options(waits_for=[{each!r}]): expected a job, or the id of one")
    return ids


DEFAULT = Options()

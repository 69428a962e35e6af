"""A heartbeat: what a worker tells of itself every few seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

SILENCE = timedelta(seconds=20)  # several beats; a worker that misses them all is in trouble


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a service has logged.

    Attributes:
        level: As logging calls it: `INFO`, `WARNING`, …
        text: At most 500 characters, with what the error says that it tells of.
    """

    service: str
    at: datetime
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One worker, as it was when it was seen last.

    Attributes:
        worker: Its name, as in `Job.worker`.
        queues: Those it works for, sorted; `None` for all of them.
        slots: How many jobs it runs side by side, at the most.
        running: How many ran when it was seen.
        version: That of Errands.
        tasks: The names of those that it knows, services among them; sorted.
        gone_at: When it stopped, or was found dead; `None` while it lives.
        processes: How many jobs it runs side by side in processes of their own, at the most.
        in_processes: How many did when it was seen.
        process_tasks: The names of the tasks whose jobs run there, sorted.
        log: The last lines of each of its services, the oldest first: at most 20 of each.
    """

    worker: str
    host: str
    pid: int
    queues: tuple[str, ...] | None
    slots: int
    running: int
    version: str
    started_at: datetime
    seen_at: datetime
    tasks: tuple[str, ...] = ()
    gone_at: datetime | None = None
    processes: int = 0
    in_processes: int = 0
    process_tasks: tuple[str, ...] = ()
    log: tuple[LogLine, ...] = ()

    def seen(
        self,
        now: datetime,
        *,
        running: int,
        slots: int,
        in_processes: int = 0,
        log: tuple[LogLine, ...] = (),
    ) -> Heartbeat:
        """Alive now, with so many jobs running in so many slots, and some of them in processes.

        Args:
            log: What its services have logged by now.
        """
        return replace(
            self, running=running, slots=slots, in_processes=in_processes, log=log, seen_at=now
        )

    def gone(self, now: datetime) -> Heartbeat:
        """Stopped, or found dead: nothing runs there any more."""
        return replace(self, running=0, in_processes=0, gone_at=now)

    def is_alive(self, now: datetime) -> bool:
        """Whether it has not gone, and was seen within the last 20 seconds."""
        return self.gone_at is None and now - self.seen_at <= SILENCE

    def takes(self, queue: str, task: str) -> bool:
        """Whether it would claim jobs of this task from this queue."""
        return task in self.tasks and (self.queues is None or queue in self.queues)

    def has_process_for(self, task: str) -> bool:
        """Whether no job of this task would have to wait for a process, when it was seen."""
        return task not in self.process_tasks or self.in_processes < self.processes

"""Heartbeats of workers as rows, and back, in every SQL store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._heartbeat import Heartbeat, LogLine
from .._store import Claim
from ._rows import as_json, decode, instant, ms

COLUMNS = (
    "worker", "host", "pid", "queues", "slots", "running", "version", "started_at", "seen_at",
    "gone_at", "tasks", "processes", "log",
)  # fmt: skip  # as they stand in a row


def row_of(beat: Heartbeat) -> Sequence[str | int | None]:
    """A heartbeat, in the order of `COLUMNS`."""
    queues = None if beat.queues is None else as_json(beat.queues)
    processes = (beat.processes, beat.in_processes, beat.process_tasks)
    return (
        beat.worker, beat.host, beat.pid, queues, beat.slots, beat.running, beat.version,
        ms(beat.started_at), ms(beat.seen_at), ms(beat.gone_at),
        as_json(beat.tasks), as_json(processes) if any(processes) else None,
        _log_as_json(beat.log),
    )  # fmt: skip  # in the order of `COLUMNS`


def heartbeat_of(row: Sequence[Any]) -> Heartbeat:
    """The heartbeat of a row of `COLUMNS`."""
    (worker, host, pid, queues, slots, running, version, started_at, seen_at, gone_at,
     tasks, processes, log) = row  # fmt: skip  # as above
    most, busy, names = decode(processes) if processes else (0, 0, ())
    return Heartbeat(
        worker=worker,
        host=host,
        pid=pid,
        queues=None if queues is None else tuple(decode(queues)),
        slots=slots,
        running=running,
        version=version,
        started_at=instant(started_at),
        seen_at=instant(seen_at),
        gone_at=instant(gone_at),
        tasks=() if tasks is None else tuple(decode(tasks)),
        processes=most,
        in_processes=busy if gone_at is None else 0,  # whoever found it dead counts no processes
        process_tasks=tuple(names),
        log=() if log is None else tuple(_line_of(*line) for line in decode(log)),
    )


def served(call: Claim, beats: Iterable[Heartbeat]) -> frozenset[str] | None:
    """The queues that whoever claims, or another worker that lives, works for; `None` for all."""
    found = [call.queues, *(beat.queues for beat in beats if beat.is_alive(call.now))]
    named = [queues for queues in found if queues is not None]
    return frozenset().union(*named) if len(named) == len(found) else None


def _log_as_json(log: Sequence[LogLine]) -> str | None:
    """Lines as `[service, milliseconds, level, text]`; most workers have none."""
    if not log:
        return None
    return as_json([(each.service, ms(each.at), each.level, each.text) for each in log])


def _line_of(service: str, at: int, level: str, text: str) -> LogLine:
    return LogLine(service, instant(at), level, text)

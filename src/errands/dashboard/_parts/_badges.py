"""Badges: a state as a dot and a word, never as a colour alone."""

from __future__ import annotations

from datetime import datetime

from errands import Heartbeat, Job, ServiceState, State

from .._markup import Markup, h

TONES = {
    ServiceState.STARTING: "running",
    ServiceState.RUNNING: "done",
    ServiceState.BACKING_OFF: "retrying",
    ServiceState.FAILED: "failed",
    ServiceState.STOPPED: "cancelled",
}


def shown(job: Job, now: datetime) -> str:
    """The state of a job as people say it: a queued one may be scheduled, waiting or retrying."""
    if job.state is State.RUNNING and job.is_cancelling:
        return "cancelling"
    if job.state is State.QUEUED and job.blocked_by is not None:
        return "waiting"
    if job.state is not State.QUEUED or job.free_at <= now:
        return str(job.state)
    return "retrying" if job.attempt else "scheduled"


def job_badge(job: Job, now: datetime) -> Markup:
    """That of a job."""
    word = shown(job, now)
    return badge(word, word)


def service_badge(state: ServiceState) -> Markup:
    """That of a service."""
    return badge(str(state), TONES[state])


def worker_badge(worker: Heartbeat, now: datetime, *, is_paused: bool = False) -> Markup:
    """That of a worker."""
    if is_paused and worker.is_alive(now):
        return badge("draining" if worker.running else "drained", "retrying")
    if worker.gone_at is not None:
        return badge("gone", "cancelled")
    return badge("alive", "done") if worker.is_alive(now) else badge("silent", "failed")


def badge(word: str, tone: str) -> Markup:
    """A word in a tone of the style sheet: one of the states."""
    return h.span(word, cls=f"badge {tone}")

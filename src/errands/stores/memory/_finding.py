"""Which jobs in memory a query asks for."""

from __future__ import annotations

from ..._job import Job
from ..._query import Query


def matches(job: Job, query: Query) -> bool:
    """Whether the query asks for this job."""
    return (
        (not query.states or job.state in query.states)
        and query.queue in (None, job.queue)
        and query.task in (None, job.task)
        and query.key in (None, job.key)
        and query.group in (None, job.group)
        and (query.first is None or job.id >= query.first)
        and (query.end is None or job.id < query.end)
        and (query.text is None or _contains(job, query.text))
    )


def _contains(job: Job, text: str) -> bool:
    said = (job.payload, *(attempt.error or "" for attempt in job.history))
    return any(text in words for words in said)

"""Pages: one module each, which asks for what it shows and puts it together."""

from ._change import change_page
from ._errors import errors_page
from ._groups import groups_page
from ._job import attempt_text, job_page
from ._jobs import jobs_page
from ._now import now_page
from ._queues import queues_page
from ._schedules import schedules_page
from ._services import services_page
from ._workers import workers_page

__all__ = [
    "attempt_text",
    "change_page",
    "errors_page",
    "groups_page",
    "job_page",
    "jobs_page",
    "now_page",
    "queues_page",
    "schedules_page",
    "services_page",
    "workers_page",
]

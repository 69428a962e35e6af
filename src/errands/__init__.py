"""Background tasks for FastHTML, FastAPI and Starlette."""

from ._adding import Adding
from ._app import Errands
from ._background import AddingLater, BackgroundTasks
from ._clock import Clock, Timer
from ._cron import Cron, cron
from ._heartbeat import Heartbeat
from ._job import Attempt, Job, Outcome, Progress, State, new_id
from ._retry import Retry
from ._runner import Middleware, Next, current_job, progress, track
from ._schedule import Schedule
from ._schedules import Schedules
from ._spec import Every, every
from ._store import Claim, OnConflict, Query, Store
from ._task import Declared
from .errors import ErrandsError

__all__ = [
    "Adding",
    "AddingLater",
    "Attempt",
    "BackgroundTasks",
    "Claim",
    "Clock",
    "Cron",
    "Declared",
    "Errands",
    "ErrandsError",
    "Every",
    "Heartbeat",
    "Job",
    "Middleware",
    "Next",
    "OnConflict",
    "Outcome",
    "Progress",
    "Query",
    "Retry",
    "Schedule",
    "Schedules",
    "State",
    "Store",
    "Timer",
    "cron",
    "current_job",
    "every",
    "new_id",
    "progress",
    "track",
]

"""Background tasks for FastHTML, FastAPI and Starlette."""

from ._adding import Adding
from ._app import Errands
from ._background import AddingLater, BackgroundTasks
from ._clock import Clock, Timer
from ._cron import Cron, cron
from ._door import Door
from ._examination import Examinable, Examination
from ._group import Group
from ._heartbeat import Heartbeat, LogLine
from ._history import Sketch, Tally
from ._hooks import EventName, Hook
from ._ids import new_id
from ._job import Attempt, Job, Outcome, State
from ._limit import Limit, Limits, LimitUse, Rate
from ._moving import Move, move
from ._order import Order, OrderKind
from ._progress import Progress
from ._query import Query
from ._redaction import Redaction
from ._retry import Retry
from ._run import CurrentJob, current_job, progress
from ._runner import Middleware, Next
from ._schedule import Schedule
from ._schedules import Schedules
from ._service import Budget, ServiceState, ServiceStatus
from ._spec import Every, every
from ._stint import alive, ready, stopping
from ._store import Claim, OnConflict, Store
from ._task import Declared
from ._track import track
from ._why import Obstacle, Reason, Why
from .errors import ErrandsError

__all__ = [
    "Adding",
    "AddingLater",
    "Attempt",
    "BackgroundTasks",
    "Budget",
    "Claim",
    "Clock",
    "Cron",
    "CurrentJob",
    "Declared",
    "Door",
    "Errands",
    "ErrandsError",
    "EventName",
    "Every",
    "Examinable",
    "Examination",
    "Group",
    "Heartbeat",
    "Hook",
    "Job",
    "Limit",
    "LimitUse",
    "Limits",
    "LogLine",
    "Middleware",
    "Move",
    "Next",
    "Obstacle",
    "OnConflict",
    "Order",
    "OrderKind",
    "Outcome",
    "Progress",
    "Query",
    "Rate",
    "Reason",
    "Redaction",
    "Retry",
    "Schedule",
    "Schedules",
    "ServiceState",
    "ServiceStatus",
    "Sketch",
    "State",
    "Store",
    "Tally",
    "Timer",
    "Why",
    "alive",
    "cron",
    "current_job",
    "every",
    "move",
    "new_id",
    "progress",
    "ready",
    "stopping",
    "track",
]

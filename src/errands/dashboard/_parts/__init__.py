"""Parts: what pages are put together of."""

from ._badges import job_badge, service_badge, shown, worker_badge
from ._charts import depth, ended_chart, length_chart, lifeline
from ._forms import act, field, hidden
from ._graph import Kin, graph, room
from ._jobs import is_service, job_rows, progress, summary, task_name
from ._layout import layout
from ._tables import Column, facts, figures, nothing, pre, section, table
from ._words import ago, clipped, moment, number, size, took, until

__all__ = [
    "Column",
    "Kin",
    "act",
    "ago",
    "clipped",
    "depth",
    "ended_chart",
    "facts",
    "field",
    "figures",
    "graph",
    "hidden",
    "is_service",
    "job_badge",
    "job_rows",
    "layout",
    "length_chart",
    "lifeline",
    "moment",
    "nothing",
    "number",
    "pre",
    "progress",
    "room",
    "section",
    "service_badge",
    "shown",
    "size",
    "summary",
    "table",
    "task_name",
    "took",
    "until",
    "worker_badge",
]

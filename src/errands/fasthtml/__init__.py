"""Errands in a FastHTML application: `background: BackgroundTasks` in any handler.

Import it after `from fasthtml.common import *`, which brings Starlette's class of that name.
"""

from __future__ import annotations

from typing import Any

from .. import BackgroundTasks, Errands, Group, Job
from ..asgi import ErrandsMiddleware
from ..asgi import setup_errands as setup_asgi
from ..status import Links, StatusKey
from ._pages import Pages, add_routes, headers
from ._parts import GroupProgress, JobProgress, JobResult, JobStatus
from ._shadows import shadowed

__all__ = [
    "BackgroundTasks",
    "ErrandsMiddleware",
    "GroupProgress",
    "JobProgress",
    "JobResult",
    "JobStatus",
    "headers",
    "setup_errands",
]

Job.__ft__ = JobStatus  # type: ignore[attr-defined]  # so that a handler may return a job
Group.__ft__ = GroupProgress  # type: ignore[attr-defined]  # or a group


def setup_errands(
    app: Any,
    errands: Errands,
    *,
    work: bool = True,
    secret: str | bytes | None = None,
    status_key: StatusKey | None = None,
    style: bool = True,
) -> None:
    """Install Errands in a FastHTML application, with the routes behind `JobStatus` and the like.

    A handler that was annotated with Starlette's `BackgroundTasks` by mistake is warned
    about when the application starts.

    Args:
        work: Whether this process also runs jobs; `False` leaves them to other processes.
        secret: What links to jobs are signed with; by default, a secret that the store keeps.
        status_key: Asked with a request whom its links to jobs are for, such as
            `lambda request: request.session.get("user")`; for everybody by default.
        style: Whether each page gets our style sheet, 2 kB; the script that `live=True` needs
            is there in any case.

    Raises:
        SetupError: if it was done before, or the application has started.
    """
    links = Links(errands, secret, status_key)
    pages = Pages(links)
    setup_asgi(app, errands, work=work, check=shadowed, door=pages)
    app.hdrs.extend(headers(style=style))
    add_routes(app, pages)

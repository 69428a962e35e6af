"""Errands in a FastHTML application: `background: BackgroundTasks` in any handler.

Import it after `from fasthtml.common import *`, which brings Starlette's class of that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from fasthtml.common import Div, FtResponse, P, Progress, Small
from starlette.background import BackgroundTask as StarletteTask

from . import BackgroundTasks, Errands, Job, State
from .asgi import ErrandsMiddleware
from .asgi import setup_errands as setup_asgi

__all__ = ["BackgroundTasks", "ErrandsMiddleware", "JobStatus", "setup_errands"]

STATUS = "/_errands/jobs"
NO_MORE = 286  # htmx stops polling at this status


def setup_errands(app: Any, errands: Errands, *, work: bool = True) -> None:
    """Install Errands in a FastHTML application, with the route that `JobStatus` polls.

    A handler that was annotated with Starlette's `BackgroundTasks` by mistake is warned
    about when the application starts.

    Args:
        work: Whether this process also runs jobs; `False` leaves them to other processes.

    Raises:
        SetupError: if it was done before, or the application has started.
    """
    setup_asgi(app, errands, work=work, check=_shadowed)

    async def errands_job(job_id: str) -> Any:
        job = await errands.job(job_id)
        return FtResponse("", status_code=NO_MORE) if job is None else JobStatus(job)

    app.route(f"{STATUS}/{{job_id}}", methods=["GET"])(errands_job)


def JobStatus(job: Job) -> Any:
    """How far a job is, as a fragment that keeps itself up to date until the job has ended."""
    live: dict[str, Any] = {} if job.is_final else _polling(job)
    return Div(*_parts(job), id=f"job-{job.id}", cls=f"errands-job errands-{job.state}", **live)


def _polling(job: Job) -> dict[str, Any]:
    return {"hx_get": f"{STATUS}/{job.id}", "hx_trigger": "every 1s", "hx_swap": "outerHTML"}


def _parts(job: Job) -> Iterator[Any]:
    yield Small(_shown(job))
    if job.state is State.RUNNING and job.progress is not None:
        yield Progress(value=job.progress.done, max=job.progress.total)
        if job.progress.text:
            yield Small(job.progress.text)
    if job.state is State.FAILED:
        yield P((job.error or "").strip().rpartition("\n")[2])


def _shown(job: Job) -> str:
    return "retrying" if job.state is State.QUEUED and job.attempt else str(job.state)


def _shadowed(app: Any) -> Iterator[str]:
    """Handlers whose parameter is Starlette's class: they would answer 400."""
    for handler in _handlers(app):
        for parameter in _parameters(handler):
            kind = parameter.annotation
            if isinstance(kind, type) and issubclass(kind, StarletteTask):
                yield (
                    f"{handler.__qualname__}({parameter.name}) is annotated with "
                    f"{kind.__module__}.{kind.__name__}, which FastHTML does not fill. Import "
                    "BackgroundTasks from errands.fasthtml after `from fasthtml.common import *`."
                )


def _handlers(app: Any) -> Iterator[Any]:
    """What was given to `@rt`, `@app.ws`, `before` and `after`, here and in mounted applications.

    FastHTML keeps handlers in the closures of its endpoints.
    """
    for wrapped in (*getattr(app, "before", ()), *getattr(app, "after", ())):
        yield getattr(wrapped, "f", wrapped)
    for route in getattr(app, "routes", None) or ():
        endpoint = getattr(route, "endpoint", None)
        if inspect.isfunction(endpoint):
            yield from _closed_over(endpoint, "f")
        elif inspect.isclass(endpoint):
            for name in ("on_receive", "on_connect", "on_disconnect"):
                yield from _closed_over(getattr(endpoint, name, None), "recv", "conn", "disconn")
        yield from _handlers(getattr(route, "app", None))


def _closed_over(function: Any, *names: str) -> Iterator[Any]:
    if inspect.isfunction(function):
        inside = inspect.getclosurevars(function).nonlocals
        yield from (inside[name] for name in names if inspect.isroutine(inside.get(name)))


def _parameters(handler: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(handler, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError):  # FastHTML will say so itself
        return []

"""What Starlette and FastAPI answer about a job or a group: JSON, and a stream of it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import Group, Job
from ._links import GROUPS, JOBS, Links
from ._shown import as_json
from ._stream import event_stream, unless_gone

WAIT = "1"  # seconds after which to ask again
FRESH = {"Cache-Control": "no-store"}


class JsonDoor:
    """Answers a handler's `wait_or_202`.

    Args:
        links: To the jobs of the application.
        is_plain: Whether the handler of this framework has to return a response, not a value.
    """

    def __init__(self, links: Links, *, is_plain: bool) -> None:
        """Answer nothing yet."""
        self.links, self._is_plain = links, is_plain

    async def open(self) -> None:
        """Have what the links are signed with."""
        await self.links.open()

    def ready(self, what: Job | Group, value: Any) -> Any:
        """The value, as FastAPI makes a response of it, or the JSON that is stored."""
        if isinstance(what, Group):
            return as_response(what)
        return _json((what.result or "null").encode()) if self._is_plain else value

    def accepted(self, what: Job | Group) -> Response:
        """202, with a link to the job or the group."""
        link = self.links.of(what)
        url = link()
        body = as_json(what, url=url, events_url=link(end="/events"))
        return _json(body, 202, {"Location": url, "Retry-After": WAIT})


def add_routes(app: Any, links: Links) -> None:
    """Have the application answer links to jobs; before any other route, one for all included."""
    errands = links.errands

    async def job_status(request: Request) -> Response:
        return as_response(await _job(links, request))

    async def job_events(request: Request) -> Response:
        job_id = links.opened(request)
        if job_id is None:
            return as_response(None)
        job, changes = await errands.job(job_id), errands.events(job_id)
        return event_stream(job, changes, request, _frame)

    async def group_status(request: Request) -> Response:
        name = links.opened(request, among=GROUPS)
        return as_response(None if name is None else await errands.group(name))

    async def group_events(request: Request) -> Response:
        name = links.opened(request, among=GROUPS)
        if name is None:
            return as_response(None)
        group = await errands.group(name)
        return event_stream(unless_gone(group, request), errands.events(group), request, _frame)

    app.router.routes[:0] = [
        Route(f"{JOBS}/{{token}}/events", job_events, methods=["GET"]),
        Route(f"{JOBS}/{{token}}", job_status, methods=["GET"]),
        Route(f"{GROUPS}/{{token}}/events", group_events, methods=["GET"]),
        Route(f"{GROUPS}/{{token}}", group_status, methods=["GET"]),
    ]


def is_asked_for_json(request: Request) -> bool:
    """Whether a program asks, and not a browser or htmx."""
    headers = request.headers
    return "application/json" in headers.get("accept", "") and "hx-request" not in headers


def as_response(what: Job | Group | None) -> Response:
    """The job or the group as JSON; without one a 404."""
    if what is None:
        return _json(b'{"detail":"Not Found"}', 404)
    return _json(as_json(what), headers={} if what.is_final else {"Retry-After": WAIT})


async def _job(links: Links, request: Request) -> Job | None:
    job_id = links.opened(request)
    return None if job_id is None else await links.errands.job(job_id)


def _frame(what: Job | Group) -> tuple[str, str]:
    return "", as_json(what).decode()


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, FRESH | (headers or {}), "application/json")

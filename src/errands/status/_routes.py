"""What Starlette and FastAPI answer about a job: JSON, and a stream of it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import Job
from ._links import PATH, Links
from ._shown import as_json
from ._stream import event_stream

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

    def ready(self, job: Job, value: Any) -> Any:
        """The value, as FastAPI makes a response of it, or the JSON that is stored."""
        return _json((job.result or "null").encode()) if self._is_plain else value

    def accepted(self, job: Job) -> Response:
        """202, with a link to the job."""
        url = self.links.to(job.id)
        body = as_json(job, url=url, events_url=self.links.to(job.id, end="/events"))
        return _json(body, 202, {"Location": url, "Retry-After": WAIT})


def add_routes(app: Any, links: Links) -> None:
    """Have the application answer links to jobs; before any other route, one for all included."""

    async def job_status(request: Request) -> Response:
        return as_response(await _job(links, request))

    async def job_events(request: Request) -> Response:
        job_id = links.opened(request)
        if job_id is None:
            return as_response(None)
        return await event_stream(links.errands, job_id, request, _frame)

    events = Route(f"{PATH}/{{token}}/events", job_events, methods=["GET"])
    app.router.routes[:0] = [events, Route(f"{PATH}/{{token}}", job_status, methods=["GET"])]


def is_asked_for_json(request: Request) -> bool:
    """Whether a program asks, and not a browser or htmx."""
    headers = request.headers
    return "application/json" in headers.get("accept", "") and "hx-request" not in headers


def as_response(job: Job | None) -> Response:
    """The job as JSON; without one a 404."""
    if job is None:
        return _json(b'{"detail":"Not Found"}', 404)
    return _json(as_json(job), headers={} if job.is_final else {"Retry-After": WAIT})


async def _job(links: Links, request: Request) -> Job | None:
    job_id = links.opened(request)
    return None if job_id is None else await links.errands.job(job_id)


def _frame(job: Job) -> tuple[str, str]:
    return "", as_json(job).decode()


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, FRESH | (headers or {}), "application/json")

"""What a FastHTML application answers about a job: fragments, and a stream of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fasthtml.common import FtResponse, HttpHeader, Script, Style, to_xml
from starlette.requests import Request
from starlette.responses import Response

from .. import Job
from ..status import PATH, Links, as_response, event_stream, is_asked_for_json, mark_of
from ._parts import Gone, JobStatus, shown

HERE = Path(__file__).parent
NO_MORE = 286  # htmx stops polling at this status
FRESH = HttpHeader("Cache-Control", "no-store")


class Pages:
    """Answers a handler's `wait_or_202`; and is where our components find the links.

    Args:
        links: To the jobs of the application.
    """

    def __init__(self, links: Links) -> None:
        """Answer nothing yet."""
        self.links = links

    async def open(self) -> None:
        """Have what the links are signed with."""
        await self.links.open()

    def ready(self, job: Job, value: Any) -> Any:
        """The value, to be shown as FastHTML does."""
        return value

    def accepted(self, job: Job) -> Any:
        """202, with the job as it is, and a link to it."""
        headers = {"Location": self.links.to(job.id), "Retry-After": "1"}
        return FtResponse(JobStatus(job), status_code=202, headers=headers)


def headers(*, style: bool = True) -> list[Any]:
    """Our style sheet and script, for a page that is not made by FastHTML's `app`."""
    script = Script((HERE / "status.js").read_text(encoding="utf-8"))
    return [Style((HERE / "status.css").read_text(encoding="utf-8")), script] if style else [script]


def add_routes(app: Any, pages: Pages) -> None:
    """Have the application answer links to jobs."""
    links = pages.links

    async def errands_job(request: Request) -> Any:
        job_id = links.opened(request)
        if job_id is None:
            return _not_found(request)
        job = await links.errands.job(job_id)
        if is_asked_for_json(request):
            return as_response(job)
        if job is None:
            return FtResponse(Gone(), status_code=NO_MORE)
        if request.query_params.get("seen") == mark_of(job):
            return Response(status_code=204)  # htmx changes nothing, and asks again
        return shown(job, request.query_params.get("view", "")), FRESH

    async def errands_events(request: Request) -> Any:
        job_id = links.opened(request)
        if job_id is None:
            return _not_found(request)
        view = request.query_params.get("view", "")

        def frame(job: Job) -> tuple[str, str]:
            return "end" if job.is_final else "", to_xml(shown(job, view, still=True), indent=False)

        return await event_stream(links.errands, job_id, request, frame)

    app.route(f"{PATH}/{{token}}/events", methods=["GET"])(errands_events)
    app.route(f"{PATH}/{{token}}", methods=["GET"])(errands_job)


def _not_found(request: Request) -> Any:
    """404: for htmx 4, which shows what it gets, with something to show."""
    if "hx-request" in request.headers:
        return FtResponse(Gone(), status_code=404)
    return Response("404 Not Found", 404)

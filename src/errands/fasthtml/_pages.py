"""What a FastHTML application answers about a job or a group: fragments, and a stream of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fasthtml.common import FtResponse, HttpHeader, Script, Style, to_xml
from starlette.requests import Request
from starlette.responses import Response

from .. import Group, Job
from ..status import (
    GROUPS,
    JOBS,
    Links,
    as_response,
    event_stream,
    is_asked_for_json,
    last_event,
    mark_of,
    seen_by,
    unless_gone,
)  # fmt: skip  # a row
from ._parts import Gone, GroupProgress, JobStatus, group_shown, shown

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

    def ready(self, what: Job | Group, value: Any) -> Any:
        """The value, to be shown as FastHTML does."""
        return value

    def accepted(self, what: Job | Group) -> Any:
        """202, with the job or the group as it is, and a link to it."""
        headers = {"Location": self.links.of(what)(), "Retry-After": "1"}
        part = GroupProgress(what) if isinstance(what, Group) else JobStatus(what)
        return FtResponse(part, status_code=202, headers=headers)


def headers(*, style: bool = True) -> list[Any]:
    """Our style sheet and script, for a page that is not made by FastHTML's `app`."""
    script = Script((HERE / "status.js").read_text(encoding="utf-8"))
    return [Style((HERE / "status.css").read_text(encoding="utf-8")), script] if style else [script]


def add_routes(app: Any, pages: Pages) -> None:
    """Have the application answer links to jobs and groups."""
    _add_job_routes(app, pages.links)
    _add_group_routes(app, pages.links)


def _add_job_routes(app: Any, links: Links) -> None:
    errands = links.errands

    async def errands_job(request: Request) -> Any:
        job_id = links.opened(request)
        if job_id is None:
            return _not_found(request)
        job = await errands.job(job_id)
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

        job = await errands.job(job_id)
        return event_stream(job, errands.events(job_id), request, frame) if job else _gone(request)

    app.route(f"{JOBS}/{{token}}/events", methods=["GET"])(errands_events)
    app.route(f"{JOBS}/{{token}}", methods=["GET"])(errands_job)


def _add_group_routes(app: Any, links: Links) -> None:
    errands = links.errands

    async def errands_group(request: Request) -> Any:
        name = links.opened(request, among=GROUPS)
        if name is None:
            return _not_found(request)
        group = await errands.group(name)
        if is_asked_for_json(request):
            return as_response(group)
        if unless_gone(group, request) is None:
            return FtResponse(Gone(), status_code=NO_MORE)
        if seen_by(request) == mark_of(group):
            return Response(status_code=204)  # as above
        return GroupProgress(group), FRESH

    async def errands_group_events(request: Request) -> Any:
        name = links.opened(request, among=GROUPS)
        if name is None:
            return _not_found(request)
        group = unless_gone(await errands.group(name), request)
        return (
            event_stream(group, errands.events(group), request, frame) if group else _gone(request)
        )

    def frame(group: Group) -> tuple[str, str]:
        return "end" if group.is_final else "", to_xml(group_shown(group), indent=False)

    app.route(f"{GROUPS}/{{token}}/events", methods=["GET"])(errands_group_events)
    app.route(f"{GROUPS}/{{token}}", methods=["GET"])(errands_group)


def _gone(request: Request) -> Response:
    """The end of a stream: what is no longer kept does not go on looking as it was."""
    return last_event(request, "end", to_xml(Gone(), indent=False))


def _not_found(request: Request) -> Any:
    """404: for htmx 4, which shows what it gets, with something to show."""
    if "hx-request" in request.headers:
        return FtResponse(Gone(), status_code=404)
    return Response("404 Not Found", 404)

"""The routes: which page, file or action an address stands for."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from errands import ErrandsError
from errands.errors import NotOpen, StoreUnavailable

from . import _pages
from ._actions import ACTIONS, act
from ._forms import FormTooLarge
from ._markup import h, join, visible
from ._parts import layout
from ._static import assets
from ._visit import Page, PageOf, Site, Visit

PAGES: Mapping[str, PageOf] = {
    "/": _pages.now_page,
    "/jobs": _pages.jobs_page,
    "/jobs/{job_id}": _pages.job_page,
    "/change": _pages.change_page,
    "/groups": _pages.groups_page,
    "/errors": _pages.errors_page,
    "/queues": _pages.queues_page,
    "/schedules": _pages.schedules_page,
    "/services": _pages.services_page,
    "/workers": _pages.workers_page,
}
REST = 20  # a page that is open takes a twentieth of the time at the most
WRONG_WAY = "This cannot be asked so"
FOREVER = "private, max-age=31536000, immutable"

Endpoint = Callable[[Request], Awaitable[Response]]
Failure = Callable[[Request, Exception], Awaitable[Response]]


def routes(site: Site) -> Starlette:
    """The application behind the guard."""
    found = [Route(path, _shown(site, page), methods=["GET"]) for path, page in PAGES.items()]
    found.append(Route("/jobs/{job_id}/errors/{place}", _error(site), methods=["GET"]))
    found.append(Route("/static/{file}", _file, methods=["GET"]))

    async def do(request: Request) -> Response:
        if request.path_params["do"] not in ACTIONS:
            raise HTTPException(404)
        return await act(site, request)

    found.append(Route("/do/{do}", do, methods=["POST"]))
    return Starlette(routes=found, exception_handlers=_failures(site))


def _shown(site: Site, page: PageOf) -> Endpoint:
    async def show(request: Request) -> Response:
        visit, began = Visit(site, request), time.monotonic()
        shown = await page(visit)
        return _response(visit, paced(shown, time.monotonic() - began))

    return show


def paced(page: Page, took: float) -> Page:
    """The page, looked up again the more seldom the more seconds it took."""
    if page.live is None:
        return page
    return replace(page, live=max(page.live, math.ceil(REST * took)))


def _error(site: Site) -> Endpoint:
    async def show(request: Request) -> Response:
        text = await _pages.attempt_text(Visit(site, request))
        if text is None:
            raise HTTPException(404)
        return PlainTextResponse(visible(text))

    return show


async def _file(request: Request) -> Response:
    for asset in assets().values():
        if asset.address == f"static/{request.path_params['file']}":
            headers = {"content-type": asset.kind, "cache-control": FOREVER}
            return Response(asset.content, headers=headers)
    raise HTTPException(404)


def _response(visit: Visit, page: Page) -> Response:
    return HTMLResponse(layout(visit, page), page.status)


def _failures(site: Site) -> Mapping[type[Exception], Failure]:
    """What is answered where something cannot be done: a page that says so."""

    def told(status: int, title: str) -> Failure:
        async def answer(request: Request, error: Exception) -> Response:
            code = error.status_code if isinstance(error, HTTPException) else status
            said = error.detail if isinstance(error, HTTPException) else str(error)
            visit = Visit(site, request)
            clean = visit.redaction.text(said)
            home = h.a("Back to Now", href=visit.link(""))
            heading = WRONG_WAY if code == 405 else title
            page = Page(heading, join(h.p(h.bdi(clean)), h.p(home)), status=code)
            response = _response(visit, page)
            if isinstance(error, HTTPException):
                response.headers.update(error.headers or {})
            return response

        return answer

    return {
        HTTPException: told(404, "There is nothing here"),
        FormTooLarge: told(413, "That is too much"),
        StoreUnavailable: told(503, "The store cannot be reached"),
        NotOpen: told(503, "The store is not open"),
        ErrandsError: told(409, "This cannot be done"),
    }

"""The guard: who may look, whose forms are taken, and what the browser is told to refuse."""

from __future__ import annotations

import inspect
import ipaddress
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Allow = Callable[[Request], Any]

logger = logging.getLogger("errands.dashboard")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
WHO = "errands.dashboard.who"  # in the scope: the name of who was let in


class Guard:
    """Stands before the dashboard.

    Args:
        app: What is guarded.
        allow: Asked for each request; whatever is true lets it in, a response is sent.
        read_only: Whether nobody may change anything.
    """

    def __init__(self, app: ASGIApp, allow: Allow | None, *, read_only: bool) -> None:
        """Let in nobody yet."""
        self._app, self._allow, self._read_only = app, allow, read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("cache-control", "no-store")
                headers.update(HEADERS)
            await send(message)

        scope = whole(scope)
        request = Request(scope, receive)
        answer = await self._refusal(request)
        await (answer or self._app)(scope, receive, send_guarded)

    async def _refusal(self, request: Request) -> Response | None:
        """What is answered instead of the dashboard; `None` lets the request in."""
        verdict = _loopback(request) if self._allow is None else await _asked(self._allow, request)
        if isinstance(verdict, Response):
            return verdict
        if not verdict:
            return _refused(NOT_ALLOWED if self._allow else NOT_HERE)
        request.scope[WHO] = _name_of(verdict, request)
        if request.method == "POST":
            reason = READ_ONLY if self._read_only else foreign(request)
            if reason:
                logger.warning(
                    "refused %a who=%a from=%a: %s",
                    request.url.path, request.scope[WHO], _address(request), reason,
                )  # fmt: skip  # a message and its parts
                return _refused(reason)
        return None


def whole(scope: Scope) -> Scope:
    """The request with its whole path, from the root of the server.

    Behind a proxy that takes a prefix away, `FastAPI(root_path="/prefix")` adds it to `root_path`
    and not to `path`, so that whoever is mounted below would look for its pages in vain.
    """
    root, before = scope.get("root_path", ""), scope.get("app_root_path", "")
    if not before or f"{scope['path']}/".startswith(f"{root}/"):
        return scope
    return {**scope, "path": before + scope["path"]}


NOT_ALLOWED = "You are not allowed to see this."
NOT_HERE = (
    "Without allow=, the dashboard answers this machine alone, and no proxy. "
    "Write dashboard(errands, allow=is_admin), where is_admin(request) says who may look."
)
READ_ONLY = "This dashboard is read only."
FOREIGN = "This form was not sent by the dashboard itself."


def foreign(request: Request) -> str | None:
    """Why a form is not taken: another site has sent it, or nobody knows who.

    Every browser says so: by `Sec-Fetch-Site` where the page was loaded safely, else by
    `Origin` (OWASP, Cross-Site Request Forgery Prevention: Fetch Metadata).
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return None if site == "same-origin" else FOREIGN
    origin = request.headers.get("origin", "null")
    is_ours = origin != "null" and _parts(origin).netloc == request.headers.get("host")
    return None if is_ours else FOREIGN


def audit(request: Request, action: str, **what: object) -> None:
    """Leave a line that says who did what; odd characters in it are escaped."""
    told = " ".join(f"{name}={value!a}" for name, value in what.items())
    logger.info("%s who=%a from=%a %s", action, request.scope[WHO], _address(request), told)


async def _asked(allow: Allow, request: Request) -> Any:
    """The word of the application; a plain function has a thread, as an endpoint has."""
    if inspect.iscoroutinefunction(allow) or inspect.iscoroutinefunction(
        getattr(allow, "__call__", None)  # noqa: B004  # an object whose call is a coroutine
    ):
        return await allow(request)
    verdict = await run_in_threadpool(allow, request)
    return await verdict if inspect.isawaitable(verdict) else verdict


def _loopback(request: Request) -> bool:
    """Whether somebody on this machine asks, and for this machine.

    A proxy on this machine asks for others. And a name that somebody else lets point here
    would have a visitor's own browser ask for them (DNS rebinding).
    """
    if any(name in request.headers for name in FORWARDED):
        return False
    host = _parts(f"//{request.headers.get('host', '')}").hostname or ""
    return _is_loopback(_address(request)) and (host == "localhost" or _is_loopback(host))


def _parts(address: str) -> SplitResult:
    """Those of an address, which are all empty where it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _name_of(verdict: Any, request: Request) -> str:
    return (_address(request) or "somebody") if verdict is True else str(verdict)[:200]


def _refused(reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", 403)

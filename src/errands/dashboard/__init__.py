"""The dashboard: pages on what the background does, for any ASGI framework."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

try:
    from starlette.types import ASGIApp
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"errands.dashboard needs Starlette ({error}): pip install 'errands[dashboard]'",
        name=error.name,
    ) from error

from errands import Errands, Redaction

from ._changes import declare
from ._glance import Glance
from ._guard import Allow, Guard
from ._routes import routes
from ._static import assets
from ._visit import Site

HOUR = timedelta(minutes=61)  # the minute that has begun, and sixty before it

__all__ = ["dashboard"]


def dashboard(
    errands: Errands,
    *,
    allow: Allow | None = None,
    read_only: bool = False,
    redact: Iterable[str] = (),
) -> ASGIApp:
    """The dashboard as an ASGI application, to be mounted: `app.mount("/errands", …)`.

    The application that it is mounted in opens `errands`: `setup_errands` does.

    Args:
        allow: Asked with Starlette's `Request` for each request, plain or `async`. What is
            true is let in, and stands in the log for who it was; what is false gets a 403, and
            a response is sent as it is. Without it only this machine itself is answered.
        read_only: Leave out every button, and refuse every form.
        redact: Parts of names whose values are hidden, beside `password`, `token`, `secret`
            and others.
    """
    if not read_only:
        declare(errands)
    site = Site(
        errands=errands,
        redaction=Redaction(redact),
        read_only=read_only,
        counts=Glance(errands.count),
        hour=Glance(lambda: errands.history(errands.now() - HOUR)),
        assets={name: asset.address for name, asset in assets().items()},
    )
    return Guard(routes(site), allow, read_only=read_only)

"""How an application gets its Errands: as its innermost middleware, and as a part of its state."""

from __future__ import annotations

from typing import Any

from .. import Door, Errands
from ..errors import SetupError
from ._exchange import Failed
from ._middleware import Check, ErrandsMiddleware, raised


def setup_errands(
    app: Any,
    errands: Errands,
    *,
    work: bool = True,
    failed: Failed = raised,
    check: Check | None = None,
    door: Door | None = None,
) -> None:
    """Install Errands in a Starlette, FastAPI or FastHTML application.

    Args:
        app: The application; also found as `app.state.errands` from now on: its `errands`.
        work: Whether this process also runs jobs; `False` leaves them to other processes.
        failed: See `ErrandsMiddleware`.
        check: See `ErrandsMiddleware`.
        door: See `ErrandsMiddleware`.

    Raises:
        SetupError: if it was done before, or the application has started.
    """
    if not hasattr(app, "user_middleware"):
        raise SetupError(
            f"{app!r} is no Starlette, FastAPI or FastHTML application; "
            "wrap any other one: app = ErrandsMiddleware(app, errands)"
        )
    if any(entry.cls is ErrandsMiddleware for entry in app.user_middleware):
        raise SetupError("setup_errands was called for this application before; once is enough")
    if app.middleware_stack is not None:
        raise SetupError("the application has started: call setup_errands before it serves")
    app.add_middleware(
        ErrandsMiddleware, errands=errands, work=work, failed=failed, check=check, door=door
    )  # fmt: skip  # a call
    app.user_middleware.append(app.user_middleware.pop(0))  # innermost
    app.state.errands = errands

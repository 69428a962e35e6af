"""Errands in a FastAPI application: `background: BackgroundTasks` in any handler or dependency."""

from __future__ import annotations

from typing import Annotated, Any

try:
    from fastapi import Depends
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"errands.fastapi needs FastAPI ({error}): pip install 'errands[fastapi]'",
        name=error.name,
    ) from error

from . import BackgroundTasks as _BackgroundTasks
from . import Errands
from .asgi import ErrandsMiddleware, Failed, raised
from .asgi import setup_errands as setup_asgi
from .status import JsonDoor, Links, StatusKey, add_routes

__all__ = ["BackgroundTasks", "ErrandsMiddleware", "get_background", "setup_errands"]


def setup_errands(
    app: Any,
    errands: Errands,
    *,
    work: bool = True,
    failed: Failed = raised,
    secret: str | bytes | None = None,
    status_key: StatusKey | None = None,
) -> None:
    """Install Errands in a FastAPI application, with the routes that tell how jobs do.

    Args:
        app: The application; also found as `app.state.errands` from now on: its `errands`.
        work: Whether this process also runs jobs; `False` leaves them to other processes.
        failed: See `ErrandsMiddleware`.
        secret: What links to jobs are signed with; by default, a secret that the store keeps.
        status_key: Asked with a request whom its links to jobs are for, such as
            `lambda request: request.session.get("user")`; for everybody by default.

    Raises:
        SetupError: if it was done before, or the application has started.
    """
    links = Links(errands, secret, status_key)
    door = JsonDoor(links, is_plain=False)
    setup_asgi(app, errands, work=work, failed=failed, door=door)
    add_routes(app, links)


async def get_background() -> _BackgroundTasks:
    """The background tasks of the request or WebSocket; what tests may override.

    Raises:
        NoRequest: if Errands was not set up.
    """
    return _BackgroundTasks.of()


BackgroundTasks = Annotated[_BackgroundTasks, Depends(get_background)]

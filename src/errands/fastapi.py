"""Errands in a FastAPI application: `background: BackgroundTasks` in any handler or dependency."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from . import BackgroundTasks as _BackgroundTasks
from .asgi import ErrandsMiddleware, setup_errands

__all__ = ["BackgroundTasks", "ErrandsMiddleware", "get_background", "setup_errands"]


async def get_background(connection: HTTPConnection) -> _BackgroundTasks:
    """The background tasks of a request or WebSocket; what tests may override.

    Raises:
        NoRequest: if Errands was not set up.
    """
    return _BackgroundTasks.of(connection)


BackgroundTasks = Annotated[_BackgroundTasks, Depends(get_background)]

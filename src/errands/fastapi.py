"""Errands in a FastAPI application: `background: BackgroundTasks` in any handler or dependency."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from . import BackgroundTasks as _BackgroundTasks
from .asgi import ErrandsMiddleware, setup_errands

__all__ = ["BackgroundTasks", "ErrandsMiddleware", "get_background", "setup_errands"]


async def get_background() -> _BackgroundTasks:
    """The background tasks of the request or WebSocket; what tests may override.

    Raises:
        NoRequest: if Errands was not set up.
    """
    return _BackgroundTasks.of()


BackgroundTasks = Annotated[_BackgroundTasks, Depends(get_background)]

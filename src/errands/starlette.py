"""Errands in a Starlette application: `BackgroundTasks.of(request)` in any handler."""

from __future__ import annotations

from . import BackgroundTasks
from .asgi import ErrandsMiddleware, setup_errands

__all__ = ["BackgroundTasks", "ErrandsMiddleware", "setup_errands"]

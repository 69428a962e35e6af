"""Handlers that ask for Starlette's `BackgroundTasks` where ours was meant."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from starlette.background import BackgroundTask as StarletteTask


def shadowed(app: Any) -> Iterator[str]:
    """Handlers whose parameter is Starlette's class: they would answer 400."""
    for handler in _handlers(app):
        for parameter in _parameters(handler):
            kind = parameter.annotation
            if isinstance(kind, type) and issubclass(kind, StarletteTask):
                yield (
                    f"{handler.__qualname__}({parameter.name}) is annotated with "
                    f"{kind.__module__}.{kind.__name__}, which FastHTML does not fill. Import "
                    "BackgroundTasks from errands.fasthtml after `from fasthtml.common import *`."
                )


def _handlers(app: Any) -> Iterator[Any]:
    """What was given to `@rt`, `@app.ws`, `before` and `after`, here and in mounted applications.

    FastHTML keeps handlers in the closures of its endpoints.
    """
    for wrapped in (*getattr(app, "before", ()), *getattr(app, "after", ())):
        yield getattr(wrapped, "f", wrapped)
    for route in getattr(app, "routes", None) or ():
        endpoint = getattr(route, "endpoint", None)
        if inspect.isfunction(endpoint):
            yield from _closed_over(endpoint, "f")
        elif inspect.isclass(endpoint):
            for name in ("on_receive", "on_connect", "on_disconnect"):
                yield from _closed_over(getattr(endpoint, name, None), "recv", "conn", "disconn")
        yield from _handlers(getattr(route, "app", None))


def _closed_over(function: Any, *names: str) -> Iterator[Any]:
    if inspect.isfunction(function):
        inside = inspect.getclosurevars(function).nonlocals
        yield from (inside[name] for name in names if inspect.isroutine(inside.get(name)))


def _parameters(handler: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(handler, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError):  # FastHTML will say so itself
        return []

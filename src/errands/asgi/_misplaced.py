"""Middleware in the wrong place: what hides from ours whether a handler raised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def misplaced(app: Any, middleware: type) -> Iterator[str]:
    """What to say of each between the handlers and `middleware`, which is ours."""
    entries = list(getattr(app, "user_middleware", ()))
    ours = next((i for i, entry in enumerate(entries) if entry.cls is middleware), None)
    if ours is not None:
        yield from (
            _hidden(entry.cls, "inside of ErrandsMiddleware")
            for entry in entries[ours + 1 :]
            if _hides(entry.cls)
        )
    yield from _misplaced_below(app, "")


def _misplaced_below(app: Any, prefix: str) -> Iterator[str]:
    """What routes and mounted applications bring along."""
    for route in getattr(app, "routes", None) or ():
        path = prefix + getattr(route, "path", "")
        child = getattr(route, "app", None)
        while child is not None:  # each middleware of a route wraps the next as its `app`
            if _hides(type(child)):
                yield _hidden(type(child), f"at {path!r}")
            for entry in getattr(child, "user_middleware", ()):
                if _hides(entry.cls):
                    yield _hidden(entry.cls, f"in the application at {path!r}")
            yield from _misplaced_below(child, path)
            child = getattr(child, "app", None)


def _hidden(middleware: type, where: str) -> str:
    return (
        f"{middleware.__name__} is a BaseHTTPMiddleware {where}, between ErrandsMiddleware and the "
        "handlers: tasks of handlers that raise will be kept. Add it with app.add_middleware."
    )


def _hides(middleware: Any) -> bool:
    kinds = getattr(middleware, "__mro__", ())
    return any(k.__module__ == "starlette.middleware.base" for k in kinds)

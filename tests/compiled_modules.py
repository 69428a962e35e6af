"""Functions of modules that are made of a text, so that their file and name can be chosen."""

from __future__ import annotations

from typing import Any

SOURCE = "def work(n=1):\n    return n\n"


def compiled(source: str, filename: str, module: str) -> Any:
    """The function `work` of a module that is made of `source`."""
    scope: dict[str, Any] = {"__name__": module}
    exec(compile(source, filename, "exec"), scope)
    return scope["work"]

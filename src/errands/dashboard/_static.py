"""Static files: read once, named after what is in them, and kept by the browser for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Self

KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
NAMES = ("dashboard.css", "dashboard.js", "htmx.min.js", "icon.svg")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file.

    Attributes:
        address: Below the dashboard; another one as soon as the file changes.
    """

    address: str
    kind: str
    content: bytes

    @classmethod
    def read(cls, name: str) -> Self:
        """That of this name."""
        content = files(__package__).joinpath("static", name).read_bytes()
        stem, _, ending = name.rpartition(".")
        mark = hashlib.sha256(content).hexdigest()[:12]
        return cls(f"static/{stem}-{mark}.{ending}", f"{KINDS[ending]}; charset=utf-8", content)


@cache
def assets() -> dict[str, Asset]:
    """All of them, by name."""
    return {name: Asset.read(name) for name in NAMES}

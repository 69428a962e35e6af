"""What the door of a framework knows and the core does not: how to answer a request."""

from __future__ import annotations

from typing import Any, Protocol

from ._job import Job


class Door(Protocol):
    """How one application answers, by way of its framework."""

    async def open(self) -> None:
        """Read from the store what is needed: it is open now, and no request is here yet."""
        ...

    def ready(self, job: Job, value: Any) -> Any:
        """What a handler returns whose job has ended well, with this value."""
        ...

    def accepted(self, job: Job) -> Any:
        """What a handler returns whose job goes on: 202, and where to ask for it."""
        ...

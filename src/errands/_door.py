"""What the door of a framework knows and the core does not: how to answer a request."""

from __future__ import annotations

from typing import Any, Protocol

from ._group import Group
from ._job import Job


class Door(Protocol):
    """How one application answers, by way of its framework."""

    async def open(self) -> None:
        """Read from the store what is needed: it is open now, and no request is here yet."""
        ...

    def ready(self, what: Job | Group, value: Any) -> Any:
        """What a handler returns whose job has ended well, with this value.

        That of a group is the group.
        """
        ...

    def accepted(self, what: Job | Group) -> Any:
        """What a handler returns whose job or group goes on: 202, and where to ask for it."""
        ...

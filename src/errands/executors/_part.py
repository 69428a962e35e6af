"""The part of this process: an application's own, or one that runs its tasks.

A process of the second kind imports the application's modules, and must not become a second
application by that.
"""

from __future__ import annotations

from enum import Enum

from ..errors import SetupError


class Part(Enum):
    """What a process is there for."""

    APPLICATION = "application"
    IMPORTING = "importing"  # it reads the modules of the tasks that it is to run
    RUNNING = "running"  # it runs a task


_part = Part.APPLICATION


def play(part: Part) -> None:
    """Have this process know what it is there for."""
    global _part  # noqa: PLW0603  # of a process there is one
    _part = part


def require_open() -> None:
    """Refuse to open a store while a module is imported.

    Raises:
        SetupError: if this process only wants to know the tasks of the module.
    """
    if _part is Part.IMPORTING:
        raise SetupError(
            "this module starts its application when it is imported, as by a process that runs "
            'its tasks. Write `if __name__ == "__main__":` above what starts it.'
        )


def require_application() -> None:
    """Refuse to work in a process that runs one task of an application.

    Raises:
        SetupError: if this is one.
    """
    require_open()
    if _part is Part.RUNNING:
        raise SetupError(
            'a task with run="process" cannot be at work itself: it may open the store to add '
            "jobs, with `async with errands:`, and another process runs them"
        )

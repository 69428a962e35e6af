"""An order: what a worker process is to do, as options of the command line and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

LOOPS = ("auto", "asyncio", "uvloop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """See `errands worker --help`; `None` stands for what the `Errands` object says."""

    target: str
    app_dir: Path
    is_factory: bool
    queues: Sequence[str] | None
    slots: int | None
    grace: float | None
    loop: str
    log_level: str

    @property
    def settings(self) -> dict[str, Any]:
        """For `Errands.working`."""
        return {"queues": self.queues, "slots": self.slots, "grace": self.grace}

    def arguments(self) -> list[str]:
        """Those with which `errands` does this in one process."""
        options = {
            "--app-dir": self.app_dir,
            "--queues": None if self.queues is None else ",".join(self.queues),
            "--slots": self.slots,
            "--grace": self.grace,
            "--loop": self.loop,
            "--log-level": self.log_level,
        }
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        return ["worker", *given, *(["--factory"] if self.is_factory else []), "--", self.target]


def loop_factory(name: str) -> Callable[[], Any] | None:
    """What makes the event loop; `None` for asyncio's own.

    Raises:
        click.UsageError: if `uvloop` is asked for and not installed.
    """
    if name == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415  # only where it is installed and wanted
    except ImportError:
        if name == "auto":
            return None
        raise click.UsageError(
            "--loop=uvloop: it is not installed. pip install 'errands[uvloop]', or leave it out."
        ) from None
    return uvloop.new_event_loop

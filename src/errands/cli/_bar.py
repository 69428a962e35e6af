"""The bar: how far long work has come, on the standard error where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


class Tell(Protocol):
    """Takes what is done by now, and how much there is if that is known."""

    def __call__(self, done: int, total: int | None = None, /) -> None:
        """Draw it."""
        ...


@contextmanager
def bar(label: str, total: int | None = None) -> Iterator[Tell]:
    """Show a bar while in the block; without a total, the number alone.

    Args:
        label: What is done.
        total: How much there is, as far as that is known by now.
    """
    if not sys.stderr.isatty():
        yield lambda done, known=None: None
        return
    with ExitStack() as stack:
        drawn: list[ProgressBar[int]] = []

        def tell(done: int, known: int | None = None) -> None:
            if not drawn:  # what is over at once has none
                drawn.append(stack.enter_context(_drawn(label, total)))
            drawn[0].length = max(known or total or done, done)
            drawn[0].update(done - drawn[0].pos)

        yield tell


def _drawn(label: str, total: int | None) -> ProgressBar[int]:
    return click.progressbar(length=total or 0, label=label, file=sys.stderr, show_pos=True)

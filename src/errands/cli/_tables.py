"""Tables: drawn where there is a terminal, fields parted by tabs or JSON where there is none."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Literal

import click

from ._texts import one_line

GAP = 2  # blanks between two columns
WIDE = 150  # columns of a terminal in which ids and instants are shown whole
HAS_RICH = find_spec("rich") is not None
STYLES = {
    "done": "green", "failed": "bold red", "cancelled": "dim", "running": "cyan",
    "stopping": "yellow", "retrying": "yellow", "scheduled": "blue", "waiting": "magenta",
    "paused": "yellow", "overdue": "bold red", "unknown": "bold red", "alive": "green",
    "silent": "bold red", "gone": "dim", "stopped": "dim", "starting": "cyan",
    "backing off": "yellow",
}  # fmt: skip  # a table

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        of: What it says of a record.
        since: Columns that a terminal must have for it to be shown.
        narrow: What it says where the terminal has fewer than 150.
        least: Characters that it is cut down to where there is no room; `None` for not at all.
    """

    title: str
    of: Callable[[Record], str]
    since: int = 0
    narrow: Callable[[Record], str] | None = None
    justify: Literal["left", "right"] = "left"
    least: int | None = None


def write(
    records: Sequence[Record], columns: Sequence[Column], *, is_json: bool, nothing: str
) -> None:
    """Write records to the standard output, in the form that suits it.

    Args:
        nothing: What people are told if there are none.
    """
    if is_json:
        write_json(records)
    elif not sys.stdout.isatty():
        _write_fields(records, columns)
    elif not records:
        click.echo(nothing)
    elif HAS_RICH:
        _draw(records, columns)
    else:
        _write_aligned(records, columns)


def write_json(value: Any) -> None:
    """Write one JSON value, for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_as_json))


def _write_fields(records: Sequence[Record], columns: Sequence[Column]) -> None:
    """A line for each, whole, and one with the titles before them."""
    click.echo("\t".join(column.title for column in columns))
    for record in records:
        click.echo("\t".join(one_line(column.of(record)) for column in columns))


def _write_aligned(records: Sequence[Record], columns: Sequence[Column]) -> None:
    width = shutil.get_terminal_size().columns
    shown = [column for column in columns if column.since <= width]
    lines = [[column.title for column in shown], *_cells(records, shown, width)]
    widths = _widths(lines, shown, width)
    for line in lines:
        cells = [
            cell if len(cell) <= w else f"{cell[: w - 1]}…"
            for cell, w in zip(line, widths, strict=True)
        ]
        click.echo(
            (" " * GAP)
            .join(
                cell.rjust(size) if column.justify == "right" else cell.ljust(size)
                for cell, size, column in zip(cells, widths, shown, strict=True)
            )
            .rstrip()
        )


def _draw(records: Sequence[Record], columns: Sequence[Column]) -> None:
    from rich.console import Console  # noqa: PLC0415  # an extra, and slow to import

    console = Console()
    console.print(drawn(records, columns, console.width))


def drawn(records: Sequence[Record], columns: Sequence[Column], width: int) -> Any:
    """The table as rich draws it, in so many columns of a terminal."""
    from rich.table import Table  # noqa: PLC0415  # as above
    from rich.text import Text  # noqa: PLC0415

    shown = [column for column in columns if column.since <= width]
    lines = _cells(records, shown, width)
    widths = _widths([[column.title for column in shown], *lines], shown, width)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, size in zip(shown, widths, strict=True):
        table.add_column(
            column.title, width=size, justify=column.justify, no_wrap=True, overflow="ellipsis"
        )
    for cells in lines:
        table.add_row(*[Text(cell, style=STYLES.get(cell, "")) for cell in cells])
    return table


def _widths(lines: Sequence[Sequence[str]], columns: Sequence[Column], width: int) -> list[int]:
    """Characters for each column: what it needs, or less for those that may be cut."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    spare = width - GAP * (len(columns) - 1)
    while sum(widths) > spare:
        room = [
            (size - column.least, index)
            for index, (size, column) in enumerate(zip(widths, columns, strict=True))
            if column.least is not None
        ]
        most, widest = max(room, default=(0, 0))
        if most <= 0:
            break
        widths[widest] -= 1
    return widths


def _cells(records: Sequence[Record], columns: Sequence[Column], width: int) -> list[list[str]]:
    def cell(column: Column, record: Record) -> str:
        say = column.narrow if column.narrow is not None and width < WIDE else column.of
        return one_line(say(record))

    return [[cell(column, record) for column in columns] for record in records]


def _as_json(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

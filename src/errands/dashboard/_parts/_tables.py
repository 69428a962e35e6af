"""Tables, sections, and figures: how facts stand on a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .._markup import Child, Markup, h, join


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: Its heading; on a narrow screen it stands before each value.
        cls: `num` for numbers, `main` for what a row is about, `quiet`, `act` for buttons.
    """

    title: str
    cls: str = ""


def table(columns: Sequence[Column], rows: Iterable[Sequence[Child]], *, cls: str = "") -> Markup:
    """A table whose rows can be walked with `j` and `k`; cards on a narrow screen."""
    heads = (
        h.th(column.title, scope="col", cls=column.cls or None)
        if column.title
        else h.td(cls=column.cls or None)  # a heading that says nothing is none
        for column in columns
    )
    body = (
        h.tr(
            h.td(cell, cls=column.cls or None, data_label=column.title or None)
            if cell != ""
            else h.td(cls=f"{column.cls} none".strip())
            for column, cell in zip(columns, row, strict=True)
        )
        for row in rows
    )
    return h.table(h.thead(h.tr(heads)), h.tbody(body), cls=f"rows {cls}".strip())


def section(title: str, *content: Child, more: Child = None) -> Markup:
    """A part of a page under a heading.

    Args:
        more: What stands beside the heading.
    """
    heading = h.h2(title)
    return h.section(h.header(heading, more) if more is not None else heading, *content)


def pre(text: str) -> Markup:
    """A text with its lines as they are, which the keyboard can scroll."""
    return h.pre(h.bdi(text), tabindex=0)


def nothing(text: Child) -> Markup:
    """What stands where there is nothing to show, and why."""
    return h.p(text, cls="nothing")


def figures(items: Iterable[tuple[str, Child, Child]]) -> Markup:
    """Big numbers: for each what it is, the number, and a remark."""
    return h.dl(
        (
            h.div(h.dt(name), h.dd(value), h.dd(remark, cls="remark") if remark else None)
            for name, value, remark in items
        ),
        cls="figures",
    )


def facts(items: Iterable[tuple[str, Child]]) -> Markup:
    """Names and values; those without a value are left out."""
    pairs = (join(h.dt(name), h.dd(value)) for name, value in items if value not in (None, ""))
    return h.dl(pairs, cls="facts")

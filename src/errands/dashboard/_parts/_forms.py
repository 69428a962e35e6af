"""Forms: a button that does something, and fields to filter by."""

from __future__ import annotations

from collections.abc import Iterable

from .._markup import Child, Markup, h, join
from .._visit import Visit


def act(
    visit: Visit, do: str, label: str, /, *, key: str | None = None, cls: str = "", **values: str
) -> Markup:
    """A button that posts these values to the action, and comes back to this page.

    Args:
        key: The letter that presses it, too.
    """
    return h.form(
        hidden(back=visit.here, **values),
        h.button(label, cls=cls or None, data_key=key),
        method="post",
        action=visit.link(f"do/{do}"),
    )


def row_button(visit: Visit, do: str, label: str, job_id: str, key: str | None = None) -> Markup:
    """A button of one row, in a form around many."""
    return h.button(
        label, name="one", value=job_id, formaction=visit.link(f"do/{do}"), data_key=key,
        cls="small",
    )  # fmt: skip  # a call


def hidden(**values: str | None) -> Markup:
    """Values that go with a form."""
    return join(
        h.input(type="hidden", name=name, value=value) for name, value in values.items() if value
    )


def field(
    label: str,
    name: str,
    value: str | None,
    *,
    kind: str = "text",
    choices: Iterable[str] | None = None,
    hint: str | None = None,
    key: str | None = None,
) -> Markup:
    """A field with its label; a list to choose from, where there are choices."""
    inner: Child
    if choices is None:
        inner = h.input(
            type=kind, name=name, value=value, placeholder=hint, data_key=key, autocomplete="off",
            spellcheck="false",
        )  # fmt: skip  # a call
    else:
        all_choices = sorted({*choices, *([value] if value else [])})
        inner = h.select(
            h.option("all", value=""),
            (h.option(each, value=each, selected=each == value) for each in all_choices),
            name=name,
        )
    return h.label(h.span(label), inner)

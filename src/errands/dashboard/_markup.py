"""HTML from Python: every text becomes harmless, unless it is HTML already.

It is a builder of its own, and not `fastcore.xml`, since there a child that is neither text nor
an element (a list, a dict, an exception) is written as it is, and what we show is all strange.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Self, TypeAlias

VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})

# Controls, which nobody sees; those that turn the direction of what follows them; and halves
# of characters, which no response can carry. Tab and newline stay.
ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff]"
)


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()

    def __html__(self) -> Self:
        """Itself: FastHTML and template engines take it as it is."""
        return self


Child: TypeAlias = "str | int | float | Iterable[Child] | None"
Attribute: TypeAlias = "str | int | float | bool | None"


class _Tags:
    """Makes an element by its name: `h.p("text", cls="quiet")`."""

    def __getattr__(self, name: str) -> Callable[..., Markup]:
        tag = name.rstrip("_")

        def element(*children: Child, **attributes: Attribute) -> Markup:
            """One element."""
            start = f"<{tag}{_attributes(attributes)}>"
            return Markup(start if tag in VOID else f"{start}{_inner(children)}</{tag}>")

        setattr(self, name, element)  # made once
        return element


h = _Tags()


def join(*children: Child) -> Markup:
    """What stands one after the other, without an element around it."""
    return Markup(_inner(children))


def visible(text: str) -> str:
    """The text with each control, and each half of a character, written as its number."""
    return ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _inner(children: Iterable[Child]) -> str:
    return "".join(map(_text, children))


def _text(child: Child) -> str:
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(visible(child), quote=False)
    if child is None:
        return ""
    if isinstance(child, int | float):
        return str(child)
    return _inner(child)


def _attributes(attributes: dict[str, Attribute]) -> str:
    return "".join(
        f" {_name(name)}" if value is True else f' {_name(name)}="{escape(visible(str(value)))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )


def _name(name: str) -> str:
    return "class" if name == "cls" else name.rstrip("_").replace("_", "-")

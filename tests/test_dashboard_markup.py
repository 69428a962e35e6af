"""HTML from Python: whatever is a text comes out as a text."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errands.dashboard._markup import Markup, h, join, visible


def test_an_element_holds_its_children() -> None:
    """Texts, numbers, elements, and as many as there are."""
    made = h.p("a", 1, h.b("c"), (h.i(str(n)) for n in range(2)), None)

    assert "<p>a1<b>c</b><i>0</i><i>1</i></p>" == made


def test_attributes_are_named_as_python_can() -> None:
    """Without what is missing or false; what is true stands alone."""
    made = h.input(cls="x", data_row=True, hidden=False, for_="id", value=None, max=1)

    assert '<input class="x" data-row for="id" max="1">' == made


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "</td><img src=x onerror=alert(1)>", "&lt;", "<!--"]
)
def test_a_text_is_never_a_tag(text: str) -> None:
    """Between tags."""
    inner = h.p(text).removeprefix("<p>").removesuffix("</p>")

    assert not set("<>") & set(inner)
    assert text == html.unescape(inner)


@given(st.text())
def test_no_text_leaves_its_attribute(text: str) -> None:
    """Whatever quotes there are in it."""
    inner = h.p(title=text).removeprefix('<p title="').removesuffix('"></p>')

    assert not set("<>\"'") & set(inner)
    assert visible(text) == html.unescape(inner)


def test_a_markup_is_not_escaped_again() -> None:
    """Neither here, nor by others who ask for `__html__`."""
    made = join(h.b("&"))

    assert "<p><b>&amp;</b></p>" == h.p(made)
    assert made is made.__html__()
    assert isinstance(made, Markup)


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        ("\0", "\\u0000"),
        ("\x1b[31m", "\\u001b[31m"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("\u2066", "\\u2066"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_cannot_be_seen_is_shown(odd: str, shown: str) -> None:
    """Controls, what turns the direction of others, and halves of characters."""
    made = h.p(odd)

    assert f"<p>{shown}</p>" == made
    made.encode()


@pytest.mark.parametrize("text", ["שלום עולם", "مرحبا", "naïve 🎉", "tab\tand\nnewline"])
def test_what_people_write_stays(text: str) -> None:
    """In whatever direction."""
    assert f"<p>{text}</p>" == h.p(text)

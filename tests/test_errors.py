"""What a traceback says in one line."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from errands.errors import reason_of


def plain() -> None:
    raise ValueError("no cat")


def long() -> None:
    raise ValueError("1 validation error\nname\n  a name is text\n\nFor more, read on elsewhere")


def chained() -> None:
    try:
        plain()
    except ValueError as error:
        raise RuntimeError("no dog") from error


def during() -> None:
    try:
        plain()
    except ValueError:
        raise RuntimeError("no dog")  # noqa: B904  # the case


def grouped() -> None:
    raise ExceptionGroup("pets", [ValueError("no cat"), ValueError("no dog")])


def grouped_in_turn() -> None:
    try:
        grouped()
    except ExceptionGroup as error:
        raise RuntimeError("no pets") from error


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (plain, "ValueError: no cat"),
        (long, "ValueError: 1 validation error"),
        (chained, "RuntimeError: no dog"),
        (during, "RuntimeError: no dog"),
        (grouped, "ExceptionGroup: pets (2 sub-exceptions)"),
        (grouped_in_turn, "RuntimeError: no pets"),
    ],
)
def test_it_is_the_type_and_how_the_message_begins(fails: Callable[[], None], said: str) -> None:
    """Of the error that was raised last, and not of one below it."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
        fails()

    assert said == reason_of("".join(traceback.format_exception(caught.value)))


def test_what_is_no_traceback_says_it_itself() -> None:
    """Such as what Errands says of a job; and nothing where there is none."""
    assert "its worker was lost" == reason_of("its worker was lost")
    assert ["", ""] == [reason_of(None), reason_of("")]


def test_of_a_traceback_without_its_beginning_it_is_the_same() -> None:
    """The end of a long one is what is kept."""
    assert "ValueError: no" == reason_of(
        '…py", line 3, in f\n    raise ValueError\nValueError: no\n'
    )
    assert "…xxx" == reason_of("…xxx")

"""The plain values that users pass: text, numbers, lengths of time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from errands._plain import is_text, is_whole, kept, seconds, shown


@pytest.mark.parametrize("text", ["a", "dög", "a b/c", "x" * 2000])
def test_text_that_every_store_can_keep(text: str) -> None:
    """Of whatever language."""
    assert is_text(text)


@pytest.mark.parametrize(
    "value", ["", "a\0b", "cat\udcff.png", "x" * 2001, "ö" * 1001, 5, None, b"a"]
)
def test_what_no_store_can_keep_as_a_name(value: object) -> None:
    """Nothing, a NUL, half of a pair, more than an index has room for, and what is no text."""
    assert not is_text(value)


def test_whole_numbers_are_those_of_the_databases() -> None:
    """And a truth is no number."""
    assert [True, True, True] == [is_whole(n) for n in (0, -5, 2**63 - 1)]
    assert [False] * 4 == [is_whole(n) for n in (2**63, 1.0, True, "1")]


def test_what_cannot_be_kept_is_spelt_out() -> None:
    """All else stays as it is."""
    assert r"cat\udcff.png\x00" == kept("cat\udcff.png\0")
    assert "dög\n" == kept("dög\n")


def test_a_length_of_time_is_seconds_or_a_timedelta() -> None:
    """And nothing else."""
    assert (90, 1.5) == (seconds(timedelta(minutes=1, seconds=30)), seconds(1.5))
    with pytest.raises(TypeError, match="'60' is no length of time"):
        seconds("60")  # type: ignore[arg-type]  # that is the point


def _deep() -> list[Any]:
    inner: list[Any] = []
    for _ in range(10_000):
        inner = [inner]
    return inner


class Unspeakable:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("not to be said")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("cat", "'cat'"),
        ("x" * 99, f"'{'x' * 56}…"),
        (10**5000, "<int that cannot be shown: ValueError>"),
        (_deep(), "<list that cannot be shown: RecursionError>"),
        (Unspeakable(), "<Unspeakable that cannot be shown: RuntimeError>"),
    ],
    ids=["short", "long", "number", "deep", "broken"],
)
def test_any_value_can_be_quoted(value: object, expected: str) -> None:
    """In some 60 characters."""
    assert expected == shown(value)

"""What SQL stores keep of rates: a row for each bucket from which a token is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._quota import Bucket, Entry
from ._rows import as_json, decode

NAME = "errands_rates"
COLUMNS = ("key", "taken", "over")  # tokens as `[[ms, number], ...]`; when all of them are back


def rows_of(spent: Mapping[str, Bucket]) -> str:
    """Buckets as rows, in JSON."""
    return as_json([(key, as_json(each.taken), each.over) for key, each in spent.items()])


def taken_of(rows: Sequence[Sequence[Any]]) -> dict[str, list[Entry]]:
    """The entries of buckets, by key, of rows of a key and its tokens."""
    return {key: [(at, number) for at, number in decode(taken)] for key, taken in rows}

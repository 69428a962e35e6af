"""The secret of a store as numbers: a row of `errands_meta` takes one, of 64 bits."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

SIZE = 32  # bytes
NAMES = ("secret.0", "secret.1", "secret.2", "secret.3")


def new_secret() -> bytes:
    """One that nobody can guess."""
    return secrets.token_bytes(SIZE)


def rows_of(secret: bytes) -> Sequence[tuple[str, int]]:
    """A secret, as name and value of each row."""
    words = (secret[start : start + 8] for start in range(0, SIZE, 8))
    return [
        (name, int.from_bytes(word, "big", signed=True))
        for name, word in zip(NAMES, words, strict=True)
    ]


def joined(rows: Iterable[tuple[str, int]]) -> bytes | None:
    """The secret that these rows hold, in whatever order; `None` if one is missing."""
    found: Mapping[str, int] = dict(rows)
    if not all(name in found for name in NAMES):
        return None
    return b"".join(found[name].to_bytes(8, "big", signed=True) for name in NAMES)

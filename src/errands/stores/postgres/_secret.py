"""The secret of the PostgreSQL store, in `errands_meta`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._secret import NAMES, joined, new_secret, rows_of
from ._link import Session

ROWS = "select name, value from errands_meta where name = any(%(names)s::text[])"
KEEP = """
insert into errands_meta select * from unnest(%(names)s::text[], %(values)s::bigint[])
on conflict (name) do nothing
"""
REPLACE = KEEP.replace("nothing", "update set value = excluded.value")


async def secret(session: Session, calls: list[None]) -> list[bytes]:
    """See `Store.secret`."""
    while (found := joined(await session.rows(ROWS, {"names": list(NAMES)}))) is None:
        await session.rows(KEEP, _columns(new_secret()))
    return [found for _ in calls]


async def keep(session: Session, calls: list[tuple[bytes, bool]]) -> list[None]:
    """See `Store.keep_secret`."""
    for given, is_over in calls:
        await session.rows(REPLACE if is_over else KEEP, _columns(given))
    return [None] * len(calls)


def _columns(given: bytes) -> dict[str, Sequence[Any]]:
    names, values = zip(*rows_of(given), strict=True)
    return {"names": list(names), "values": list(values)}

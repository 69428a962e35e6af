"""Ids sort by time, and nobody can guess one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from errands import new_id
from errands._ids import first_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_id_is_a_uuid_of_version_7() -> None:
    """The variant is that of RFC 9562."""
    form = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

    assert all(re.fullmatch(form, new_id(NOW)) for _ in range(100))


def test_ids_sort_by_time_and_differ() -> None:
    """A millisecond is enough to sort them."""
    instants = [NOW + timedelta(milliseconds=n) for n in range(100)]
    ids = [new_id(instant) for instant in instants]

    assert sorted(ids) == ids
    assert 1000 == len({new_id(NOW) for _ in range(1000)})


def test_the_first_id_of_a_millisecond_parts_it_from_the_one_before() -> None:
    """Whichever id of it there is, and however long ago it was."""
    later, stamp = NOW + timedelta(milliseconds=1), f"{round(NOW.timestamp() * 1000):012x}"
    last = f"{stamp[:8]}-{stamp[8:]}-7fff-bfff-ffffffffffff"

    assert first_id(NOW) <= f"{stamp[:8]}-{stamp[8:]}-7000-8000-000000000000"
    assert last < first_id(later)
    assert first_id(datetime(1, 1, 1, tzinfo=UTC)) < first_id(NOW)

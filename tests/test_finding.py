"""Databases look for few jobs where only those stand, and for many in the order of the ids."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from errands import Job, Query, State, Store, new_id
from errands.stores import store_at
from errands.stores.postgres import _finding
from errands.stores.sqlite import _sql

STEP = timedelta(milliseconds=1)
UNFINISHED = [State.QUEUED, State.RUNNING]


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/errands.db"
    if request.param == "postgres":
        url = str(request.getfixturevalue("postgres_url"))
    async with store_at(url) as store:
        yield store


def is_met(job: Job, name: str, value: Any) -> bool:
    match name:
        case "text":
            return bool(value in job.payload)
        case "since":
            return bool(job.added_at >= value)
        case "until":
            return bool(job.added_at < value)
        case _:
            return bool(value == getattr(job, name))


def make_job(now: datetime, **fields: Any) -> Job:
    return Job(id=new_id(now), due_at=now, free_at=now, added_at=now, **fields)


@pytest.mark.parametrize("waiting", [1, 7, 1000], ids=["many wait", "just so many", "few wait"])
async def test_the_same_jobs_are_found_by_every_way(
    store: Store, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait, of whatever states, queues and tasks, newest first."""
    for few in (_sql, _finding):
        monkeypatch.setattr(few, "WAITING", waiting)
    monkeypatch.setattr(_finding, "CROWD", waiting)
    now = await store.now()
    every = itertools.product([*State, *State], ("a", "b"), ("t", "u"))
    jobs = [
        make_job(
            now + n * STEP, state=state, queue=queue, task=task, payload=f'{{"n": "{n}"}}',
            key=f"k{n}", group=f"g{n % 3}",
        )
        for n, (state, queue, task) in enumerate(every)
    ]  # fmt: skip  # a call
    await store.add(jobs)
    filters: list[dict[str, Any]] = [
        {}, {"queue": "a"}, {"task": "t", "queue": "b"}, {"key": "k1"}, {"key": "k8"},
        {"group": "g1"}, {"group": "g1", "queue": "a"},
        {"text": '"1'}, {"queue": "a", "text": "none"},
        {"since": now + 5 * STEP}, {"until": now + 5 * STEP, "queue": "a"},
        {"since": now + 3 * STEP, "until": now + 30 * STEP, "group": "g1"},
    ]  # fmt: skip  # a list

    for states, wanted in itertools.product(
        (
            [State.QUEUED],
            [State.RUNNING],
            UNFINISHED,
            [State.DONE],
            [*State],
            [],
            [State.FAILED],
            [State.CANCELLED],
            [State.CANCELLED, State.FAILED],
            [State.FAILED, State.DONE],
        ),
        filters,
    ):
        expected = [
            job.id
            for job in sorted(jobs, key=lambda job: job.id, reverse=True)
            if (not states or job.state in states)
            and all(is_met(job, name, value) for name, value in wanted.items())
        ]
        found = await store.find(Query(states=states, **wanted))
        assert expected == [job.id for job in found], (states, wanted)
        if len(expected) > 1:
            next_one = Query(states=states, **wanted, before=expected[0], limit=1)
            assert expected[1:2] == [job.id for job in await store.find(next_one)]

"""The trail: many jobs in a row are taken from where the claim before has ended."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from due_jobs import NOW, job

from errands import Claim, Job
from errands.stores.postgres import PostgresStore, _trail
from errands.stores.postgres._trail import MANY, PAUSE, SHARE, Trail

SECOND = timedelta(seconds=1)


def a_claim(limit: int, tasks: tuple[str, ...] = ("t",)) -> Claim:
    return Claim(worker="w", queues=None, tasks=tasks, limit=limit, now=NOW, lease=60 * SECOND)


def after_a_streak(trail: Trail, claim: Claim, *, took: float = 0) -> Job:
    """The last of as many jobs as it takes, all claimed at the instant 0."""
    jobs = [job() for _ in range(claim.limit)]
    for _ in range(-(-MANY // claim.limit)):
        trail.note(claim, [(each, 7) for each in jobs], 0, everywhere=took)
    return jobs[-1]


def test_few_jobs_are_looked_for_everywhere() -> None:
    trail, claim = Trail(), a_claim(10)

    trail.note(claim, [(job(), 7) for _ in range(10)], 0, everywhere=0)

    assert trail.known(claim, 0) is None


def test_after_many_in_a_row_the_next_begin_where_the_last_have_ended() -> None:
    trail, claim = Trail(), a_claim(10)
    last = after_a_streak(trail, claim)

    [place] = json.loads(trail.known(claim, 0) or "[]")

    there = {"queue": "default", "task": "t", "priority": 0, "since": 7, "after": last.id}
    assert there == place


def test_who_asks_for_other_tasks_looks_everywhere() -> None:
    trail = Trail()
    after_a_streak(trail, a_claim(10))

    assert trail.known(a_claim(10, tasks=("t", "other")), 0) is None


@pytest.mark.parametrize(("took", "pause"), [(0.0, PAUSE), (1.0, SHARE)])
def test_everything_is_looked_at_again_soon(took: float, pause: float) -> None:
    """The pause grows with what such a look takes, so that it stays a small part."""
    trail, claim = Trail(), a_claim(10)
    after_a_streak(trail, claim, took=took)

    assert trail.known(claim, pause - 0.01) is not None
    assert trail.known(claim, pause) is None


def test_the_row_ends_with_a_claim_that_gets_less_than_it_asks_for() -> None:
    trail, claim = Trail(), a_claim(10)
    after_a_streak(trail, claim)

    trail.note(claim, [(job(), 8)], 0)

    assert trail.known(claim, 0) is None


async def test_a_job_behind_is_claimed_before_anybody_takes_the_store_for_empty(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one of a place that nobody knew of."""
    monkeypatch.setattr(_trail, "MANY", 4)
    monkeypatch.setattr(_trail, "PAUSE", 1000)
    earlier = NOW - SECOND
    async with PostgresStore(postgres_url) as store:
        kept = await store.add([job() for _ in range(7)])
        first = await store.claim(a_claim(4))
        behind, before = job(free_at=earlier, due_at=earlier), job(priority=1)
        await store.add([behind, before])
        ahead = await store.claim(a_claim(4))
        rest = await store.claim(a_claim(4))

    assert ids(kept) == ids(first + ahead)
    assert [before.id, behind.id] == ids(rest)


def ids(jobs: list[Job]) -> list[str]:
    return [each.id for each in jobs]

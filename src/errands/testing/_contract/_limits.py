"""What a store must do about limits: who has room is taken, who has none is in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from errands import (
    Claim,
    Job,
    Limit,
    Limits,
    LimitUse,
    Order,
    Outcome,
    Query,
    State,
    Store,
)

from ._rows import LATER, NOW, a_beat, a_claim, ids, job

TWO = {"t": Limits(concurrency=Limit(2, per="c"))}


def a_limited(**fields: Any) -> Claim:
    """A claim whose task has a limit of two, but for what `fields` say."""
    return a_claim(**{"limits": TWO} | fields)


def bound(number: int, key: str = "limit:t:c=1", **fields: Any) -> list[Job]:
    """So many jobs of one key."""
    return [job(concurrency_key=key, **fields) for _ in range(number)]


def paced(number: int, key: str = "rate:t:c=1", **fields: Any) -> list[Job]:
    """So many jobs of one rate."""
    return [job(rate_key=key, **fields) for _ in range(number)]


async def ended(store: Store, jobs: Sequence[Job], at: datetime = NOW) -> None:
    """Save that these are done."""
    assert set(ids(jobs)) == await store.save([each.done(None, at) for each in jobs])


class Limiting:
    """See `StoreContract`."""

    async def test_no_more_run_at_once_than_the_limit_says(self, store: Store) -> None:
        """The others say what keeps them, and are not free."""
        one, two, *rest = bound(5)
        await store.add([one, two, *rest])

        assert ids([one, two]) == ids(await store.claim(a_limited()))
        assert [] == await store.claim(a_limited())
        assert [each.blocked("limit:t:c=1") for each in rest[::-1]] == await store.find(
            Query(states=[State.QUEUED])
        )
        assert LATER == await store.next_free(a_limited())

    async def test_each_key_has_room_of_its_own(self, store: Store) -> None:
        """A full one stands in nobody's way."""
        full, other, free = bound(20), bound(3, "limit:t:c=2"), job()
        await store.add([*full, *other, free])

        assert ids([*full[:2], *other[:2], free]) == ids(await store.claim(a_limited(limit=6)))

    async def test_one_that_ends_lets_the_next_start(self, store: Store) -> None:
        """However it ends, in the order of priority and age."""
        jobs = [*bound(6), *bound(1, priority=1)]
        first, second, third, fourth, fifth, sixth, urgent = jobs
        await store.add(jobs)
        one, two = await store.claim(a_limited())
        assert ids([urgent, first]) == ids([one, two])

        await store.save([one.done(None, NOW)])
        [three] = await store.claim(a_limited())
        await store.save([two.failed("boom", NOW)])
        [four] = await store.claim(a_limited())
        await store.save([three.failed("boom", NOW, wait=60)])
        [five] = await store.claim(a_limited())
        await store.save([four.cancelled(NOW)])
        [six] = await store.claim(a_limited())
        assert {five.id} == await store.remove([five])
        [seven] = await store.claim(a_limited())

        assert ids([second, third, fourth, fifth, sixth]) == ids([three, four, five, six, seven])
        assert [] == await store.claim(a_limited())

    async def test_a_save_that_is_repeated_lets_no_second_job_start(self, store: Store) -> None:
        """At the most it is looked at."""
        await store.add(bound(6))
        one, two = await store.claim(a_limited())
        for _ in range(3):
            await store.save([one.done(None, NOW)])

        assert 1 == len(await store.claim(a_limited()))
        assert [] == await store.claim(a_limited())
        assert two == await store.get(two.id)

    async def test_a_lost_job_keeps_its_place(self, store: Store) -> None:
        """The claim that takes it over takes no other one of its key beside it."""
        await store.add(bound(3))
        first = await store.claim(a_limited())
        again = await store.claim(a_limited(worker="x", now=LATER))

        assert ids(first) == ids(again)
        assert {Outcome.LOST} == {each.history[-1].outcome for each in again}

    async def test_of_many_who_claim_at_once_no_more_have_room(self, store: Store) -> None:
        """However many claim, and however the jobs end."""
        await store.add([each for n in range(4) for each in bound(8, f"limit:t:c={n}")])
        running: list[Job] = []
        number = 0
        for _ in range(16):
            claims = (store.claim(a_limited(worker=f"w{n}", limit=3)) for n in range(4))
            some = [each for jobs in await asyncio.gather(*claims) for each in jobs]
            running += some
            keys = [each.concurrency_key for each in running]
            assert all(keys.count(key) <= 2 for key in keys)
            await asyncio.gather(*(ended(store, [each]) for each in running[:3]))
            running, number = running[3:], number + len(some)

        assert 32 == number

    async def test_a_thousand_that_are_kept_back_are_in_nobodys_way(self, store: Store) -> None:
        """One claim finds what is behind them; the next ones do not see them."""
        crowd, last = bound(1000), job(due_at=NOW + timedelta(milliseconds=1))
        await store.add([*crowd, last])
        at = NOW + timedelta(milliseconds=1)

        found = await store.claim(a_limited(limit=3, now=at))
        assert ids([*crowd[:2], last]) == ids(found)
        assert [] == await store.claim(a_limited(now=at))
        await ended(store, found[:1], at)
        assert ids(crowd[2:3]) == ids(await store.claim(a_limited(now=at)))

    async def test_it_is_told_which_limits_are_in_use(self, store: Store) -> None:
        """How many run and how many are kept back by each key, as far as that is counted."""
        other = bound(1, "limit:u:c=2", task="u")
        await store.add([*bound(7), *other, *paced(5), *bound(1, "limit:t:c=9", queue="q"), job()])
        assert [] == await store.limits_in_use(10, 10)
        limits = TWO | {"u": TWO["t"]}
        claim = a_limited(tasks=["t", "u"], queues=["default"], limits=limits)
        claimed = [job for _ in range(3) for job in await store.claim(claim)]
        limit = LimitUse(key="limit:t:c=1", task="t", running=2, blocked=5)
        free = LimitUse(key="limit:u:c=2", task="u", running=1, blocked=0)

        assert [limit, free] == await store.limits_in_use(10, 10)
        assert [limit] == await store.limits_in_use(1, 5)
        assert [replace(limit, blocked=4), free] == await store.limits_in_use(10, 4)
        await ended(store, [each for each in claimed if each.concurrency_key])
        assert LimitUse(key="limit:t:c=1", task="t", running=0, blocked=3) in (
            await store.limits_in_use(10, 10)
        )

    async def test_who_knows_no_limit_takes_all(self, store: Store) -> None:
        """A worker whose code has none any more; what was kept back is freed for it."""
        jobs = bound(5)
        await store.add(jobs)
        await store.claim(a_limited())

        assert [] == await store.claim(a_claim())
        assert 3 == await store.unblock(a_claim())
        assert ids(jobs[2:]) == ids(await store.claim(a_claim()))

    async def test_a_limit_that_is_raised_lets_more_start(self, store: Store) -> None:
        """Once somebody looks; nobody frees the jobs of tasks that it does not know."""
        jobs = bound(7)
        await store.add(jobs)
        await store.claim(a_limited())
        raised = {"t": Limits(concurrency=Limit(4, per="c"))}

        assert 0 == await store.unblock(a_limited())
        assert 0 == await store.unblock(a_claim(tasks=["other"]))
        assert 2 == await store.unblock(a_limited(limits=raised))
        assert ids(jobs[2:4]) == ids(await store.claim(a_limited(limits=raised)))
        assert [] == await store.claim(a_limited(limits=raised))

    async def test_a_limit_that_is_lowered_holds_from_now_on(self, store: Store) -> None:
        """What runs goes on."""
        await store.add(bound(5))
        first, second = await store.claim(a_limited())
        one = {"t": Limits(concurrency=Limit(1, per="c"))}

        await ended(store, [first])
        assert [] == await store.claim(a_limited(limits=one))
        await ended(store, [second])
        assert 1 == len(await store.claim(a_limited(limits=one)))

    async def test_many_limits_are_looked_at_in_turns(self, store: Store) -> None:
        """All of them, when it was asked often enough."""
        await store.add([each for n in range(450) for each in bound(2, f"limit:t:c={n:03}")])
        one = {"t": Limits(concurrency=Limit(1, per="c"))}
        assert 450 == len(await store.claim(a_limited(limit=1000, limits=one)))

        freed = [await store.unblock(a_limited()) for _ in range(4)]
        assert 450 == sum(freed)
        assert 450 == len(await store.claim(a_limited(limit=1000)))

    async def test_jobs_that_are_paused_are_in_nobodys_way(self, store: Store) -> None:
        """Although they have the same limit, and came before."""
        running = await self._two_that_run(store)
        paused, other = bound(20, queue="paused"), bound(1)
        await store.add([*paused, *other])
        assert [] == await store.claim(a_limited())
        await store.put_orders([Order(kind="queue", name="paused", since=NOW)])
        await ended(store, running)

        await store.unblock(a_limited())
        assert ids(other) == ids(await store.claim(a_limited()))
        await store.remove_orders([("queue", "paused")])
        assert ids(paused[:1]) == ids(await store.claim(a_limited()))

    async def test_jobs_that_nobody_works_for_are_in_nobodys_way(self, store: Store) -> None:
        """As those of a queue whose workers are gone; one that lives has its jobs wait on."""
        running = await self._two_that_run(store)
        gone, theirs, ours = bound(20, queue="gone"), bound(20, queue="theirs"), bound(1)
        await store.add([*gone, *theirs, *ours])
        assert [] == await store.claim(a_limited())
        for beat in (
            a_beat("v", queues=("theirs",)),
            a_beat("w", queues=("gone",)).gone(NOW),
            a_beat("x", queues=("gone",), seen_at=NOW - timedelta(seconds=21)),
        ):
            await store.beat(beat)
        await ended(store, running)
        mine = a_limited(queues=["default"])

        await store.unblock(mine)
        kept_back = [each for each in await store.find(Query(limit=100)) if each.blocked_by]
        assert set() == set(ids(gone)) & set(ids(kept_back))
        assert 15 < len(set(ids(theirs)) & set(ids(kept_back)))

    async def test_what_nobody_works_for_lets_others_start(self, store: Store) -> None:
        """However many came before, and at the next look."""
        running = await self._two_that_run(store)
        gone, ours = bound(50, queue="gone"), bound(1)
        await store.add([*gone, *ours])
        assert [] == await store.claim(a_limited())
        await ended(store, running)
        mine = a_limited(queues=["default"])

        await store.unblock(mine)
        assert ids(ours) == ids(await store.claim(mine))

    async def test_a_claim_frees_no_more_than_it_could_take(self, store: Store) -> None:
        """Also where it is not to take them, as they are paused."""
        running = await self._two_that_run(store)
        await store.add(bound(300, queue="paused"))
        assert [] == await store.claim(a_limited())
        await store.put_orders([Order(kind="queue", name="paused", since=NOW)])
        await ended(store, running)
        [more] = bound(1)
        await store.add([more])

        assert ids([more]) == ids(await store.claim(a_limited()))
        kept_back = [each for each in await store.find(Query(limit=400)) if each.blocked_by]
        assert 280 < len(kept_back) < 300

    async def _two_that_run(self, store: Store) -> list[Job]:
        await store.add(bound(2))
        return await store.claim(a_limited())

"""What a store must do about rates: no more start in a time than the tokens allow."""

from __future__ import annotations

from datetime import timedelta

from errands import (
    Limit,
    Limits,
    LimitUse,
    Outcome,
    Query,
    Rate,
    State,
    Store,
)

from ._limits import ended, paced
from ._rows import LATER, NOW, a_claim, ids, job

PACE = {"t": Limits(rate=Rate("2/s", per="c"))}
BOTH = {"t": Limits(concurrency=Limit(2), rate=Rate("3/s", per="c"))}
WINDOW = timedelta(seconds=2)  # in which all tokens of `PACE` have come back


class Pacing:
    """See `StoreContract`."""

    async def test_no_more_start_in_a_time_than_the_rate_says(self, store: Store) -> None:
        """The next one is due when its token is back, and says what it waits for."""
        jobs = paced(5)
        await store.add(jobs)

        assert ids(jobs[:2]) == ids(await store.claim(a_claim(limits=PACE)))
        again = await store.next_free(a_claim(limits=PACE))
        assert again is not None
        assert NOW + timedelta(seconds=1) <= again <= NOW + timedelta(seconds=1.1)
        assert jobs[2].blocked("rate:t:c=1", again) == await store.get(jobs[2].id)
        assert jobs[3].blocked("rate:t:c=1") == await store.get(jobs[3].id)

        almost = again - timedelta(milliseconds=1)
        assert [] == await store.claim(a_claim(limits=PACE, now=almost))
        assert ids(jobs[2:4]) == ids(await store.claim(a_claim(limits=PACE, now=again)))
        assert ids(jobs[4:]) == ids(await store.claim(a_claim(limits=PACE, now=NOW + 2 * WINDOW)))

    async def test_tokens_are_not_lost_on_who_has_few_slots(self, store: Store) -> None:
        """A claim that takes less than there is leaves the rest to the next ones."""
        jobs = paced(9)
        await store.add(jobs)
        found = [await store.claim(a_claim(limits=PACE, limit=1)) for _ in range(3)]
        later = [
            await store.claim(a_claim(limits=PACE, limit=1, now=NOW + WINDOW)) for _ in range(3)
        ]

        assert [1, 1, 0, 1, 1, 0] == [len(some) for some in found + later]

    async def test_each_start_takes_a_token(self, store: Store) -> None:
        """Also that of a job whose worker was lost: without one it goes back to the queue."""
        await store.add(paced(2, started_at=None))
        first = await store.claim(a_claim(limits=PACE))
        lost = await store.claim(a_claim(limits=PACE, now=LATER, worker="x"))
        assert ids(first) == ids(lost)

        soon = lost[0].free_at
        await store.add(newer := paced(2))
        assert ids(newer) == ids(await store.claim(a_claim(limits=PACE, now=soon, limit=2)))
        assert [] == await store.claim(a_claim(limits=PACE, now=soon))
        [one, _] = await store.find(Query(states=[State.QUEUED]))
        assert (2, "rate:t:c=1", Outcome.LOST) == (
            one.attempt, one.blocked_by, one.history[-1].outcome,
        )  # fmt: skip  # a row

    async def test_a_job_may_have_two_limits(self, store: Store) -> None:
        """One that waits for a token takes no place from others."""
        slow = [job(concurrency_key="limit:t", rate_key="rate:t:c=1") for _ in range(5)]
        other = [job(concurrency_key="limit:t", rate_key="rate:t:c=2") for _ in range(2)]
        await store.add([*slow, *other])
        claim = a_claim(limits=BOTH)

        first = await store.claim(claim)
        assert ids(slow[:2]) == ids(first)
        await ended(store, first)
        second = await store.claim(claim)
        assert ids([slow[2], other[0]]) == ids(second)
        await ended(store, second)
        assert ids(other[1:]) == ids(await store.claim(claim))
        assert "rate:t:c=1" == (await store.get(slow[4].id) or slow[4]).blocked_by

    async def test_it_is_told_which_rates_are_in_use(self, store: Store) -> None:
        """They count starts, so none of their jobs is said to run."""
        await store.add(paced(5))
        await store.claim(a_claim(limits=PACE))

        use = LimitUse(key="rate:t:c=1", task="t", running=0, blocked=3)
        assert [use] == await store.limits_in_use(10, 10)

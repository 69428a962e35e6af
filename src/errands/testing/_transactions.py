"""What a store must do in a caller's transaction, as tests: subclass `TransactionContract`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest

from errands import Query, State, Store
from errands.errors import JobExists, UnknownJob

from ._contract._family import after
from ._contract._rows import LATER, NOW, a_claim, ids, job

Begin = Callable[[], AbstractAsyncContextManager[Any]]


class Undone(Exception):
    """Makes a transaction fail."""


class TransactionContract:
    """Run by every store that can write in a transaction of the caller's.

    A subclass provides two fixtures. `store` is an empty, open store. `begin()` is an
    asynchronous context manager that gives a connection with a transaction open; it commits at
    the end of the block, and rolls back if that raises.
    """

    pytestmark = pytest.mark.anyio

    # Adding

    async def test_what_was_committed_is_there(self, store: Store, begin: Begin) -> None:
        """As it was added; and not before."""
        added = job(queue="mail", priority=-3, key="k/ü", payload='{"text":"ü % ? :a $1 %s"}')
        async with begin() as connection:
            kept = await store.add_within(connection, [added])
            assert None is await store.get(added.id)

        assert [added] == kept
        assert added == await store.get(added.id)
        assert ids(kept) == ids(await store.claim(a_claim()))

    async def test_what_was_rolled_back_was_never_there(self, store: Store, begin: Begin) -> None:
        """Its key is free, too."""
        added = job(key="k")
        with suppress(Undone):
            async with begin() as connection:
                await store.add_within(connection, [added])
                raise Undone

        assert None is await store.get(added.id)
        assert [] == await store.claim(a_claim())
        other = job(key="k")
        assert [other] == await store.add([other])

    async def test_many_are_added_at_once_in_a_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """All of them, or none."""
        many = [job() for _ in range(300)]
        async with begin() as connection:
            assert many == await store.add_within(connection, many)

        assert sorted(ids(many)) == sorted(ids(await store.claim(a_claim(limit=400))))

    async def test_an_addition_that_is_repeated_adds_once_in_a_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """What is there is the answer."""
        first = job()
        async with begin() as connection:
            await store.add_within(connection, [first])
            assert [first] == await store.add_within(connection, [first])

        assert {("default", State.QUEUED): 1} == await store.count()

    async def test_a_job_with_the_key_is_the_answer_in_a_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """One that was added before, or in the transaction itself."""
        [first] = await store.add([job(key="k")])
        async with begin() as connection:
            assert [first] == await store.add_within(connection, [job(key="k")])
            one, two = job(key="l"), job(key="l")
            assert [one, one] == await store.add_within(connection, [one, two])

        assert {("default", State.QUEUED): 2} == await store.count()

    async def test_a_refused_addition_leaves_the_transaction_as_it_was(
        self, store: Store, begin: Begin
    ) -> None:
        """None of its jobs is there; what came before and after it is."""
        [first] = await store.add([job(key="k")])
        before, after = job(), job()
        async with begin() as connection:
            await store.add_within(connection, [before])
            with pytest.raises(JobExists) as refusal:
                await store.add_within(connection, [job(), job(key="k")], "raise")
            with pytest.raises(JobExists):
                await store.add_within(connection, [job(key="l"), job(key="l")], "raise")
            await store.add_within(connection, [after], "raise")

        assert first == refusal.value.job
        assert {first.id, before.id, after.id} == set(ids(await store.claim(a_claim())))

    async def test_a_queued_job_is_replaced_in_a_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """Once it is committed."""
        [first] = await store.add([job(key="k")])
        other = job(key="k", payload='{"n":2}', due_at=LATER)
        async with begin() as connection:
            [kept] = await store.add_within(connection, [other], "replace")

        assert first.replaced(other) == kept == await store.get(first.id)

    async def test_a_replacement_that_is_rolled_back_replaces_nothing(
        self, store: Store, begin: Begin
    ) -> None:
        """Neither a queued job nor the key of a running one."""
        await store.add([job(key="r"), job(key="q")])
        [running] = await store.claim(a_claim(limit=1))
        before = await store.find(Query(limit=100))
        with suppress(Undone):
            async with begin() as connection:
                await store.add_within(connection, [job(key="r"), job(key="q")], "replace")
                raise Undone

        assert running in before
        assert before == await store.find(Query(limit=100))

    # Saving

    async def test_an_outcome_is_saved_with_the_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """It is there once that is committed, and saving it again writes nothing."""
        await store.add([job()])
        [running] = await store.claim(a_claim())
        done = running.done('{"n":1}', LATER)
        async with begin() as connection:
            assert {done.id} == await store.save_within(connection, [done])
            assert running == await store.get(running.id)

        assert done == await store.get(running.id)
        assert {done.id} == await store.save([done])

    async def test_an_outcome_is_rolled_back_with_the_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """The job is held as before."""
        await store.add([job()])
        [running] = await store.claim(a_claim())
        with suppress(Undone):
            async with begin() as connection:
                await store.save_within(connection, [running.done(None, LATER)])
                raise Undone

        assert running == await store.get(running.id)

    async def test_an_outcome_that_comes_late_is_refused_in_a_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """Somebody else has the job; the transaction goes on, if its owner wants."""
        await store.add([job()])
        [first] = await store.claim(a_claim(worker="a"))
        [second] = await store.claim(a_claim(worker="b", now=LATER))
        async with begin() as connection:
            assert set() == await store.save_within(connection, [first.done("1", LATER)])
            assert {second.id} == await store.save_within(connection, [second.done("2", LATER)])

        assert second.done("2", LATER) == await store.get(second.id)

    async def test_no_key_is_doubled_by_a_save_in_a_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """A job that would be the second of its key is refused; the others are written."""
        await store.add([job(key="k"), job()])
        one, two = await store.claim(a_claim())
        await store.save([one.done(None, NOW), two.done(None, NOW)])
        await store.add([job(key="k")])
        again = [each.done(None, NOW).retried(NOW) for each in (one, two)]
        expected = {each.id for each in again if each.key is None}
        async with begin() as connection:
            assert expected == await store.save_within(connection, again)

    # Waiting

    async def test_who_waits_is_added_in_a_transaction(self, store: Store, begin: Begin) -> None:
        """With those that it waits for, or after them."""
        old, new = job(), job()
        await store.add([old])
        child = after(old, new)
        async with begin() as connection:
            assert [child, new] == await store.add_within(connection, [child, new])
        running = await store.claim(a_claim())
        assert {old.id, new.id} == set(ids(running))
        await store.save([each.done(None, LATER) for each in running])

        assert child.freed(LATER) == await store.get(child.id)

    async def test_a_wait_that_was_rolled_back_leaves_no_trace(
        self, store: Store, begin: Begin
    ) -> None:
        """Nobody is freed, and nothing is kept for anybody."""
        await store.add([parent := job()])
        with suppress(Undone):
            async with begin() as connection:
                await store.add_within(connection, [after(parent)])
                raise Undone
        await store.save([parent.cancelled(NOW)])

        assert [parent.cancelled(NOW)] == await store.find(Query())
        assert 1 == await store.prune(LATER, 10)

    async def test_an_end_in_a_transaction_frees_at_the_commit(
        self, store: Store, begin: Begin
    ) -> None:
        """And not if it is rolled back."""
        await store.add([parent := job(), child := after(parent)])
        [running] = await store.claim(a_claim())
        done = running.done(None, LATER)
        with suppress(Undone):
            async with begin() as connection:
                assert {parent.id} == await store.save_within(connection, [done])
                raise Undone
        assert child == await store.get(child.id)
        async with begin() as connection:
            assert {parent.id} == await store.save_within(connection, [done])
            assert child == await store.get(child.id)

        assert child.freed(LATER) == await store.get(child.id)

    async def test_an_end_meanwhile_frees_who_began_to_wait(
        self, store: Store, begin: Begin
    ) -> None:
        """Though it is saved before the transaction is committed that the child is in."""
        await store.add([parent := job()])
        [running] = await store.claim(a_claim())
        child, done = after(parent), running.done(None, LATER)
        async with begin() as connection:
            await store.add_within(connection, [child])
            saving = asyncio.ensure_future(store.save([done]))
            await asyncio.sleep(0.02)  # it gets as far as it can
            assert running == await store.get(parent.id)
        assert {parent.id} == await saving

        assert child.freed(LATER) == await store.get(child.id)

    async def test_nobody_waits_for_a_stranger_in_a_transaction(
        self, store: Store, begin: Begin
    ) -> None:
        """The transaction goes on, if its owner wants."""
        other = job()
        async with begin() as connection:
            with pytest.raises(UnknownJob):
                await store.add_within(connection, [job(), after(job())])
            await store.add_within(connection, [other])

        assert [other] == await store.find(Query())

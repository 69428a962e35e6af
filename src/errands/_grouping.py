"""What an application says of many jobs at once: their group, their order, their shards."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ._adding import Adding, Call
from ._engine import Engine
from ._group import Group
from ._job import Job, State, id_of

T = TypeVar("T")


class Grouping:
    """The part of `Errands` that is about groups and order."""

    _engine: Engine
    _plainly: Adding

    async def group(self, name: str) -> Group:
        """How far the jobs are that were added with `options(group=name)`.

        It takes some milliseconds for 100,000 jobs, so a page may ask for it every second.
        A group that nobody knows has no jobs.
        """
        return await self._engine.store.group(name)

    async def groups(self, *, before: str | None = None, limit: int = 50) -> list[str]:
        """The names of the groups that have jobs, backward by name.

        Those that `map` has named stand with their task, newest first.

        Args:
            before: The last name of the page before.
            limit: How many at most.
        """
        if limit < 1:
            raise ValueError(f"groups(limit={limit!r}): expected 1 or more")
        return await self._engine.store.groups(before, limit)

    async def children(
        self, job: Job | str, *, after: str | None = None, limit: int = 50
    ) -> Mapping[str, State]:
        """The states of the jobs that wait for this one, or waited, by id, oldest first.

        Args:
            after: The last id of the page before.
            limit: How many at most.

        The other way round are a job's `waits_for`.
        """
        if limit < 1:
            raise ValueError(f"children(limit={limit!r}): expected 1 or more")
        return await self._engine.store.children(id_of(job), after, limit)

    async def chain(self, *calls: Call) -> list[Job]:
        """Keep calls that run one after the other, all of them or none.

        Args:
            calls: Each a declared function and its arguments: `(resize, "cat.png")`. The
                second waits for the first, and so on; `current_job().parents()` gives a
                function what the one before it returned.

        Returns:
            The jobs, in that order: the last is the end of the chain.
        """
        return await self._plainly.chain(*calls)

    async def gather(self, *calls: Call, then: Call) -> list[Job]:
        """Keep calls that run side by side, and one that runs when they have ended.

        Args:
            calls: As those of `chain`.
            then: The call that waits for all of them; `current_job().parents()` gives it what
                they returned, in their order.

        Returns:
            The jobs, in that order, and at last that of `then`.
        """
        return await self._plainly.gather(*calls, then=then)

    @overload
    async def map(
        self,
        function: Callable[[list[T]], Any],
        items: Iterable[T] | AsyncIterable[T],
        *,
        chunk: int,
        group: str | None = None,
    ) -> str: ...
    @overload
    async def map(
        self,
        function: Callable[[T], Any],
        items: Iterable[T] | AsyncIterable[T],
        *,
        chunk: None = None,
        group: str | None = None,
    ) -> str: ...
    async def map(
        self, function: Any, items: Any, *, chunk: int | None = None, group: str | None = None
    ) -> str:
        """Split big work into jobs of one group.

        Args:
            function: A declared function. Its first argument is one item or, with `chunk`, a
                list of items.
            items: What there is to do; also a generator, plain or asynchronous, which is read
                bit by bit.
            chunk: How many items a job gets at the most, from 1; the last one gets the rest.
                Left out, each job gets one item by itself.
            group: The name of the group; one of its own if left out.

        Returns:
            The name of the group: see `group`.

        Jobs are added up to a thousand at a time, and start meanwhile. If that fails midway, or the
        generator does, those that were added stay, and the group says how many.

        Raises:
            ValueError: if `chunk` is no number from 1, or the group has no name.
        """
        return await self._plainly.map(function, items, chunk=chunk, group=group)

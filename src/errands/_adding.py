"""An addition to the store, with what was asked for beyond the policy of the task."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar, overload

from ._engine import Engine
from ._ids import new_id
from ._job import Job
from ._options import Options

P = ParamSpec("P")
T = TypeVar("T")

Call = tuple[Any, ...]  # a declared function, and what to call it with

BATCH = 1000  # jobs that are made, and added, at once
ITEMS = 10_000  # of them, at the most, but for a single job's


@dataclass(frozen=True, slots=True)
class Adding:
    """An addition with options; see `Errands.options`."""

    _engine: Engine
    _options: Options

    async def add_task(
        self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job:
        """See `Errands.add_task`.

        Raises:
            JobExists: with `on_conflict="raise"`, if an unfinished job has the key.
            UnknownJob: if a job of `waits_for` is not in the store.
            UnfitConnection: if jobs cannot be added in the transaction of `connection`.
        """
        job = self._engine.make(self._options, function, args, kwargs)
        [kept] = await self._stored([job])
        return kept

    async def add_tasks(self, calls: Iterable[Call], /) -> list[Job]:
        """See `Errands.add_tasks`; with a key at most one of them is kept."""
        return await self._add([self._made(self._options, call) for call in calls])

    async def chain(self, *calls: Call) -> list[Job]:
        """See `Errands.chain`; the first waits for what `waits_for` says.

        Raises:
            ValueError: with a key, which only one job can have.
        """
        self._refuse_key("chain")
        jobs: list[Job] = []
        for call in calls:
            options = self._after(jobs[-1:]) if jobs else self._options
            jobs.append(self._made(options, call))
        return await self._add(jobs)

    async def gather(self, *calls: Call, then: Call) -> list[Job]:
        """See `Errands.gather`; all but `then` wait for what `waits_for` says.

        Raises:
            ValueError: with a key, which only one job can have.
        """
        self._refuse_key("gather")
        jobs = [self._made(self._options, call) for call in calls]
        last = self._made(self._after(jobs) if jobs else self._options, then)
        return await self._add([*jobs, last])

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
        self, function: Any, items: Any, *, chunk: Any = None, group: str | None = None
    ) -> str:
        """See `Errands.map`; all wait for what `waits_for` says.

        Raises:
            ValueError: with a key, which only one job can have.
        """
        self._refuse_key("map")
        if chunk is not None and (not isinstance(chunk, int) or chunk < 1):
            raise ValueError(f"map(chunk={chunk!r}): expected 1 item a job, or more")
        task, own = self._engine.task_of(function), self._options.group
        name = group if group is not None else own
        if name is None:
            name = f"{task.name} {new_id(self._engine.clock.now())}"
        adding = replace(self, _options=replace(self._options, group=name))
        jobs = BATCH if chunk is None else max(1, min(BATCH, ITEMS // chunk))
        async for page in _pages(items, jobs * (chunk or 1)):
            shards = page if chunk is None else _shards(page, chunk)
            await adding.add_tasks((function, shard) for shard in shards)
        return name

    def _made(self, options: Options, call: Any) -> Job:
        if not isinstance(call, tuple | list) or not call or isinstance(call[0], tuple | list):
            raise TypeError(
                f"{call!r} is no call: write each as a function and its arguments, "
                "as in (resize, 'cat.png'), or (resize,)"
            )
        function, *args = call
        return self._engine.make(options, function, tuple(args), {})

    def _after(self, jobs: Iterable[Job]) -> Options:
        return replace(self._options, waits_for=tuple(job.id for job in jobs))

    def _refuse_key(self, where: str) -> None:
        if self._options.key is not None:
            raise ValueError(
                f"options(key={self._options.key!r}).{where}(…): a key is of one job, and these "
                "are many: name a group instead, or leave the key out"
            )

    async def _add(self, jobs: list[Job]) -> list[Job]:
        return await self._stored(jobs) if jobs else []

    def _stored(self, jobs: list[Job]) -> Awaitable[list[Job]]:
        options, engine = self._options, self._engine
        if options.connection is None:
            return engine.add(jobs, options.on_conflict)
        return engine.add_within(options.connection, jobs, options.on_conflict)


async def _pages(items: Any, size: int) -> AsyncIterator[list[Any]]:
    """The items, so many at once at the most."""
    page: list[Any] = []
    async for item in items if isinstance(items, AsyncIterable) else _each(items):
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


async def _each(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def _shards(page: Sequence[Any], chunk: int) -> Iterable[list[Any]]:
    return (list(page[start : start + chunk]) for start in range(0, len(page), chunk))

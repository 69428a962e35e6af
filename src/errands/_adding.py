"""An addition to the store, with what was asked for beyond the policy of the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec

from ._engine import Engine
from ._job import Job
from ._options import Options

P = ParamSpec("P")

Call = tuple[Any, ...]  # a declared function, and what to call it with


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
            UnfitConnection: if jobs cannot be added in the transaction of `connection`.
        """
        job = self._engine.make(self._options, function, args, kwargs)
        [kept] = await self._add([job])
        return kept

    async def add_tasks(self, calls: Iterable[Call], /) -> list[Job]:
        """See `Errands.add_tasks`; with a key at most one of them is kept."""
        jobs = [self._engine.make(self._options, f, tuple(args), {}) for f, *args in calls]
        return await self._add(jobs) if jobs else []

    async def _add(self, jobs: list[Job]) -> list[Job]:
        options, engine = self._options, self._engine
        if options.connection is None:
            return await engine.add(jobs, options.on_conflict)
        return await engine.add_within(options.connection, jobs, options.on_conflict)

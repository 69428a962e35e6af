"""What is asked from outside of an application: by a command line, or a program that looks on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ._engine import Engine
from ._examination import Examinable, Examination
from ._store import Claim

NOBODY = "nobody"  # what the worker is called that only asks


class Inspecting:
    """The part of `Errands` that is for those who look on."""

    _engine: Engine

    async def examine(self) -> Examination | None:
        """What the store is, told before it is opened: nothing is made or upgraded there.

        `None` if it is of a kind that cannot tell.

        Raises:
            StoreUnavailable: if there is nothing, or it does not answer.
            NotAStore: if what is there has no tables of ours.
            SchemaTooNew: if a newer version of Errands made them.
        """
        store = self._engine.closed_store
        return await store.examine() if isinstance(store, Examinable) else None

    async def due(self) -> Mapping[tuple[str, str], datetime]:
        """Which queues and tasks, not paused, have jobs that are due, and since when the first."""
        now, store = self._engine.clock.now(), self._engine.store
        found: dict[tuple[str, str], datetime] = {}
        for queue, task in sorted(await store.places(now)):
            since = await store.next_free(
                Claim(
                    worker=NOBODY, queues={queue}, tasks={task}, limit=1, now=now,
                    lease=timedelta(seconds=1),
                )
            )  # fmt: skip  # a row
            if since is not None and since <= now:
                found[queue, task] = since
        return found

    async def oldest(self) -> Mapping[str, datetime]:
        """Since when each queue that is not paused has had a job that is due."""
        since: defaultdict[str, list[datetime]] = defaultdict(list)
        for (queue, _), instant in (await self.due()).items():
            since[queue].append(instant)
        return {queue: min(instants) for queue, instants in since.items()}

    def call_of(
        self, task: str, payload: str
    ) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
        """A declared function, by its task's name, and what to call it with.

        Args:
            payload: The arguments by the names of their parameters, as the text of a JSON
                object; they become what the annotations say.

        Raises:
            UnknownTask: if no task of this name was declared.
            NotSerializable: naming the argument that cannot be read.
        """
        found = self._engine.tasks[task]
        args, kwargs = found.codec.load(payload)
        return found.function, args, kwargs

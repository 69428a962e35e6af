"""What the doors ask of an application, and its users do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from ._adding import Adding
from ._background import BackgroundTasks
from ._door import Door
from ._engine import Engine
from ._heartbeat import Heartbeat
from ._job import Job
from ._limit import Limits
from ._options import Options


class Behind:
    """The part of `Errands` that is for doors."""

    _engine: Engine
    _address: str

    async def add_named(
        self,
        task: str,
        arguments: Mapping[str, Any],
        *,
        queue: str | None = None,
        priority: int | None = None,
        group: str | None = None,
    ) -> Job:
        """Add a call of the task of this name, with its arguments by their names, as JSON has them.

        Raises:
            UnknownTask: if no task of this name is declared in this process.
            NotSerializable: if the task cannot read the arguments.
        """
        found = self._engine.tasks[task]
        args, kwargs = found.codec.load(json.dumps(arguments))
        adding = Adding(self._engine, Options(queue=queue, priority=priority, group=group))
        return await adding.add_task(found.function, *args, **kwargs)

    @property
    def address(self) -> str:
        """Where the store is: its URL, with `***` for a password."""
        return self._address

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks that this process has declared, sorted."""
        return sorted(self._engine.tasks)

    @property
    def limits(self) -> Mapping[str, Limits]:
        """The limits of the tasks that this process has declared, by their names."""
        return self._engine.tasks.limits

    @property
    def worker(self) -> Heartbeat | None:
        """What the worker of this process is now, if it is at work.

        Its `seen_at` is when the store was told last.
        """
        return self._engine.heartbeat

    @property
    def grace(self) -> float:
        """Seconds that running jobs and local tasks get to end."""
        return self._engine.grace

    @property
    def is_up(self) -> bool:
        """Whether this process is at work, and no loop of its worker was given up."""
        return self._engine.is_up

    @property
    def is_claiming(self) -> bool:
        """Whether this process takes jobs from the store, and the store answers."""
        return self._engine.is_claiming

    @property
    def is_behind(self) -> bool:
        """Whether this process is to add the job of a tick whose time has come."""
        return self._engine.is_behind

    @property
    def left_behind(self) -> list[str]:
        """The tasks whose threads go on although their runs are over, the oldest first.

        Nobody can end a thread. There are as many of them as slots at the most.
        """
        return self._engine.left_behind

    @property
    def released(self) -> int:
        """How many jobs went back to the store unfinished when this process stopped last."""
        return self._engine.released

    async def secret(self) -> bytes:
        """32 random bytes that all processes on this store share, to sign with."""
        return await self._engine.store.secret()

    def background(self, scope: Any = None, door: Door | None = None) -> BackgroundTasks:
        """The background tasks of one request that begins now; a door closes them at its end.

        Args:
            scope: Of the request, as ASGI has it.
            door: How its application answers.
        """
        return BackgroundTasks(self._engine, scope, door)

    @property
    def is_open_for_long(self) -> bool:
        """Whether somebody opened it for longer than a request."""
        return self._engine.is_open_for_long

    def aside(self) -> AbstractAsyncContextManager[bool]:
        """Be at work for the length of one request, unless somebody opened us for longer.

        In the block jobs that were added there run, and no others. It is given whether the
        request is alone, so that nobody else will see its tasks to their end.
        """
        return self._engine.aside()

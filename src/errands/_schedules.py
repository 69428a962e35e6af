"""`Schedules`: what can be asked of schedules, and changed, while the application runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ._declared import payload_of, require_spec
from ._engine import Engine
from ._ids import new_id
from ._job import Job, State
from ._plain import is_text
from ._schedule import Schedule
from ._spec import Spec
from .errors import DuplicateSchedule, UnknownSchedule


class Schedules:
    """The schedules in the store, of all processes: `errands.schedules`.

    What is changed here survives restarts, also of a schedule that the code declares: until
    the code declares it otherwise.
    """

    def __init__(self, engine: Engine) -> None:
        """Belong to an `Errands`."""
        self._engine = engine

    async def list(self) -> list[Schedule]:
        """All of them, by name; `is_orphaned(errands.now())` says of which nobody knows."""
        schedules = await self._engine.store.schedules()
        return [schedule for schedule in schedules if not schedule.is_removed]

    async def add(
        self, name: str, spec: Spec, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Schedule:
        """Have a declared function added by itself, with these arguments.

        Raises:
            TypeError: if the spec is none, or the function cannot be called like that.
            UnknownTask: if the function was not declared.
            NotSerializable: if an argument cannot be kept.
            PayloadTooLarge: if they take more than `max_payload`.
            DuplicateSchedule: if there is one of this name.
        """
        require_spec(spec, "errands.schedules.add")
        if not is_text(name):
            raise ValueError(f"errands.schedules.add({name!r}): a name is text that is not empty")
        task, now = self._engine.task_of(function), self._engine.clock.now()
        new = Schedule(
            name=name,
            task=task.name,
            spec=spec.text,
            payload=payload_of(task, args, kwargs, self._engine.max_payload),
            next_tick=spec.next_after(now),
            known_at=now,
        )
        before = await self._found(name)
        is_free = before is None or before.is_removed
        if before is not None and is_free:  # the code declares it, and that was overruled
            new = before.replaced(new)
        if not is_free or not await self._put(new):
            raise DuplicateSchedule(
                f"a schedule is named {name!r}: change it with errands.schedules.change, or give "
                "this one another name"
            )
        return new

    async def change(
        self, name: str, spec: Spec | None = None, /, *args: Any, **kwargs: Any
    ) -> Schedule:
        """Give it another spec or, if there are any here, other arguments.

        Raises:
            UnknownSchedule: if there is none of this name.
            UnknownTask: if arguments are given, and its task is not declared here.
        """
        if spec is not None:
            require_spec(spec, "errands.schedules.change")

        def changed(before: Schedule, now: datetime) -> Schedule:
            payload = before.payload
            if args or kwargs:
                task = self._engine.tasks[before.task]
                payload = payload_of(task, args, kwargs, self._engine.max_payload)
            return before.changed(before.when if spec is None else spec, payload, now)

        return await self._change(name, changed)

    async def remove(self, name: str) -> None:
        """Add no more jobs, and show it no more.

        Raises:
            UnknownSchedule: if there is none of this name.
        """
        before = await self._change(name, lambda before, _: before.removed())
        if before.declared is None or before.is_orphaned(self._engine.clock.now()):
            await self._engine.store.remove_schedules([name])

    async def pause(self, name: str) -> Schedule:
        """Add no jobs until it is resumed.

        Raises:
            UnknownSchedule: if there is none of this name.
        """
        return await self._change(name, lambda before, _: before.paused())

    async def resume(self, name: str) -> Schedule:
        """Go on from now; what would have come meanwhile is not made up for.

        Raises:
            UnknownSchedule: if there is none of this name.
        """
        return await self._change(name, lambda before, now: before.resumed(now))

    async def run(self, name: str) -> Job:
        """Add a job now, beside those of its ticks; with `overlap="skip"`, the one there is.

        Raises:
            UnknownSchedule: if there is none of this name.
            UnknownTask: if its task is not declared in this process.
        """
        schedule = await self._required(name)
        task, now = self._engine.tasks[schedule.task], self._engine.clock.now()
        job = Job(
            id=new_id(now), task=task.name, payload=schedule.payload, due_at=now, free_at=now,
            added_at=now, queue=task.queue, priority=task.priority, key=schedule.key,
            **task.keys(schedule.payload),  # type: ignore[arg-type]  # two fields of text
        )  # fmt: skip  # a row
        [kept] = await self._engine.add([job])
        return kept

    async def _change(
        self, name: str, change: Callable[[Schedule, datetime], Schedule]
    ) -> Schedule:
        """Change it, with whoever else does so just now, and take back what is not due yet."""
        while True:
            before, now = await self._required(name), self._engine.clock.now()
            after = change(before, now)
            if await self._put(after):
                await self._take_back(before, now)
                return after

    async def _put(self, schedule: Schedule) -> bool:
        is_put = bool(await self._engine.store.put_schedules([schedule]))
        self._engine.wake_scheduler()
        return is_put

    async def _take_back(self, before: Schedule, now: datetime) -> None:
        """Remove the jobs that were stored ahead of their ticks."""
        try:
            ahead = before.ahead(now)
        except ValueError:  # we cannot read it, and so it is only to be paused or removed
            return
        found = [await self._engine.store.get(before.tick_id(tick)) for tick in ahead]
        waiting = [job for job in found if job is not None and job.state is State.QUEUED]
        if waiting:
            await self._engine.store.remove(waiting)

    async def _required(self, name: str) -> Schedule:
        schedule = await self._found(name)
        if schedule is None or schedule.is_removed:
            known = ", ".join(repr(each.name) for each in await self.list()) or "none"
            raise UnknownSchedule(f"no schedule is named {name!r}. There are: {known}.")
        return schedule

    async def _found(self, name: str) -> Schedule | None:
        schedules = await self._engine.store.schedules()
        return next((each for each in schedules if each.name == name), None)

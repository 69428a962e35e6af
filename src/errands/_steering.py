"""What an operator says to jobs and workers while they run: stop, again, wait, go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar, cast, overload

from . import _changing as changing
from ._changing import Tell
from ._engine import Engine
from ._group import Group
from ._hooks import EventName, Hook, require_event
from ._job import Job, State, id_of
from ._order import Order, OrderKind
from ._plain import BYTES, Seconds, is_text, seconds, shown
from ._query import Query
from ._why import Why, why
from .errors import JobExists, SetupError, UnknownWorker

H = TypeVar("H", bound=Hook)

UNFINISHED = (State.QUEUED, State.RUNNING)
UNDONE = (State.FAILED, State.CANCELLED)
ENDED = (State.DONE, *UNDONE)


class Steering:
    """The part of `Errands` that is for operators."""

    _engine: Engine

    def on(self, *events: EventName) -> Callable[[H], H]:
        """Have a function called with the job whenever one of these things happens to one here.

        It is a coroutine function or a plain one, which gets a thread. Hooks are told in
        order, in the process in which it happens, and are not in the way: one that fails is
        logged. What a killed process had not told is not told.

        Args:
            events: `queued`, `started`, `progress`, `done`, `failed` (for good), `retrying`,
                `cancelled`, `released` (handed back by a worker that stops).

        Raises:
            ValueError: if there is no such event.
            SetupError: if the application is at work already.
        """
        for event in events:
            require_event(event)
        if self._engine.is_working:
            raise SetupError("on(…) comes too late: declare hooks before the application starts")

        def declare(hook: H) -> H:
            for event in events:
                self._engine.hooks.on(event, hook)
            return hook

        return declare

    @overload
    async def cancel(self, what: Job | str, /) -> Job: ...
    @overload
    async def cancel(self, what: Query | Group, /, *, tell: Tell | None = None) -> int: ...
    async def cancel(
        self, what: Job | str | Query | Group, /, *, tell: Tell | None = None
    ) -> Job | int:
        """Cancel a job, or all that match a query.

        One that is queued is cancelled at once. One that runs, wherever that is, is told to
        stop within a second: a coroutine gets `CancelledError` and may clean up; a thread
        sees `current_job().is_cancelled`, and `track` and `progress` raise there. It counts
        as cancelled once it has stopped, which `errands.result` waits for; what has ended
        before it heard of that has ended as it says.

        Args:
            what: A job or its id; a group; or a query, whose `limit` and `before` don't count.
            tell: Called now and then with how many of those that match were dealt with.

        Returns:
            The job as it is now, or how many jobs were cancelled or told to stop.

        Raises:
            LookupError: if there is no such job, or no longer.
        """
        if isinstance(what, Query | Group):
            return await changing.change(
                self._engine, changing.cancel, _query(what), UNFINISHED, tell
            )
        async for job in changing.each_look(self._engine, what):
            if job.is_final or await changing.cancel(self._engine, [job], self._now):
                break
        return await changing.look(self._engine, job.id)

    @overload
    async def retry(self, what: Job | str, /) -> Job: ...
    @overload
    async def retry(self, what: Query | Group, /, *, tell: Tell | None = None) -> int: ...
    async def retry(
        self, what: Job | str | Query | Group, /, *, tell: Tell | None = None
    ) -> Job | int:
        """Have a job run again, or all that match a query: at once, with all its attempts.

        One that waits for its next attempt is due now, and is not cancelled any more if it was
        asked to be before it went back; one that runs goes on as it is.

        Args:
            what: A job or its id, in whatever state; a group, of which failed and cancelled jobs
                are meant; or a query, whose `limit` and `before` don't count. Where it names no
                states, those two are meant.
            tell: Called now and then with how many of those that match were dealt with.

        Returns:
            The job as it is now, or how many jobs are queued again.

        Raises:
            LookupError: if there is no such job, or no longer.
            JobExists: if another unfinished job has its key by now.
        """
        if isinstance(what, Query | Group):
            return await changing.change(self._engine, changing.retry, _query(what), UNDONE, tell)
        async for job in changing.each_look(self._engine, what):
            if not changing.is_retried(job) or await changing.retry(self._engine, [job], self._now):
                break
            await self._require_key(job)
        return await changing.look(self._engine, job.id)

    @overload
    async def delete(self, what: Job | str, /) -> Job: ...
    @overload
    async def delete(self, what: Query | Group, /, *, tell: Tell | None = None) -> int: ...
    async def delete(
        self, what: Job | str | Query | Group, /, *, tell: Tell | None = None
    ) -> Job | int:
        """Forget a job, or all that match a query: those that have ended or are queued.

        Args:
            what: A job or its id; a group, or a query, whose `limit` and `before` don't count.
                Where no states are named, those that have ended are meant.
            tell: Called now and then with how many of those that match were dealt with.

        Returns:
            The job as it was, or how many jobs were forgotten.

        Raises:
            LookupError: if there is no such job, or no longer.
            ValueError: if it runs: cancel it first.
        """
        if isinstance(what, Query | Group):
            return await changing.change(self._engine, changing.delete, _query(what), ENDED, tell)
        async for job in changing.each_look(self._engine, what):
            if job.state is State.RUNNING:
                raise ValueError(f"job {job.id} runs at {job.worker}: cancel it before")
            if await changing.delete(self._engine, [job], self._now):
                break
        return job

    async def prune(self, keep: Seconds = 0, *, tell: Tell | None = None) -> int:
        """Forget the jobs that finished longer ago than `keep` seconds, and say how many.

        Those that are older than the `keep` of `Errands` are forgotten by themselves.

        Args:
            tell: Called now and then with how many were forgotten.
        """
        before, pruned = self._now - timedelta(seconds=seconds(keep)), 0
        while some := await self._engine.store.prune(before, changing.PAGE):
            pruned += some
            if tell is not None:
                tell(pruned)
        return pruned

    async def pause(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        key: str | None = None,
        worker: str | None = None,
    ) -> None:
        """Start no more jobs of a queue, of a task, with a key, or at a worker.

        What runs goes on; jobs are added as before. It outlasts restarts, but for a worker,
        which begins with another name. To drain a worker, pause it. A queue, a task and a key
        may be paused before they have jobs.

        Raises:
            TypeError: unless exactly one of them is named.
            ValueError: if that is a name that nothing can have.
            UnknownWorker: if there is no such worker, or no longer.
        """
        kind, name = _one("pause", queue=queue, task=task, key=key, worker=worker)
        if kind == "worker":
            await self._require_worker(name)
        await self._engine.store.put_orders([Order(kind=kind, name=name, since=self._now)])
        await self._engine.heed()

    async def resume(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        key: str | None = None,
        worker: str | None = None,
    ) -> None:
        """Start jobs again that were paused; where nothing was, nothing happens.

        Raises:
            TypeError, ValueError: as `pause` does.
            UnknownWorker: as `pause` does.
        """
        kind, name = _one("resume", queue=queue, task=task, key=key, worker=worker)
        if kind == "worker":
            await self._require_worker(name)
        await self._engine.store.remove_orders([(kind, name)])
        await self._engine.heed()

    async def set_slots(self, worker: str, slots: int | None) -> None:
        """Have a worker run so many jobs side by side; `None` for as many as it began with.

        Args:
            worker: Its name, as in `Heartbeat.worker`.

        Raises:
            ValueError: if the number is less than 1; to stop a worker from claiming, pause it.
            UnknownWorker: as `pause` does.
        """
        if slots is not None and slots < 1:
            raise ValueError(f"set_slots({worker!r}, {slots!r}): expected 1 or more, or pause it")
        await self._require_worker(worker)
        if slots is None:
            await self._engine.store.remove_orders([("slots", worker)])
            return
        order = Order(kind="slots", name=worker, value=slots, since=self._now)
        await self._engine.store.put_orders([order])

    async def orders(self) -> list[Order]:
        """What is paused, and which workers have other slots than they began with."""
        return await self._engine.store.orders()

    async def why(self, what: Job | str, /) -> Why:
        """Why a job is not running, as a sentence for each thing that keeps it.

        Raises:
            LookupError: if there is no such job, or no longer.
        """
        store = self._engine.store
        job = await changing.look(self._engine, id_of(what))
        parents = {job_id: await store.get(job_id) for job_id in job.waits_for}
        return why(job, self._now, await store.orders(), await store.workers(), parents)

    @property
    def _now(self) -> datetime:
        return self._engine.clock.now()

    async def _require_worker(self, name: str) -> None:
        """Refuse a name that no worker has.

        Raises:
            UnknownWorker: if there is none, or no longer; one that has an order is known.
        """
        own = self._engine.heartbeat
        there = {beat.worker for beat in await self._engine.store.workers() if not beat.gone_at}
        there |= {own.worker} if own else set()  # which may not have told of itself yet
        if name in there:
            return
        orders = {(order.kind, order.name) for order in await self._engine.store.orders()}
        if orders.isdisjoint({("worker", name), ("slots", name)}):
            known = ", ".join(map(repr, sorted(there))) or "none"
            raise UnknownWorker(f"no worker is named {name!r}, or no longer. There are: {known}.")

    async def _require_key(self, job: Job) -> None:
        """Refuse to queue a job again whose key another unfinished one has.

        Raises:
            JobExists: if there is one.
        """
        if job.key is None:
            return
        for rival in await self._engine.store.find(Query(key=job.key, states=UNFINISHED)):
            if rival.id != job.id:
                raise JobExists(rival)


def _query(what: Query | Group) -> Query:
    return Query(group=what.name) if isinstance(what, Group) else what


def _one(verb: str, **named: object) -> tuple[OrderKind, str]:
    """What is named, and how."""
    given = [(kind, name) for kind, name in named.items() if name is not None]
    if len(given) != 1 or not isinstance(given[0][1], str):
        raise TypeError(
            f"{verb}(…) takes the name of one thing: {verb}('mail') for a queue, {verb}(task=…), "
            f"{verb}(key=…) or {verb}(worker=…)"
        )
    [(kind, name)] = given
    if not is_text(name):
        raise ValueError(f"{verb}({kind}={shown(name)}): expected 1 to {BYTES:,} bytes of text")
    return cast("tuple[OrderKind, str]", given[0])

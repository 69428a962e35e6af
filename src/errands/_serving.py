"""What an application says to its services: declare them, look at them, start them again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from ._engine import Engine
from ._function import name_of
from ._heartbeat import Heartbeat
from ._job import Job, State
from ._plain import Seconds, seconds
from ._query import Query
from ._service import Budget, Restart, Service, ServiceState, ServiceStatus, key_of
from ._services import latest, unfinished
from .errors import JobFailed, NotOpen, SetupError, UnknownTask

F = TypeVar("F", bound=Callable[[], Any])

POLL = (0.01, 0.5)  # seconds between two looks at a service that is to start: first, longest


class Serving:
    """The part of `Errands` that is about services."""

    _engine: Engine

    @overload
    def service(self, function: F, /) -> F: ...
    @overload
    def service(
        self,
        *,
        name: str | None = None,
        restart: Restart = "always",
        every_process: bool = False,
        watchdog: Seconds | None = None,
        budget: Budget | None = None,
    ) -> Callable[[F], F]: ...
    def service(  # type: ignore[misc]  # mypy asks that it take every `F`, which a value cannot show
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        restart: Restart = "always",
        every_process: bool = False,
        watchdog: Seconds | None = None,
        budget: Budget | None = None,
    ) -> Any:
        """Declare a function as a service: it runs for as long as the application does.

        There is one in the cluster, which another process takes over when its own one dies.
        A plain function has a thread of its own, and asks `stopping()` whether to return.

        Args:
            name: What it is known as; module and qualified name by default.
            restart: When it is started again: `always`, also after it returned; `on-failure`;
                or `never`. The waits grow from 0.1 s to 60 s while it does not stay up.
            every_process: Have one in each process that works, and not one in the cluster.
            watchdog: Seconds within which it has to call `alive()`, again and again; if it
                does not, it is stopped and counts as failed.
            budget: How often it may be started again before it counts as failed for good;
                20 times in 15 minutes by default.

        Raises:
            TypeError: if the function takes arguments without a default, or is a generator.
            ValueError: if it has no name of its own and none is given, or the policy could
                never be meant.
            DuplicateTask: if another function has this name.
            SetupError: if the application is at work already.
        """

        def declare(function: Callable[[], Any]) -> Callable[[], Any]:
            if not callable(function):
                raise TypeError(f"a service is a function, not {function!r}")
            service = Service(
                name=name or name_of(function),
                function=function,
                restart=restart,
                every_process=every_process,
                watchdog=None if watchdog is None else seconds(watchdog),
                budget=budget or Budget(),
            )
            if self._engine.is_working and service.name not in self._engine.services:
                raise SetupError(
                    f"{service.name} is declared too late: services start with the application. "
                    "Import its module before that."
                )
            self._engine.services.add(service)
            return function

        return declare if function is None else declare(function)

    @property
    def service_names(self) -> list[str]:
        """The names of the services that this process has declared, sorted."""
        return sorted(self._engine.services)

    async def services(self) -> list[ServiceStatus]:
        """How the services do, by name.

        Those of the cluster are told of as the store knows them, also those that other processes
        declare, or nobody does any more. Those of which every process has one are told of as
        they are here.
        """
        now, engine = self._engine.clock.now(), self._engine
        here = [engine.heartbeat] if engine.heartbeat else []
        workers = [*await engine.store.workers(), *here]  # who tells us now what is not stored yet
        ours = [
            await self._status(each, here if each.every_process else workers)
            for each in map(engine.services.__getitem__, self.service_names)
        ]
        theirs = [
            ServiceStatus.of(job, now, workers=workers, is_declared=False)
            for job in await unfinished(engine.store)
            if job.task not in engine.services
        ]
        return sorted([*ours, *theirs], key=lambda each: each.name)

    async def started(
        self, service: Callable[[], Any] | str, timeout: Seconds | None = None
    ) -> None:
        """Wait until the service runs and has said `ready()`, or has returned for good.

        Args:
            service: The function, or its name.
            timeout: Seconds to wait at the most; without end by default.

        Raises:
            JobFailed: if it failed for good.
            UnknownTask: if it was not declared as a service.
            TimeoutError: if it has not said so in time.
        """
        found = self._declared(service)
        limit = None if timeout is None else seconds(timeout)
        wait, longest = POLL
        try:
            async with asyncio.timeout(limit):
                while not _has_started(await self._job(found)):
                    await asyncio.sleep(wait)
                    wait = min(wait * 1.5, longest)
        except TimeoutError:
            state = (await self._status(found)).state
            raise TimeoutError(
                f"{found.name} has not called ready() within {limit:g} s; it is {state}"
            ) from None

    async def restart(self, service: Callable[[], Any] | str) -> None:
        """Start a service again that failed, has returned or waits; one that runs goes on.

        What it has failed so far does not count any more. Of a service that every process has
        this one's is meant.

        Args:
            service: The function, or its name; of one that other processes declare, the name.

        Raises:
            UnknownTask: if it is declared here neither, nor is it in the store.
            NotOpen: if the store is closed; or this process is not at work, if it has its own.
            StoreUnavailable: if the store cannot be written.
        """
        engine = self._engine
        name = service if isinstance(service, str) else self._declared(service).name
        found = engine.services.get(name)
        if found is not None and found.every_process:
            resident = engine.resident(found.name)
            if resident is None:
                raise NotOpen(f"this process is not at work, and has no {found.name} to start")
            resident.restart()
            return
        while True:
            job = await latest(engine.store, key_of(name))
            if job is None:
                job = self._declared(name).job(engine.clock.now())
                await engine.store.add([job])
                return
            if job.state is State.RUNNING:
                return
            if await engine.store.save([job.retried(engine.clock.now())]):
                return

    async def forget(self, name: str) -> None:
        """Forget a service of the cluster that left the code, with its history.

        A process that still declares it would start it anew, and so it is refused while one
        runs it.

        Raises:
            SetupError: if this process declares it, or another one runs it.
            UnknownTask: if the store has none of this name.
            StoreUnavailable: if the store cannot be written.
        """
        if name in self._engine.services:
            raise SetupError(
                f"service {name} is declared here: take its @errands.service out of the code, "
                "and forget it once no process runs that code"
            )
        store, is_known = self._engine.store, False
        while jobs := await store.find(Query(key=key_of(name))):
            for job in jobs:
                if job.state is State.RUNNING:
                    raise SetupError(
                        f"service {name} is run by {job.worker}, whose code declares it: stop "
                        "that process first"
                    )
            await store.remove(jobs)
            is_known = True
        if not is_known:
            raise UnknownTask(f"the store has no service {name!r}")

    async def _status(self, service: Service, workers: Iterable[Heartbeat] = ()) -> ServiceStatus:
        job, now = await self._job(service), self._engine.clock.now()
        if job is not None:
            return ServiceStatus.of(job, now, workers=workers, every_process=service.every_process)
        return ServiceStatus(
            name=service.name,
            state=ServiceState.STOPPED,
            since=now,
            is_ready=False,
            restarts=0,
            worker=None,
            error=None,
            every_process=service.every_process,
        )

    async def _job(self, service: Service) -> Job | None:
        if not service.every_process:
            return await latest(self._engine.store, service.key)
        resident = self._engine.resident(service.name)
        return None if resident is None else resident.job

    def _declared(self, service: Callable[[], Any] | str) -> Service:
        services = self._engine.services
        name = service if isinstance(service, str) else getattr(service, "__qualname__", service)
        found = services.get(service) if isinstance(service, str) else services.of(service)
        if found is None:
            known = ", ".join(sorted(services)) or "none"
            raise UnknownTask(
                f"{name} is not a service. Write @errands.service above it. Declared here: {known}."
            )
        return found


def _has_started(job: Job | None) -> bool:
    if job is not None and job.state is State.FAILED:
        raise JobFailed(job)
    if job is not None and job.is_final:
        return True
    return job is not None and job.state is State.RUNNING and job.progress is not None

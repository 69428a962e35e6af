"""The services of one process: keeps up those that are its own, and its share of the cluster's.

One in the cluster is a job with the key of the service, leased like any other: there is one as
long as anybody is at work, whoever dies. Every process adds it where it is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial

from ._clock import Clock
from ._heartbeat import LogLine
from ._job import Job, State
from ._query import Query
from ._renewer import Renewer
from ._resident import Resident
from ._runner import Middleware
from ._runs import Runs
from ._schedule import SILENCE
from ._service import QUEUE, Service, is_orphaned, key_of, marks_of
from ._share import Share
from ._stint import serve
from ._store import Claim, Store
from ._supervisor import Loop, Patience
from ._tails import Tails
from ._task import Named

logger = logging.getLogger("errands.service")

LOOK = 5.0  # seconds between two looks whether a job is missing
CLEANUP = 2.0  # seconds in which outcomes are saved at the end


class Services:
    """Keeps services up for as long as a worker lives.

    Args:
        services: Those that this process has declared.
        worker: The name of its worker, in which the jobs are leased.
        queues: Those that it works for; a process for others leaves the cluster's services
            alone.
        grace: Seconds that services get to stop.
    """

    def __init__(
        self,
        store: Store,
        services: Named[Service],
        clock: Clock,
        patience: Patience,
        worker: str,
        *,
        queues: Collection[str] | None,
        lease: timedelta,
        grace: float,
        middleware: Sequence[Middleware],
    ) -> None:
        """Belong to the running event loop; start nothing yet."""
        self._store, self._clock, self._patience = store, clock, patience
        self._worker, self._lease, self._grace = worker, lease, grace
        self._tails = Tails(clock)
        self._residents = {
            each.name: Resident(each, worker, middleware, clock, grace, self._tails)
            for each in services.values()
            if each.every_process
        }
        shared = {each.name: each for each in services.values() if not each.every_process}
        if shared and queues is not None and QUEUE not in queues:
            logger.info(
                "this process works for %s, and not for %r: it leaves to others %s",
                ", ".join(sorted(queues)), QUEUE, ", ".join(sorted(shared)),
            )  # fmt: skip  # a message and its parts
            shared = {}
        self._shared, self._ended, self._orphans = shared, set[str](), set[str]()
        self._began = clock.now()
        freed = asyncio.Event()
        self._runs = Runs(
            store, services, clock, patience, len(shared), middleware, freed.set,
            lambda job: None, partial(serve, grace=grace, tails=self._tails),
        )  # fmt: skip  # a row
        self._share = Share(
            store, clock, patience, self._runs, worker, len(shared), self._wanted, freed
        )
        self._renewer = Renewer(
            store, clock, worker, lease, self._runs.held, self._runs.lose, patience.tell
        )

    @property
    def loops(self) -> dict[str, Loop]:
        """What is to be supervised for as long as there are services."""
        loops: dict[str, Loop] = {f"service {n}": each.run for n, each in self._residents.items()}
        if self._shared:
            loops |= {"services": self._keep, **self._share.loops}
            loops |= {f"{name} of services": loop for name, loop in self._runs.loops.items()}
        return loops

    @property
    def runs(self) -> Runs:
        """Those of the cluster's services that are here."""
        return self._runs

    def log(self) -> tuple[LogLine, ...]:
        """The last lines of each service that has been here."""
        return self._tails.lines()

    def open(self) -> None:
        """Hear when a service is free, and keep the leases of those that run here."""
        if self._shared:
            self._stop_listening = self._store.listen(self._share.ring)
            self._renewer.start()

    async def stop(self) -> None:
        """Cancel all services, give them their `grace`, and hand them to others."""
        await asyncio.gather(*(each.stop() for each in self._residents.values()), self._leave())

    def resident(self, name: str) -> Resident | None:
        """The service of this name that is this process' own."""
        return self._residents.get(name)

    async def _leave(self) -> None:
        if not self._shared:
            return
        await self._share.stop(CLEANUP)
        await asyncio.sleep(0)  # what was started just now comes to its first step
        self._runs.recall()
        await self._runs.stop(self._grace + CLEANUP, CLEANUP)
        self._stop_listening()
        await self._renewer.stop()

    async def _keep(self) -> None:
        while True:
            for service in self._shared.values():
                await self._patience.until_done(partial(self._keep_one, service))
            await self._patience.until_done(self._look_for_orphans)
            await self._clock.sleep(LOOK)

    async def _keep_one(self, service: Service) -> None:
        """See that the service has a job, unless it has ended for good."""
        last = await latest(self._store, service.key)
        if last is None:
            if service.name not in self._ended:  # else its record was pruned
                await self._store.add([service.job(self._clock.now())])
        elif not last.is_final:
            self._ended.discard(service.name)
        elif service.mark not in marks_of(last):
            logger.info("service %s ended as %s, and is new now", service.name, last.state)
            await self._store.add([service.job(self._clock.now(), last)])
        elif service.name not in self._ended:
            self._ended.add(service.name)
            logger.warning(
                "service %s ended as %s at %s; errands.restart(%r) or a new version of it starts "
                "it again", service.name, last.state, last.finished_at, service.name,
            )  # fmt: skip  # a message and its parts

    async def _look_for_orphans(self) -> None:
        """Say which services nobody declares any more."""
        now = self._clock.now()
        if now - self._began <= SILENCE:  # others may just be starting, too
            return
        for job in await unfinished(self._store):
            is_ours = job.task in self._shared or job.task in self._orphans
            if not is_ours and is_orphaned(job, now):
                self._orphans.add(job.task)
                logger.warning(
                    "service %s is orphaned: no process at work declares it any more. Declare it, "
                    "or forget it with errands.forget(%r)", job.task, job.task,
                )  # fmt: skip  # a message and its parts

    def _wanted(self, limit: int) -> Claim:
        return Claim(
            worker=self._worker,
            queues={QUEUE},
            tasks=self._shared.keys() - self._runs.tasks,  # also when a lease ran out here
            limit=limit,
            now=self._clock.now(),
            lease=self._lease,
        )


async def latest(store: Store, key: str) -> Job | None:
    """The unfinished job of the service with this key, or else the one that finished last."""
    for states in ([State.QUEUED, State.RUNNING], ()):
        found = await store.find(Query(states=states, key=key, limit=1))
        if found:
            return found[0]
    return None


async def unfinished(store: Store) -> list[Job]:
    """The jobs of the cluster's services that have not ended for good, also of other programs."""
    states = [State.QUEUED, State.RUNNING]
    jobs = await store.find(Query(states=states, queue=QUEUE, limit=1000))
    return [job for job in jobs if job.key == key_of(job.task)]

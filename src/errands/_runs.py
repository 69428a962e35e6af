"""The runs of one worker: started, watched, stopped, and their outcomes saved."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextvars import copy_context
from functools import partial

from ._calling import Executors
from ._clock import Clock
from ._doubts import Doubts
from ._finishing import Finishing
from ._holdings import Holdings
from ._job import Job
from ._leash import let_go
from ._outcomes import Outcomes
from ._parents import results_of
from ._plain import kept
from ._reports import Reports
from ._run import Run
from ._runner import Middleware, run
from ._store import Store
from ._supervisor import Loop, Patience
from ._task import Task
from .executors.process import Processes
from .executors.thread import Threads

logger = logging.getLogger("errands.worker")

Play = Callable[[Run, Task, Sequence[Middleware], Executors, Clock], Coroutine[None, None, Job]]


class Runs(Holdings):
    """Runs jobs that are leased to one worker.

    Args:
        slots: How many run side by side, at the most.
        freed: Called when a slot is free again.
        ended: Told about each outcome once it is stored.
        play: Runs one job and answers with its outcome.
        processes: For those that are to run in one.
        advanced: Told which jobs have come further, once that is stored.

    Attributes:
        slots: How many there are now.
    """

    def __init__(
        self,
        store: Store,
        tasks: Mapping[str, Task],
        clock: Clock,
        patience: Patience,
        slots: int,
        middleware: Sequence[Middleware],
        freed: Callable[[], object],
        ended: Callable[[Job], object],
        play: Play = run,
        processes: Processes | None = None,
        advanced: Callable[[Sequence[Job]], object] = len,
    ) -> None:
        """Belong to the running event loop; run nothing yet."""
        super().__init__(slots, clock, freed)
        self._store, self._tasks, self._patience = store, tasks, patience
        self._middleware, self._play, self._told = middleware, play, ended
        self._executors = Executors(Threads(slots), processes or Processes(1))
        self._doubts = Doubts(store, tasks, clock, patience, self._give_up)
        self._outcomes = Outcomes(store, clock, patience, self._settled, ended)
        self._reports = Reports(store, clock, patience, advanced)
        self._note, self._unreported = self._reports.note, self._reports.waiting
        self._is_stopping = False
        self.released = 0  # jobs that went back unfinished when we stopped
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()

    @property
    def loops(self) -> dict[str, Loop]:
        """What is to be supervised as long as there are runs."""
        return {
            "outcomes": self._outcomes.save,
            "progress": self._reports.save,
            "doubts": self._doubts.look,
        }

    @property
    def left(self) -> list[str]:
        """The names of the tasks whose threads go on although their runs are over."""
        return self._executors.threads.left

    def resize(self, slots: int) -> None:
        """Have so many jobs run side by side from now on; what runs goes on."""
        if slots != self.slots:
            self.slots = slots
            self._executors.threads.resize(slots)
            self._freed()

    def hold(self, job: Job) -> Run:
        """Keep the lease of a stored job."""
        before = self._held.get(job.id)
        if before is not None and before.job.version == job.version:
            return before
        if before is not None:  # its lease ran out here, and we claimed it again
            self._give_up(before)
        run = self._held[job.id] = Run(job, self._note)
        self._nothing_held.clear()
        return run

    def start(self, job: Job) -> None:
        """Run a stored job that is leased to us, in a slot that was occupied for it.

        Where everything goes back already, this one does, too: the store took its time.
        """
        held = self.hold(job)
        if self._is_stopping:
            self._end(held, job.unclaimed())
            self.vacate()
            return
        if job.is_cancelling:  # whoever ran it before did not come to it
            self._end(held, job.cancelled(self._clock.now()))
            self.vacate()
            return
        held.context = self._context.copy()
        held.task = self._loop.create_task(
            self._work(held), name=f"{job.task} (job {job.id})", context=held.context
        )

    def unclaim(self, job: Job) -> None:
        """Hand back a job that was held and never started."""
        held = self._held.get(job.id)
        if held is not None and not held.is_ended:
            self._end(held, job.unclaimed())

    def forget(self, job: Job) -> None:
        """Hold a job no longer; it was removed from the store."""
        self._leave(self._held.get(job.id), job.id)

    def lose(self, ids: Collection[str]) -> None:
        """Stop the runs of jobs that are somebody else's now."""
        for job_id in ids:
            held = self._held.get(job_id)
            if held is None or held.is_ended:
                continue
            if held.finishing is not None and held.finishing.is_begun:
                self._doubts.add(held)
            else:
                self._give_up(held)

    def give_back(self, job: Job) -> None:
        """Cancel the run of a job, which then goes back."""
        held = self._held.get(job.id)
        if held is not None and held.task is not None and not held.is_ended:
            held.interrupt("it goes to another worker")

    def cancel(self, ids: Collection[str]) -> None:
        """End what somebody asked to be cancelled: these are cancelled, not handed back."""
        for held in [held for job_id in ids if (held := self._held.get(job_id)) is not None]:
            if held.is_ended or held.is_cancelled:
                continue
            held.is_cancelled = True
            held.end("the job was cancelled")
            if held.task is None:
                self._end(held, held.job.cancelled(self._clock.now()))

    def recall(self) -> None:
        """Cancel all that runs, and start no more: what ends now goes back."""
        self._is_stopping = True
        for held in self._held.values():
            if held.task is not None and not held.is_ended and not held.task.cancelling():
                held.interrupt("the worker stops")

    async def stop(self, grace: float, cleanup: float) -> None:
        """Let what runs end within `grace` seconds; cancel and hand back the rest."""
        self._is_stopping = True
        for held in list(self._held.values()):
            if held.task is None:
                self.unclaim(held.job)
        if not await within(self._nothing_runs, grace):
            await self._hand_back(grace, cleanup)
        if not await within(self._nothing_held, cleanup):
            logger.error(
                "%d outcomes could not be saved; those jobs will run again", len(self._held)
            )

    async def _work(self, held: Run) -> None:
        task, outcome = self._tasks[held.job.task], None
        held.finishing = Finishing(self._store, task, self._clock)
        held.parents = partial(results_of, self._store, self._tasks, held.job.waits_for)
        try:
            outcome = await self._play(held, task, self._middleware, self._executors, self._clock)
        except asyncio.CancelledError:
            now = self._clock.now()
            outcome = held.job.cancelled(now) if held.is_cancelled else held.job.released(now)
        except Exception:  # ours: run() answers for those of the task
            logger.critical("the run of job %s fell over", held.job.id, exc_info=True)
            outcome = held.job.failed(kept(traceback.format_exc()), self._clock.now())
        self._end(held, await self._doubts.settled(held, outcome))
        self.vacate()

    def _end(self, held: Run, outcome: Job) -> None:
        if held.is_ended:
            return
        held.is_ended = True
        self._unreported.pop(outcome.id, None)
        # one that has a limit is saved once more, which lets the next of its jobs start
        if held.is_stored and not outcome.concurrency_key:
            self._leave(held, outcome.id)
            self._told(outcome)
            return
        if held.is_lost:
            logger.warning(
                "job %s (%s) was taken over while it ran; its outcome, %s, is dropped",
                outcome.id, outcome.task, outcome.state,
            )  # fmt: skip
            self._leave(held, outcome.id)
            return
        self._outcomes.add(held, outcome)

    def _give_up(self, held: Run) -> None:
        held.is_lost = True
        held.cancel("the job was taken over by another worker, or cancelled")
        if held.task is None:
            self._end(held, held.job)

    async def _hand_back(self, grace: float, cleanup: float) -> None:
        running = [held for held in self._held.values() if held.task and not held.is_ended]
        if not running:  # slots are kept for a claim that the store has not answered
            return
        self.released = len(running)
        names = ", ".join(sorted({held.job.task for held in running}))
        logger.warning(
            "%d jobs did not end within %g s and go back: %s", len(running), grace, names
        )
        for held in running:
            held.cancel("the worker stops")
        if not await within(self._nothing_runs, cleanup):
            for held in [held for held in running if not held.is_ended]:
                logger.error("%s ignores its cancellation and is left behind", held.job.task)
                self._end(held, held.job.released(self._clock.now()))
                if held.task is not None and held.context is not None:
                    let_go(held.task, held.context)

    def _settled(self, held: Run, job: Job, is_stored: bool) -> None:
        self._leave(held, job.id)
        if is_stored:
            self._told(job)
        else:
            logger.warning(
                "job %s (%s) was changed by somebody else; its outcome, %s, is refused",
                job.id, job.task, job.state,
            )  # fmt: skip


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, so many seconds at the most, and say whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True

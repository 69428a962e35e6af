"""Hooks: functions of the application that are told what becomes of its jobs.

They are told in order, one after another, beside the jobs and never in their way: a hook that
fails is logged, and one that is slow only makes those after it late.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

from ._function import is_async
from ._job import Job, Outcome, State
from .executors.thread import Threads

logger = logging.getLogger("errands.hooks")

EventName = Literal[
    "queued", "started", "progress", "done", "failed", "retrying", "cancelled", "released"
]
Hook = Callable[[Job], Any]

MOST = 10_000  # events that wait for slow hooks; more are dropped, and that is logged


class _Begun:
    """What belongs to one event loop."""

    telling: asyncio.Task[None]

    def __init__(self) -> None:
        self.news, self.all_told = asyncio.Event(), asyncio.Event()


class Hooks:
    """Those of one application. What happens is told in the process where it happens."""

    def __init__(self) -> None:
        """Start with none."""
        self._hooks: defaultdict[str, list[Hook]] = defaultdict(list)
        self._events: deque[tuple[EventName, Job]] = deque()
        self._begun: _Begun | None = None
        self._threads = Threads(1)
        self._dropped = 0

    @property
    def are_any(self) -> bool:
        """Whether anybody wants to be told anything."""
        return bool(self._hooks)

    def on(self, event: EventName, hook: Hook) -> None:
        """Tell `hook` about each such event from now on. The same one again replaces itself."""
        if hook not in self._hooks[event]:
            self._hooks[event].append(hook)

    def hears(self, event: EventName) -> bool:
        """Whether anybody wants to be told."""
        return event in self._hooks

    def tell(self, event: EventName, jobs: Iterable[Job]) -> None:
        """Have the hooks of this event told about jobs."""
        if event not in self._hooks or self._begun is None:
            return
        for job in jobs:
            if len(self._events) >= MOST:
                self._dropped += 1
            else:
                self._events.append((event, job))
        self._begun.all_told.clear()
        self._begun.news.set()

    def begin(self) -> None:
        """Tell what happens from now on, in the running event loop; until `end`."""
        if self._hooks:
            begun = self._begun = _Begun()
            begun.telling = asyncio.get_running_loop().create_task(
                self._run(begun), name="errands hooks"
            )

    async def _run(self, begun: _Begun) -> None:
        while True:
            await begun.news.wait()
            begun.news.clear()
            while self._events:
                event, job = self._events[0]
                for hook in tuple(self._hooks[event]):
                    await self._call(event, hook, job)
                self._events.popleft()
            if self._dropped:
                logger.error("hooks are too slow: %d events were dropped", self._dropped)
                self._dropped = 0
            begun.all_told.set()

    async def end(self, seconds: float) -> None:
        """Tell what has happened, for so many seconds at the most, and then no more."""
        begun, self._begun = self._begun, None
        if begun is None:
            return
        try:
            if self._events:
                async with asyncio.timeout(seconds):
                    await begun.all_told.wait()
        except TimeoutError:
            logger.error("%d events were not told to slow hooks", len(self._events))
        self._events.clear()
        begun.telling.cancel()
        await asyncio.wait([begun.telling])

    async def _call(self, event: EventName, hook: Hook, job: Job) -> None:
        try:
            if is_async(hook):
                await hook(job)
            else:
                await self._threads.run(hook, job)
        except (KeyboardInterrupt, GeneratorExit):  # meant for the process, or for us
            raise
        except BaseException as error:
            telling = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError):
                if self._begun is None or telling is None:  # by `end`
                    raise
                telling.uncancel()  # it cancelled itself, and others are to be told
            name = getattr(hook, "__qualname__", repr(hook))
            logger.exception("hook %s failed at %r of job %s (%s)", name, event, job.id, job.task)


def require_event(event: str) -> None:
    """Refuse what is no event.

    Raises:
        ValueError: naming those that there are.
    """
    if event not in get_args(EventName):
        raise ValueError(f"on({event!r}): expected one of {', '.join(get_args(EventName))}")


def event_of(outcome: Job) -> EventName | None:
    """What a saved outcome is, told to hooks; `None` if the job had not started."""
    match outcome.state:
        case State.DONE:
            return "done"
        case State.FAILED:
            return "failed"
        case State.CANCELLED:
            return "cancelled"
        case State.QUEUED | State.RUNNING:
            return _event_of_start(outcome)


def _event_of_start(outcome: Job) -> EventName | None:
    if outcome.started_at is None or not outcome.history:
        return None
    is_back = outcome.history[-1].outcome is Outcome.RELEASED
    return "released" if is_back else "retrying"

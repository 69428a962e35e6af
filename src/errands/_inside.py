"""Inside a process of the pool: runs one job after the other, as the application says.

It was started as a new interpreter, has its application's modules and none of its life: no
store, no worker, no server. It ends with the application, however that ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from ._bounds import Alarm, memory
from ._codec import Codec
from ._finishing import Finishing
from ._function import awaited_by_itself, is_async
from ._job import Job
from ._reference import Reference
from ._run import Run, begin
from ._runner import told
from .errors import NotSerializable, SetupError
from .executors._part import Part, play
from .executors._records import Teller, set_levels, tell_all
from .executors._remote import described
from .executors._wire import (
    Advanced,
    Assignment,
    Cancel,
    Done,
    Failure,
    Line,
    Logged,
    Prepare,
    Ready,
    Started,
    to_process,
)

TELL = 0.05  # seconds between two reports of progress
LEAVE = 1.0  # seconds that an idle process has to end in order
PR_SET_PDEATHSIG = 1  # prctl(2)


def main(line: int, faults: int, application: int) -> None:
    """Run jobs until the application closes the line.

    Args:
        line: The descriptor of our end.
        faults: That of a file which tells where a crash was.
        application: The id of its process.
    """
    play(Part.IMPORTING)
    _die_with(application)
    for each in (line, faults):
        os.set_inheritable(each, False)  # what functions start is not our application's affair
    faulthandler.enable(faults, all_threads=False)
    faulthandler.register(signal.SIGUSR1, faults, all_threads=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the application hears them, and sees to us
    _Inside(Line(socket.socket(fileno=line))).run()


class _Inside:
    """The life of the process."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._inbox = queue.SimpleQueue[Assignment | Prepare | None]()
        self._records = Teller(self._tell)
        self._is_telling = False  # in the main thread
        self._functions: dict[Reference, tuple[Callable[..., Any], Codec]] = {}
        self._run: Run | None = None
        self._cancel: Callable[[], object] | None = None
        self._news = threading.Event()

    def run(self) -> None:
        tell_all(self._records)
        for each in (self._listen, self._report):
            threading.Thread(target=each, name="errands line", daemon=True).start()
        while (work := self._inbox.get()) is not None:
            if isinstance(work, Prepare):
                self._prepare(work)
            else:
                self._do(work)

    def _listen(self) -> None:
        """Hear the application, also while a function runs; without it, end."""
        while (frames := self._line.receive()) is not None:
            for text, _ in frames:
                message = to_process.decode(text)
                if isinstance(message, Cancel):
                    self._stop_run()
                else:
                    self._inbox.put(message)
        if self._run is None:
            self._inbox.put(None)
            time.sleep(LEAVE)
        os.killpg(os.getpgrp(), signal.SIGKILL)  # and what the function has started

    def _tell(self, record: dict[str, Any]) -> None:
        """Send a log record; half a frame would spoil the line."""
        if threading.current_thread() is not threading.main_thread():
            self._line.send(Logged(record))
            return
        self._is_telling = True
        try:
            self._line.send(Logged(record))
        finally:
            self._is_telling = False

    def _stop_run(self) -> None:
        run, cancel = self._run, self._cancel
        if run is not None:
            run.is_stopped = True
        if cancel is not None:
            with suppress(RuntimeError):  # its loop has ended just now
                cancel()

    def _prepare(self, prepare: Prepare) -> None:
        for reference in prepare.references:
            try:
                reference.load()
            except BaseException:  # noqa: BLE001  # the first job of the task fails by it, and says so
                continue
        tell_all(self._records)
        self._line.send(Ready())

    def _do(self, work: Assignment) -> None:
        set_levels(work.levels)
        try:
            function, codec = self._found(work)
        except BaseException as error:  # noqa: BLE001  # whatever their modules raise
            unready = _unready(work, error)
            self._line.send(described(unready, told(unready)))
            return
        run = Run(work.job, lambda run: self._news.set())
        run.finishing = _NoFinishing()
        self._run = run
        play(Part.RUNNING)
        self._line.send(Started())
        try:
            answer, body = copy_context().run(self._answer, work, run, function, codec)
        finally:
            self._run, self._cancel = None, None
            play(Part.IMPORTING)
        answer.progress = run.job.progress
        self._line.send(answer, body)

    def _found(self, work: Assignment) -> tuple[Callable[..., Any], Codec]:
        found = self._functions.get(work.reference)
        if found is None:
            function = work.reference.find()
            found = self._functions[work.reference] = (function, Codec(function, work.task))
            tell_all(self._records)  # the import may have set up other handlers
            set_levels(work.levels)
        return found

    def _answer(
        self, work: Assignment, run: Run, function: Callable[..., Any], codec: Codec
    ) -> tuple[Done | Failure, bytes]:
        begin(run)
        late = f"{work.task} ran for longer than its timeout of {work.timeout} s"
        seconds = None if is_async(function) else work.timeout
        alarm = Alarm(seconds, late, lambda: self._is_telling)
        clock = _Late()
        try:
            args, kwargs = codec.load(work.job.payload)
            with memory(work.max_memory), alarm:
                value = function(*args, **kwargs)
                if not is_async(function):
                    awaited_by_itself(work.task, value)
                else:
                    value = asyncio.run(self._awaited(value, work.timeout, clock))
            if alarm.has_rung or clock.is_over:  # it was told, and went on
                raise TimeoutError(late)
            return _done(codec, value)
        except BaseException as raised:  # noqa: BLE001  # told to the application
            return _failed(work, raised, late, is_late=alarm.has_rung or clock.is_over), b""

    async def _awaited(
        self, coroutine: Coroutine[Any, Any, Any], seconds: float | None, late: _Late
    ) -> Any:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task is not None:
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await coroutine
        finally:
            late.is_over, self._cancel = limit.expired(), None

    def _report(self) -> None:
        """Tell of progress, the newest only, so that a tight loop is not slowed down by it."""
        while True:
            self._news.wait()
            self._news.clear()
            run = self._run
            if run is not None and run.job.progress is not None:
                with suppress(OSError):  # nobody is there any more, and we end
                    self._line.send(Advanced(run.job.progress))
            time.sleep(TELL)


class _Late:
    """Whether a coroutine was interrupted by its time limit."""

    is_over = False


class _NoFinishing(Finishing):
    """Says to a function that it cannot finish its job by itself."""

    def __init__(self) -> None:
        self._outcomes = []

    async def finish(self, job: Job, connection: Any, result: Any) -> None:
        raise SetupError(
            f"{job.task} runs in a process of its own, which has no part in the store: finish() "
            'is for run="thread" and run="loop". Return the result, and it is kept.'
        )


def _done(codec: Codec, value: Any) -> tuple[Done, bytes]:
    try:
        text = codec.dump_result(value)
    except NotSerializable as error:  # what it did it has done: to run it again cannot help
        return Done(False, f"{type(error).__name__}: {error}", None), b""
    return Done(text is not None, None, None), (text or "").encode()


def _failed(work: Assignment, error: BaseException, late: str, *, is_late: bool) -> Failure:
    shown = error
    if is_late and isinstance(error, TimeoutError) and str(error) != late:
        # the cancellation knows where it was raised; in Python 3.11.2 it is not the cause yet
        where = error.__cause__ or error.__context__ or error
        shown = TimeoutError(late).with_traceback(where.__traceback__)
    if isinstance(error, MemoryError) and work.max_memory is not None:
        most = f"{work.max_memory:,} bytes"
        shown = MemoryError(f"{work.task} wanted more than its max_memory of {most}")
        shown.with_traceback(error.__traceback__)
    failure = described(shown, told(shown))
    failure.is_late = is_late
    return failure


def _unready(work: Assignment, error: BaseException) -> SetupError:
    if isinstance(error, SetupError):
        return error
    unready = SetupError(
        f"{work.reference.module} cannot be imported in a process of its own, which is to run "
        f"{work.task}: {type(error).__name__}: {error}"
    )
    unready.__cause__ = error
    return unready


def _die_with(application: int) -> None:
    """Have the operating system end this process with the application, where it can.

    The line breaks, too; but who sees that has to wait for a function that holds the interpreter.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != application:
        os._exit(1)

"""What an application declares: tasks, and the schedules of its code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar, cast, overload

from ._declared import Declaration, require_spec
from ._engine import Engine
from ._function import name_of
from ._limit import Limit, Rate, limits_of
from ._plain import Seconds, seconds
from ._retry import Retry
from ._spec import Spec
from ._task import Declared, Place, Task

P = ParamSpec("P")
R = TypeVar("R")


class Declaring:
    """The part of `Errands` that declares."""

    _engine: Engine

    @overload
    def task(self, function: Callable[P, R], /) -> Declared[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str = "default",
        priority: int = 0,
        retry: Retry | None = None,
        timeout: Seconds | tuple[Seconds, Seconds] | None = None,
        run: Place | None = None,
        max_memory: int | None = None,
        concurrency: int | Limit | None = None,
        rate: str | Rate | None = None,
    ) -> Callable[[Callable[P, R]], Declared[P, R]]: ...
    def task(  # type: ignore[misc]  # mypy asks that it take every `P`, which a value cannot show
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        queue: str = "default",
        priority: int = 0,
        retry: Retry | None = None,
        timeout: Seconds | tuple[Seconds, Seconds] | None = None,
        run: Place | None = None,
        max_memory: int | None = None,
        concurrency: int | Limit | None = None,
        rate: str | Rate | None = None,
    ) -> Any:
        """Declare a function as a task. The function itself stays as it is, to be called or added.

        Args:
            name: What its jobs are stored under; module and qualified name by default.
            queue: Where its jobs wait.
            priority: The higher, the sooner.
            retry: What happens when it fails; by default it is failed at once.
            timeout: Seconds after which a run counts as failed, and the function is told to
                end; with `(30, 35)` it gets until the second to do so. What has not ended by
                then is left to itself, and named in the log; a process is killed.
            run: Where the function runs: `loop`, the default of a coroutine function; `thread`,
                that of any other; or `process`, for what needs a processor for long.
            max_memory: Bytes that a process may take for it.
            concurrency: How many of its jobs run at once, in all processes and on all machines:
                `5`, or `Limit(2, per="customer_id")` for each value of a parameter.
            rate: How many of them start in a time: `"100/m"`, or
                `Rate("100/m", per="customer_id")`.

        Raises:
            ValueError: if the function has no name of its own and none is given, or the
                policy could never be meant.
            TypeError: if a process is to run what is no plain function.
            DuplicateTask: if another function has this name.
            SetupError: if this system has no such processes, or no such limit.
        """
        limits = limits_of(concurrency, rate)

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            if not callable(function):
                raise TypeError(f"a task is a function, not {function!r}")
            soft, hard = _pair(timeout)
            task = Task(
                name=name or name_of(function),
                function=function,
                queue=queue,
                priority=priority,
                retry=retry or Retry(),
                timeout=None if soft is None else seconds(soft),
                hard_timeout=None if hard is None else seconds(hard),
                run=run,
                max_memory=max_memory,
                limits=limits,
            )
            self._engine.tasks.add(task)
            with suppress(AttributeError):  # a builtin or a method bears no mark
                function.__errands__ = task.name  # type: ignore[attr-defined]  # for `Declared`
            return function

        return declare if function is None else declare(function)

    def schedule(
        self, spec: Spec, /, *args: Any, name: str | None = None, **kwargs: Any
    ) -> Callable[[Callable[P, R]], Declared[P, R]]:
        """Have a function added by itself, with these arguments, whenever `spec` says so.

        Declares it as a task if it is none yet. It may stand several times above one function,
        each time with another spec or other arguments.

        Args:
            spec: `every(minutes=5)`, or `cron("0 3 * * mon-fri", tz="Europe/Zurich")`.
            name: What the schedule is stored under; the task and the spec by default.

        Raises:
            TypeError: if the spec is none, or the function cannot be called like that.
            DuplicateSchedule: if another schedule has this name.
        """
        require_spec(spec, "@errands.schedule")

        def declare(function: Callable[P, R]) -> Declared[P, R]:
            if self._engine.tasks.of(function) is None:
                self.task(function)
            self._engine.declare(name, Declaration(function, spec, args, kwargs))
            return cast("Declared[P, R]", function)

        return declare


def _pair(timeout: Any) -> tuple[Seconds | None, Seconds | None]:
    """When a function is told to end, and when it is ended."""
    if not isinstance(timeout, tuple):
        return timeout, None
    if len(timeout) != 2:
        raise ValueError(f"timeout={timeout!r}: expected seconds, or two of them, as in (30, 35)")
    return timeout

"""A task: a function, and how its jobs are to be run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, get_args

from ._codec import Codec
from ._function import is_async, is_same, place_of
from ._limit import NO_LIMITS, Limit, Limits, Rate, key_of
from ._plain import is_text, is_whole, shown
from ._reference import Reference, require_name
from ._retry import Retry
from .errors import DuplicateTask, SetupError, UnknownTask

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Place = Literal["loop", "thread", "process"]

MEMORY = Path("/proc/self/status")  # where Linux says how much a process takes
GRACE = 2.0  # seconds that a function has to end by itself after its timeout


class Declared(Protocol[P, R_co]):
    """A declared function as a type checker sees it: to add it answers with a job.

    At run time it is the function itself, with its task's name in one attribute.
    """

    __errands__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function here and now, as if it had not been declared."""
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """A declared function with its policy.

    Attributes:
        name: What its jobs are stored under; renaming it orphans stored jobs.
        queue: Where its jobs wait.
        priority: The higher, the sooner.
        timeout: Seconds after which a run counts as failed; `None` for no limit.
        limits: How many of its jobs run at once, and start in a time.
        hard_timeout: Seconds after which a function is left to itself, or its process is
            killed, that has not ended by its timeout; 2 s after that if not given.
        run: Where the function runs: `loop`, `thread` or `process`. If not given, a coroutine
            function runs in the event loop, and any other in a thread.
        max_memory: Bytes that it may take in its process; `None` for no limit.
    """

    name: str
    function: Callable[..., Any]
    queue: str = "default"
    priority: int = 0
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    limits: Limits = NO_LIMITS
    hard_timeout: float | None = None
    run: Place | None = None
    max_memory: int | None = None

    def __post_init__(self) -> None:
        """Refuse a policy that could never be meant.

        Raises:
            TypeError: if `function` cannot be called or is a generator, or `retry` is not a
                `Retry`.
            ValueError: if the name or the queue is empty, the priority is no whole number, the
                timeout is not positive, or a limit is counted per parameter that the function
                does not have.
        """
        if not callable(self.function):
            raise TypeError(f"a task is a function, not {self.function!r}")
        if not isinstance(self.retry, Retry):
            raise TypeError(f"{self.name}: retry={self.retry!r}: write Retry(attempts=…)")
        if not is_text(self.name) or not is_text(self.queue):
            names = f"{shown(self.name)}, {shown(self.queue)}"
            raise ValueError(f"a task needs a name and a queue, both text, not {names}")
        self._require_body()
        if not is_whole(self.priority):
            raise ValueError(f"{self.name}: priority={self.priority!r}: expected a whole number")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"{self.name}: timeout={self.timeout!r}: expected more than 0 seconds")
        for limit in (self.limits.concurrency, self.limits.rate):
            self._require_parameter(limit)
        hard = self.hard_timeout
        if hard is not None and (self.timeout is None or hard < self.timeout):
            raise ValueError(
                f"{self.name}: timeout=({self.timeout!r}, {hard!r}): expected the seconds after "
                "which it is told to end, and then those after which it is ended"
            )
        self._require_place()

    def keys(self, payload: str) -> dict[str, str]:
        """The fields of a job that say what it is limited with; none of most tasks' jobs.

        Args:
            payload: Its arguments.
        """
        if self.limits is NO_LIMITS:
            return {}
        kinds = ("limit", self.limits.concurrency), ("rate", self.limits.rate)
        fields = "concurrency_key", "rate_key"
        return {
            name: key_of(
                kind, self.name, limit.per,
                self.codec.argument(payload, limit.per) if limit.per else "",
            )
            for name, (kind, limit) in zip(fields, kinds, strict=True)
            if limit is not None
        }  # fmt: skip  # a call

    @cached_property
    def codec(self) -> Codec:
        """Built at the first use: by then all names of the annotations are there."""
        return Codec(self.function, self.name)

    @cached_property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return is_async(self.function)

    def _require_parameter(self, limit: Limit | Rate | None) -> None:
        if limit is None or limit.per is None:
            return
        several = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        parameters = inspect.signature(self.function).parameters.values()
        names = [each.name for each in parameters if each.kind not in several]
        if limit.per not in names:
            raise ValueError(
                f"{self.name}: {limit!r}: it has no parameter {limit.per!r} to count by; "
                f"there are: {', '.join(names) or 'none'}"
            )

    @cached_property
    def place(self) -> Place:
        """Where the function runs."""
        return self.run or ("loop" if self.is_async else "thread")

    @cached_property
    def reference(self) -> Reference:
        """Where a process finds the function; looked for when its module is there.

        Raises:
            SetupError: if its module has another thing under its name.
        """
        return Reference.of(self.function)

    @cached_property
    def deadline(self) -> float | None:
        """Seconds after which nobody waits for the function any more."""
        if self.hard_timeout is not None or self.timeout is None:
            return self.hard_timeout
        return self.timeout if self.place == "thread" else self.timeout + GRACE

    def _require_body(self) -> None:
        function = self.function  # as it is: what wraps a generator may well run it
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{self.name} is a generator, which does nothing when it is called: drop its yield"
            )

    def _require_place(self) -> None:
        if self.run not in (None, *get_args(Place)):
            expected = ", ".join(get_args(Place))
            raise ValueError(f"{self.name}: run={self.run!r}: expected one of {expected}")
        if self.run == "thread" and self.is_async:
            raise ValueError(
                f'{self.name}: run="thread" of a coroutine function: what it awaits belongs to the '
                "event loop. Leave out run, or write a plain function with asyncio.run inside."
            )
        if self.run == "process" and os.name != "posix":
            raise SetupError(f'{self.name}: run="process" needs Unix; here, leave it out')
        if self.run == "process":
            require_name(self.function)
        if self.max_memory is not None and self.run != "process":
            raise ValueError(f'{self.name}: max_memory={self.max_memory!r} wants run="process"')
        if self.max_memory is not None and not MEMORY.exists():
            raise SetupError(f"{self.name}: max_memory needs Linux; here, leave it out")
        if self.max_memory is not None and self.max_memory < 1:
            raise ValueError(f"{self.name}: max_memory={self.max_memory!r}: expected bytes")


T = TypeVar("T", bound=Task)


class Named(dict[str, T]):
    """Tasks of one kind that this process has declared, by name.

    Args:
        beside: Other tasks, none of which may have the name of one of these.
    """

    def __init__(self, beside: Mapping[str, Task] | None = None) -> None:
        """Start with none."""
        super().__init__()
        self._names: dict[Callable[..., Any], str] = {}
        self.beside: Mapping[str, Task] = {} if beside is None else beside  # may fill later

    def add(self, task: T) -> None:
        """Declare a task. The same function declared again replaces itself.

        A module that is imported twice, an application factory that is called twice and a
        notebook's cell that is run twice all do that.

        Raises:
            DuplicateTask: if another function has this name.
        """
        kind, other = type(task).__name__.lower(), self.beside.get(task.name)
        before = self.get(task.name) if other is None else other
        if before is not None and (other or not is_same(before.function, task.function)):
            two = f"two {kind}s" if other is None else "a task and a service"
            raise DuplicateTask(
                f"{two} are named {task.name!r}: {place_of(before.function)} and "
                f"{place_of(task.function)}. Give one of them another with @errands.{kind}(name=…)."
            )
        self[task.name] = task
        self._names[task.function] = task.name

    def of(self, function: Callable[..., Any]) -> T | None:
        """The task that was declared from `function`, if it was."""
        try:
            name = self._names.get(function)
        except TypeError:  # a callable object without a hash was never declared
            return None
        return None if name is None else self[name]

    def __missing__(self, name: str) -> T:
        """Say which names there are."""
        known = ", ".join(sorted(self)) or "none"
        raise UnknownTask(f"no task is named {name!r}. Declared here: {known}.")


class Tasks(Named[Task]):
    """The tasks that this process has declared, by name.

    Attributes:
        limits: Those of the tasks that have some.
    """

    def __init__(self, beside: Mapping[str, Task] | None = None) -> None:
        """Start with none."""
        super().__init__(beside)
        self.limits: dict[str, Limits] = {}

    def add(self, task: Task) -> None:
        """See `Named.add`."""
        super().add(task)
        self.limits.pop(task.name, None)
        if task.limits != NO_LIMITS:
            self.limits[task.name] = task.limits

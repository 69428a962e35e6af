"""An exception of another process: told there, and raised here as one of the same type.

No exception is unpickled. What it is like is told by the names of its type and its bases, which
are looked up among what is imported here already; what is not here is taken for its base.
"""

from __future__ import annotations

import asyncio
import builtins
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ._wire import Failure

RAISED = (Exception, SystemExit, asyncio.CancelledError)
NOT_RAISED = (StopIteration, StopAsyncIteration)  # which a coroutine cannot raise
PLAIN = (str, int, float, bool, type(None))
NO_NAMES: Mapping[str, str] = MappingProxyType({})


class Remote(BaseException):
    """What every exception of another process is besides its own type.

    Attributes:
        trace: The traceback as it was shown there.
    """

    trace: str


class _RemoteTrace(Exception):
    """The cause of such an exception, for those who print it."""


def described(error: BaseException, trace: str) -> Failure:
    """An exception as it is told to another process."""
    types = [kind for kind in type(error).__mro__ if issubclass(kind, BaseException)]
    try:
        text = str(error)
    except Exception as unspeakable:  # noqa: BLE001  # whatever their `__str__` does
        text = f"<{type(error).__name__} that cannot be shown: {type(unspeakable).__name__}>"
    return Failure(
        kinds=[(kind.__module__, kind.__qualname__) for kind in types],
        args=[value if isinstance(value, PLAIN) else ascii(type(value)) for value in error.args],
        state={k: v for k, v in vars(error).items() if isinstance(v, PLAIN)},
        text=text,
        trace=trace,
    )


def rebuilt(failure: Failure, names: Mapping[str, str] = NO_NAMES) -> BaseException:
    """The exception that was told of, without its traceback, which it shows as its cause.

    Args:
        names: Under which name a module is known here that has another one there.
    """
    for module, name in failure.kinds:
        kind = _type(names.get(module, module), name)
        if kind is not None:
            try:
                return _made(kind, failure.args, failure.state, failure.text, failure.trace)
            except (TypeError, ValueError):  # it wants what JSON does not have; its base may not
                continue
    return _made(Exception, failure.args, failure.state, failure.text, failure.trace)


def ended(kind: type[BaseException], text: str, trace: str = "") -> BaseException:
    """An exception for what ended another process, with what is known of it from there."""
    line = f"{kind.__name__}: {text}"
    return _made(kind, [text], {}, text, f"{trace.rstrip()}\n{line}" if trace else line)


def _made(
    kind: type[BaseException], args: Sequence[Any], state: Mapping[str, Any], text: str, trace: str
) -> BaseException:
    mixed = type(
        kind.__name__,
        (kind, Remote),
        {
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__str__": lambda self: text,
        },
    )
    error: BaseException = mixed.__new__(mixed, *args)  # not its own `__init__`, which may act
    vars(error).update(state)
    error.trace = trace  # type: ignore[attr-defined]  # a Remote has one
    error.__cause__ = _RemoteTrace(f"\n{trace}")
    return error


def _type(module: str, name: str) -> type[BaseException] | None:
    there = builtins if module == "builtins" else sys.modules.get(module)
    found: Any = there
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or not issubclass(found, RAISED):
        return None  # such as KeyboardInterrupt, which would end more here than one job
    return None if issubclass(found, NOT_RAISED) else found

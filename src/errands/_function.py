"""A function as users hand it over: what it is called, what kind it is, whether two are one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from ._reference import module_of


def called(function: Any) -> Callable[..., Any]:
    """The function itself, if it is one.

    Raises:
        TypeError: if it was called already, or cannot be.
    """
    if inspect.iscoroutine(function):
        function.close()  # or Python would warn that nobody awaited it
        name = function.__name__
        raise TypeError(f"add_task({name}(…)) calls {name} at once: write add_task({name}, …)")
    if not callable(function):
        raise TypeError(f"add_task({function!r}): expected a function, and then its arguments")
    return function  # type: ignore[no-any-return]  # callable() says no more


def is_async(function: Callable[..., Any]) -> bool:
    """Whether to call `function` makes a coroutine, also through partials and `__call__`."""
    if type(function) is FunctionType and function.__code__.co_flags & inspect.CO_COROUTINE:
        return True  # nearly always, and ten times as quick
    while isinstance(function, partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return True
    return inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # its kind is asked for


def awaited_by_itself(task: str, value: Any) -> Any:
    """What a plain function returned, unless it is a coroutine: then it has not run yet.

    Raises:
        TypeError: naming the task.
    """
    if inspect.iscoroutine(value):
        value.close()  # or Python would warn that nobody awaited it
        raise TypeError(
            f"{task} returned a coroutine and is no `async def`, so that nobody awaits it: "
            "make it one, or the decorator around it"
        )
    return value


def name_of(function: Callable[..., Any]) -> str:
    """The name that a function's task has if no other is given: module and qualified name.

    A module that is run as a program has the name that it would be imported under, so that
    `python main.py` and `uvicorn main:app` mean the same task.

    Raises:
        ValueError: if the function is a lambda or has no name.
    """
    name = getattr(function, "__qualname__", None)
    if name is None or name.endswith("<lambda>"):
        raise ValueError(f"{function!r} has no name of its own: declare it with name=…")
    return f"{module_of(function.__module__)}.{name}"


def is_same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions are one that was defined twice: by an import, a factory, a cell."""
    if one == other:
        return True
    code, again = _code(one), _code(other)
    if code is None or again is None:
        return False
    where, anew = Path(code.co_filename).name, Path(again.co_filename).name
    if _is_interactive(code.co_filename) and _is_interactive(again.co_filename):
        return True
    return (where, code.co_firstlineno) == (anew, again.co_firstlineno)


def place_of(function: Callable[..., Any]) -> str:
    """Where it was written: file and line, if that is known."""
    code = _code(function)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def _is_interactive(filename: str) -> bool:
    return filename.startswith("<") or "ipykernel" in filename


def _code(function: Callable[..., Any]) -> CodeType | None:
    return getattr(inspect.unwrap(function), "__code__", None)

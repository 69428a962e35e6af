"""A reference: where another interpreter finds a function. A name and a file, never a pickle."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from .errors import SetupError

PROGRAMS = ("__main__", "__mp_main__")  # the latter: a process that uvicorn --reload made
SPARE = "__errands_main__"  # for a program whose own name another module has


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a function is found.

    Attributes:
        module: The module to import.
        name: Where the function is in there; the names of classes may stand before its own.
        file: The file of a program, which may be in no folder that modules are imported from.
        depth: How many decorators, which tell by `__wrapped__`, are around it there.
    """

    module: str
    name: str
    file: str | None = None
    depth: int = 0

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Reference:
        """The reference of a function that `require_name` has nothing against.

        Raises:
            SetupError: if its module has another thing under its name.
        """
        found = _named(sys.modules.get(function.__module__), function.__qualname__)
        module, depth = _spec(sys.modules.get(function.__module__)) or function.__module__, 0
        while not _is_one(found, function):
            if not hasattr(found, "__wrapped__"):
                raise SetupError(
                    f"{module}.{function.__qualname__} is another thing than the task that was "
                    'declared from it, so a process cannot find it. With run="process" a function '
                    "keeps its name, and decorators around it use functools.wraps."
                )
            found, depth = found.__wrapped__, depth + 1
        if module not in PROGRAMS:
            return cls(module, function.__qualname__, None, depth)
        file = str(Path(str(sys.modules[module].__file__)).resolve())
        return cls(module_of(module), function.__qualname__, file, depth)

    def find(self) -> Callable[..., Any]:
        """The function, once its module is imported.

        Raises:
            SetupError: if the module has no such function.
        """
        found = _named(self.load(), self.name)
        for _ in range(self.depth):
            found = getattr(found, "__wrapped__", None)
        if not callable(found):
            raise SetupError(
                f"{self.module} has no function {self.name} in a process of its own: is it "
                'defined under a condition, such as `if __name__ == "__main__":`?'
            )
        return found  # type: ignore[no-any-return]  # callable() says no more

    def load(self) -> ModuleType:
        """The module, imported if it is not yet."""
        if self.file is None:
            return importlib.import_module(self.module)
        there = sys.modules.get(self.module)
        name = self.module if there is None or _is_at(there, self.file) else SPARE
        return sys.modules.get(name) or _loaded(name, self.file)


def require_name(function: Callable[..., Any]) -> None:
    """Refuse a function that another interpreter could never find.

    Raises:
        TypeError: if it is no function, but a method, a partial or an object.
        ValueError: if it is a lambda, defined in another function, or typed in a shell.
    """
    is_function = isinstance(function, (FunctionType, BuiltinFunctionType))
    if not is_function or not isinstance(function.__module__, str):
        raise TypeError(
            f'run="process" with {function!r}: a process finds functions by their names, and '
            "this is none. Write a `def` at the top of a module."
        )
    name = function.__qualname__
    if "<lambda>" in name or "<locals>" in name:
        what = "a lambda" if name.endswith("<lambda>") else f"{name}, which is inside of another,"
        raise ValueError(
            f'run="process" with {what} cannot work: a process imports the function by its '
            "name. Write a `def` at the top of a module."
        )
    module = sys.modules.get(function.__module__)
    if function.__module__ in PROGRAMS and _spec(module) is None and not _file(module):
        raise ValueError(
            f'run="process" with {name}, typed in a shell or a notebook: a process imports the '
            "function by its name. Write it into a module."
        )


def module_of(name: str) -> str:
    """The name of a module; of one that is run as a program, what it would be imported as.

    So that `python main.py` and `uvicorn main:app` mean the same.
    """
    if name not in PROGRAMS:
        return name
    module = sys.modules.get(name)
    if spec := _spec(module):
        return spec.removesuffix(".__main__")
    file = _file(module)
    return Path(file).stem if file else name


def _spec(module: ModuleType | None) -> str | None:
    spec = getattr(module, "__spec__", None)
    return None if spec is None else str(spec.name)


def _file(module: ModuleType | None) -> str | None:
    file = getattr(module, "__file__", None)
    return None if file is None or str(file).startswith("<") else str(file)


def _named(module: ModuleType | None, name: str) -> Any:
    return reduce(lambda found, part: getattr(found, part, None), name.split("."), module)


def _is_one(found: Any, function: Callable[..., Any]) -> bool:
    """Whether both are one, or one that was defined anew."""
    code = getattr(function, "__code__", None)
    return found is function or (code is not None and getattr(found, "__code__", None) == code)


def _is_at(module: ModuleType, file: str) -> bool:
    there = _file(module)
    return there is not None and Path(there).resolve() == Path(file)


def _loaded(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SetupError(f"{file} cannot be imported, since it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module

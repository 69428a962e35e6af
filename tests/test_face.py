"""What a user imports: whole, documented and light."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import errands
from errands import errors

HEAVY = (
    "starlette",
    "fastapi",
    "fasthtml",
    "fastcore",
    "uvicorn",
    "apsw",
    "sqlite3",
    "pytest",
    "click",
)
DOORS = ("errands.asgi", "errands.starlette", "errands.fastapi", "errands.fasthtml")


def modules() -> Iterator[ModuleType]:
    yield errands
    for found in pkgutil.walk_packages(errands.__path__, "errands."):
        yield importlib.import_module(found.name)


def public(holder: Any, module: str) -> Iterator[tuple[str, Any]]:
    """The functions and classes that `module` defines, and their public methods."""
    for name, value in vars(holder).items():
        if name.startswith("_"):
            continue
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(function) and function.__module__ == module:
            yield function.__qualname__, function
        elif inspect.isclass(value) and value.__module__ == module:
            yield value.__qualname__, value
            yield from public(value, module)


def imported_by(statement: str) -> set[str]:
    """The heavy modules that a fresh interpreter has after `statement`."""
    code = f"import sys; {statement}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return set(HEAVY) & {name.partition(".")[0] for name in answer.stdout.split()}


def test_the_face_is_sorted_and_importable() -> None:
    """Every name of it."""
    assert sorted(errands.__all__) == errands.__all__
    assert [] == [name for name in errands.__all__ if not hasattr(errands, name)]


def test_the_face_hides_nothing_that_it_shows() -> None:
    """What stands there without an underscore is in the list, or a module of ours."""
    shown = {
        name
        for name, value in vars(errands).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert shown == set(errands.__all__)


@pytest.mark.parametrize("door", [*DOORS, "errands.cli", "errands.testing"])
def test_a_door_shows_what_it_lists(door: str) -> None:
    """Sorted, too."""
    module = importlib.import_module(door)
    names = list(getattr(module, "__all__", ()))

    assert sorted(names) == names
    assert [] == [name for name in names if not hasattr(module, name)]


def test_every_module_says_what_lives_there() -> None:
    """In a sentence."""
    assert [] == [module.__name__ for module in modules() if not (module.__doc__ or "").strip()]


def test_every_public_name_is_documented() -> None:
    """Functions, classes, methods and properties."""
    bare = [
        f"{module.__name__}.{name}"
        for module in modules()
        for name, value in public(module, module.__name__)
        if not (value.__doc__ or "").strip()
    ]
    assert [] == bare


def test_every_error_is_ours_and_drawn_in_the_tree() -> None:
    """A caller can catch them all, and find each in the docstring."""
    kinds = [kind for _, kind in public(errors, errors.__name__) if inspect.isclass(kind)]

    assert 10 < len(kinds)
    assert [] == [kind for kind in kinds if not issubclass(kind, errors.ErrandsError)]
    tree = (errors.__doc__ or "").split()
    assert [] == [kind for kind in kinds if kind.__name__ not in tree]


@pytest.mark.slow
def test_to_import_errands_is_cheap() -> None:
    """No framework, no driver and no test tool comes with it."""
    assert set() == imported_by("import errands")


@pytest.mark.slow
def test_the_asgi_door_needs_no_framework() -> None:
    """It serves any of them."""
    assert set() == imported_by("import errands.asgi")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("door", "brings"),
    [
        ("errands.starlette", {"starlette"}),
        ("errands.fastapi", {"starlette", "fastapi"}),
        ("errands.fasthtml", {"starlette", "fasthtml", "fastcore"}),
        ("errands.dashboard", {"starlette"}),
    ],
)
def test_a_door_brings_its_own_framework_and_no_other(door: str, brings: set[str]) -> None:
    """Nobody has to install one that is not used."""
    frameworks = {"starlette", "fastapi", "fasthtml", "fastcore"}

    assert set() == (imported_by(f"import {door}") & frameworks) - brings
    assert set() == imported_by(f"import {door}") & {"apsw"}


@pytest.mark.slow
def test_to_make_the_object_touches_nothing() -> None:
    """No file, no thread, no driver's connection, before it is opened."""
    statement = (
        "import errands, os, threading; errands.Errands('sqlite:///none.db'); "
        "assert not os.path.exists('none.db'); assert threading.active_count() == 1"
    )
    assert {"apsw"} >= imported_by(statement)

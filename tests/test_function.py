"""Functions as users hand them over: their names, and whether they are coroutine functions."""

from __future__ import annotations

import sys
from functools import partial, wraps
from types import ModuleType
from typing import Any

import pytest
from compiled_modules import SOURCE, compiled

from errands._function import is_async, name_of


def test_a_task_is_named_after_module_and_function() -> None:
    """The name survives a restart, as stored jobs must."""

    def inner() -> None: ...

    assert f"{__name__}.test_a_task_is_named_after_module_and_function.<locals>.inner" == (
        name_of(inner)
    )
    assert "compiled_modules.compiled" == name_of(compiled)


@pytest.mark.parametrize("main", ["__main__", "__mp_main__"])
def test_a_program_has_the_name_it_would_be_imported_under(
    main: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python shop.py` and `uvicorn shop:app` mean the same task."""
    module = ModuleType(main)
    module.__file__ = "somewhere/shop.py"
    monkeypatch.setitem(sys.modules, main, module)

    assert "shop.work" == name_of(compiled(SOURCE, "somewhere/shop.py", main))


def test_a_package_that_is_run_has_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m shop.jobs` is `shop.jobs`, and `python -m shop` is `shop`."""
    from importlib.machinery import ModuleSpec

    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    module.__spec__ = ModuleSpec("shop.jobs", None)
    assert "shop.jobs.work" == name_of(compiled(SOURCE, "jobs.py", "__main__"))

    module.__spec__ = ModuleSpec("shop.__main__", None)
    assert "shop.work" == name_of(compiled(SOURCE, "__main__.py", "__main__"))


def test_what_is_typed_at_a_prompt_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its name is that of the module."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))

    assert "__main__.work" == name_of(compiled(SOURCE, "<stdin>", "__main__"))


def test_a_coroutine_function_is_known_through_what_wraps_it() -> None:
    """A partial, a decorator, an object that is called."""

    async def work() -> None: ...

    @wraps(work)
    async def wrapper() -> None: ...

    class Caller:
        async def __call__(self) -> None: ...

    class Plain:
        def __call__(self) -> None: ...

    waiting: list[Any] = [
        work,
        partial(work),
        partial(partial(work)),
        wrapper,
        Caller(),
        partial(Caller()),
    ]
    assert [True] * 6 == [is_async(function) for function in waiting]
    plain: list[Any] = [print, partial(print), Plain(), lambda: None]
    assert [False] * 4 == [is_async(function) for function in plain]

"""The target: finds the `Errands` object that `module:name` stands for."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, TypeVar

import click

from errands import Errands

T = TypeVar("T")


def find_errands(target: str, app_dir: Path, *, is_factory: bool) -> Errands:
    """The `Errands` object at `module:name`.

    Args:
        target: `module:name`, where the name may have dots.
        app_dir: Where the module is looked for first.
        is_factory: What has the name is to be called, and makes it.

    Raises:
        click.ClickException: that says what is wrong, and what to write instead.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise click.UsageError(f"{target!r}: write module:name, as in app.main:errands")
    sys.path.insert(0, str(app_dir))
    module = _module(module_name, target, app_dir)
    found = _named(module, name, target)
    if is_factory:
        if not callable(found):
            raise click.ClickException(f"{target!r} is no function: leave out --factory")
        found = _theirs(found, f"{name}() of {module_name!r} failed")
    errands = _errands_of(found)
    if errands is not None:
        return errands
    what = f"{target!r} {'makes' if is_factory else 'is'} {_kind(found)}"
    if callable(found) and not isinstance(found, type) and not hasattr(found, "state"):
        raise click.ClickException(f"{what}. If it makes the Errands object, add --factory.")
    raise click.ClickException(
        f"{what}, neither an Errands object nor an application that setup_errands was called "
        f"for.{_others(module, module_name)}"
    )


def _module(name: str, target: str, app_dir: Path) -> ModuleType:
    if _is_there(name):
        return _theirs(lambda: importlib.import_module(name), _unimportable(name))
    hint = "If it is elsewhere, say so with --app-dir."
    if name.endswith(".py"):
        hint = f"Write {name[:-3].replace('/', '.')}:{target.partition(':')[2]}."
    raise click.ClickException(f"{target!r}: there is no module {name!r} in {app_dir}. {hint}")


def _is_there(name: str) -> bool:
    """Whether there is such a module; to see that, the packages above it are imported."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):  # a package above it is missing
            return False
        _show(error)
    except Exception as error:  # noqa: BLE001  # whatever a package raises; it is shown
        _show(error)
    raise click.ClickException(f"{_unimportable(name)}: see above")


def _unimportable(name: str) -> str:
    return f"{name!r} cannot be imported"


def _named(module: ModuleType, name: str, target: str) -> Any:
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise click.ClickException(
                f"{target!r}: {module.__name__!r} has no {name!r}.{_others(module)}"
            ) from None
    return found


def _theirs(call: Callable[[], T], what: str) -> T:
    """What their code answers; if it raises, its own traceback is shown, without ours."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # whatever it is; it is shown
        _show(error)
        raise click.ClickException(f"{what}: see above") from None


def _show(error: Exception) -> None:
    trace = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    click.echo("".join(traceback.format_exception(error.with_traceback(trace))), err=True, nl=False)


def _is_ours(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file == __file__ or file.startswith("<frozen importlib") or "/importlib/" in file


def _errands_of(found: Any) -> Errands | None:
    if isinstance(found, Errands):
        return found
    within = getattr(getattr(found, "state", None), "errands", None)
    return within if isinstance(within, Errands) else None


def _kind(found: Any) -> str:
    if isinstance(found, type):
        return f"the class {found.__name__}"
    kind = type(found).__name__
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"


def _others(module: ModuleType, name: str | None = None) -> str:
    there = [key for key, value in vars(module).items() if _errands_of(value) is not None]
    names = " or ".join(f"{name or module.__name__}:{key}" for key in there)
    return f" Try {names}." if there else ""

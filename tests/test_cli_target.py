"""What `module:name` stands for, and what is said where it stands for nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from errands import Errands
from errands.cli._target import find_errands

SITE = """
from types import SimpleNamespace
from errands import Errands

mine = Errands("memory:")
app = SimpleNamespace(state=SimpleNamespace(errands=mine))
bare = SimpleNamespace(state=SimpleNamespace())
number = 7

def make():
    return mine

def make_app():
    return app

def fail():
    raise LookupError("not today")

def wrong():
    return 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules, which are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "site.py").write_text(SITE)
    (tmp_path / "shop" / "hungry.py").write_text("def eat():\n    import nosuchfood\n\neat()\n")
    (tmp_path / "shop" / "wrong.py").write_text("a = = 1\n")
    (tmp_path / "ill").mkdir()
    (tmp_path / "ill" / "__init__.py").write_text("1 / 0")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def told(target: str, folder: Path, *, is_factory: bool = False) -> str:
    """Why there is no `Errands` object."""
    with pytest.raises(click.ClickException) as refusal:
        find_errands(target, folder, is_factory=is_factory)
    return refusal.value.message


@pytest.mark.parametrize(
    ("target", "is_factory"),
    [
        ("shop.site:mine", False),
        ("shop.site:app", False),
        ("shop.site:app.state.errands", False),
        ("shop.site:make", True),
        ("shop.site:make_app", True),
    ],
)
def test_it_is_found(folder: Path, target: str, is_factory: bool) -> None:
    """By itself, by the application that has it, or made by a function."""
    found = find_errands(target, folder, is_factory=is_factory)

    assert isinstance(found, Errands)
    assert sys.modules["shop.site"].mine is found


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("shop.site", "'shop.site': write module:name, as in app.main:errands"),
        (":mine", "':mine': write module:name, as in app.main:errands"),
        ("nosuch:x", "'nosuch:x': there is no module 'nosuch' in {}. If it is elsewhere, say so"),
        ("shop.nosuch:x", "'shop.nosuch:x': there is no module 'shop.nosuch' in {}. If it is"),
        ("nosuch.site:x", "'nosuch.site:x': there is no module 'nosuch.site' in {}. If it is"),
        (".site:x", "'.site:x': there is no module '.site' in {}. If it is elsewhere"),
        ("shop/site.py:mine", "no module 'shop/site.py' in {}. Write shop.site:mine."),
        (
            "shop.site:nosuch",
            "'shop.site:nosuch': 'shop.site' has no 'nosuch'. Try shop.site:mine or shop.site:app.",
        ),
        ("shop.site:app.nosuch", "'shop.site:app.nosuch': 'shop.site' has no 'app.nosuch'."),
        (
            "shop.site:number",
            "'shop.site:number' is an int, neither an Errands object nor an application that "
            "setup_errands was called for. Try shop.site:mine or shop.site:app.",
        ),
        ("shop.site:bare", "'shop.site:bare' is a SimpleNamespace, neither an Errands object"),
        ("shop.site:Errands", "'shop.site:Errands' is the class Errands, neither"),
        (
            "shop.site:make",
            "'shop.site:make' is a function. If it makes the Errands object, add --factory.",
        ),
    ],
)
def test_what_is_wrong_is_said(folder: Path, target: str, says: str) -> None:
    """With what to write instead."""
    assert says.format(folder) in told(target, folder)


def test_a_factory_is_a_function_that_makes_one(folder: Path) -> None:
    """Anything else is named."""
    no_function = told("shop.site:number", folder, is_factory=True)
    no_errands = told("shop.site:wrong", folder, is_factory=True)

    assert "'shop.site:number' is no function: leave out --factory" == no_function
    assert "'shop.site:wrong' makes an int, neither an Errands object" in no_errands


@pytest.mark.parametrize(
    ("target", "is_factory", "last_line"),
    [
        ("shop.hungry:x", False, "ModuleNotFoundError: No module named 'nosuchfood'"),
        ("shop.wrong:x", False, "SyntaxError: invalid syntax"),
        ("ill.site:x", False, "ZeroDivisionError: division by zero"),
        ("ill:x", False, "ZeroDivisionError: division by zero"),
        ("shop.site:fail", True, "LookupError: not today"),
    ],
)
def test_what_fails_in_their_code_is_shown_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], target: str, is_factory: bool, last_line: str
) -> None:
    """The traceback begins in their file: how we got there is nobody's concern."""
    message = told(target, folder, is_factory=is_factory)
    shown = capsys.readouterr().err

    assert message.endswith(": see above")
    assert last_line == shown.splitlines()[-1]
    assert "_target.py" not in shown
    assert "importlib" not in shown
    assert str(folder) in shown

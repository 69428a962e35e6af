"""A task: a function, its policy and its name."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from types import ModuleType
from typing import Any

import pytest
from compiled_modules import SOURCE, compiled

from errands import Errands, Retry
from errands._function import name_of
from errands._task import Task, Tasks
from errands.errors import DuplicateTask, UnknownTask


@pytest.fixture
def app() -> Errands:
    return Errands("memory:")


def test_a_declared_function_stays_itself(app: Errands) -> None:
    """It can be called as before, with or without a policy."""

    def double(n: int) -> int:
        return 2 * n

    assert app.task(double) is double
    assert 6 == double(3)

    @app.task(name="twice", queue="q", retry=Retry(attempts=3), timeout=5)
    def twice(n: int) -> int:
        return 2 * n

    assert 8 == twice(4)


@pytest.mark.parametrize("nameless", [lambda: None, partial(print)])
def test_what_has_no_name_needs_one(app: Errands, nameless: Callable[[], None]) -> None:
    """A lambda and a partial say nothing that could be stored; with `name=` they are tasks."""
    with pytest.raises(ValueError, match=r"has no name of its own: declare it with name=…"):
        app.task(nameless)
    assert nameless is app.task(name="mine")(nameless)


@pytest.mark.parametrize("wrong", [3, "work", None])
def test_what_cannot_be_called_is_no_task(app: Errands, wrong: Any) -> None:
    """Said at once."""
    with pytest.raises(TypeError, match="a task is a function, not"):
        app.task(name="t")(wrong)


def test_a_coroutine_is_no_task(app: Errands, recwarn: pytest.WarningsRecorder) -> None:
    """As in `errands.task(work())`: the function was called already."""

    async def work() -> None: ...

    coroutine: Any = work()
    try:
        with pytest.raises(TypeError):
            app.task(coroutine)
    finally:
        coroutine.close()


def test_two_functions_under_one_name_are_refused(app: Errands) -> None:
    """The message says where both are, and what to do."""

    @app.task(name="mail")
    def first() -> None: ...

    def second() -> None: ...

    with pytest.raises(DuplicateTask, match="two tasks are named 'mail'") as refusal:
        app.task(name="mail")(second)
    message = str(refusal.value)
    assert 2 == message.count("test_task.py:")
    assert "name=" in message
    assert isinstance(refusal.value, ValueError)


def test_two_modules_with_functions_of_one_name_do_not_meet(app: Errands) -> None:
    """The module is part of the name."""
    app.task(compiled(SOURCE, "a.py", "a"))
    app.task(compiled(SOURCE, "b.py", "b"))


def test_the_same_function_declared_again_replaces_itself(app: Errands) -> None:
    """The last policy counts."""

    def work() -> None: ...

    app.task(work)
    assert work is app.task(queue="q")(work)


def test_a_module_that_is_imported_twice_declares_the_same_task() -> None:
    """FastHTML does that; each of the two functions may be added."""
    tasks = Tasks()
    one, two = (compiled(SOURCE, "/srv/shop.py", "shop") for _ in range(2))
    tasks.add(Task(name="shop.work", function=one))
    tasks.add(Task(name="shop.work", function=two))

    assert one is not two
    assert two is tasks["shop.work"].function
    assert tasks["shop.work"] is tasks.of(one) is tasks.of(two)


def test_a_module_that_is_imported_under_two_names_declares_the_same_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`python shop.py` which is imported again as `shop`."""
    module = ModuleType("__main__")
    module.__file__ = "/srv/shop.py"
    monkeypatch.setitem(sys.modules, "__main__", module)
    tasks = Tasks()
    for name in ("__main__", "shop"):
        function = compiled(SOURCE, "/srv/shop.py", name)
        tasks.add(Task(name=name_of(function), function=function))

    assert ["shop.work"] == list(tasks)


def test_a_factory_that_is_called_twice_declares_the_same_task(app: Errands) -> None:
    """Its function is made anew each time, on the same line."""

    def factory() -> None:
        @app.task
        def work() -> None: ...

    factory()
    factory()


@pytest.mark.parametrize("filename", ["<ipython-input-{}>", "/tmp/ipykernel_1/{}.py", "<stdin>"])
def test_a_notebook_cell_that_is_run_again_replaces_its_task(filename: str) -> None:
    """Although its lines have moved, and it is another function by now."""
    tasks = Tasks()
    for n in (1, 2):
        source = "\n" * n + SOURCE
        function = compiled(source, filename.format(n), "__main__")
        tasks.add(Task(name="work", function=function))

    assert 2 == tasks["work"].function.__code__.co_firstlineno - 1


def test_a_wrapped_function_declared_again_replaces_itself(app: Errands) -> None:
    """A decorator between makes two wrappers of one function."""

    def logged(function: Callable[[], None]) -> Callable[[], None]:
        @wraps(function)
        def wrapper() -> None:
            function()

        return wrapper

    def factory() -> None:
        @app.task
        @logged
        def work() -> None: ...

    factory()
    factory()


def test_an_unknown_name_says_which_ones_there_are() -> None:
    """Whoever looks for it sees what is declared."""
    tasks = Tasks()
    with pytest.raises(UnknownTask, match=r"no task is named 'mail'\. Declared here: none\."):
        tasks["mail"]
    tasks.add(Task(name="post", function=print))
    with pytest.raises(UnknownTask, match=r"Declared here: post\."):
        tasks["mail"]


def test_a_callable_without_a_hash_was_never_declared() -> None:
    """To ask for it is no error."""

    class Odd:
        __hash__ = None  # type: ignore[assignment]  # the case

        def __call__(self) -> None: ...

    assert None is Tasks().of(Odd())


@pytest.mark.parametrize(
    ("policy", "error", "words"),
    [
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"timeout": -1}, ValueError, "timeout=-1"),
        ({"timeout": float("nan")}, ValueError, "timeout=nan"),
        ({"timeout": "60"}, TypeError, "'60' is no length of time"),
        ({"timeout": (1, 2, 3)}, ValueError, r"timeout=\(1, 2, 3\)"),
        ({"priority": "high"}, ValueError, "priority='high'"),
        ({"priority": 2**63}, ValueError, "priority=9223372036854775808"),
        ({"queue": ""}, ValueError, "needs a name and a queue"),
        ({"queue": 5}, ValueError, "needs a name and a queue"),
        ({"queue": "a\0b"}, ValueError, "needs a name and a queue"),
        ({"name": 5}, ValueError, "needs a name and a queue"),
        ({"retry": 3}, TypeError, "Retry"),
    ],
)
def test_a_policy_that_could_never_be_meant_is_refused(
    app: Errands, policy: dict[str, Any], error: type[Exception], words: str
) -> None:
    """When the task is declared."""

    def work() -> None: ...

    with pytest.raises(error, match=words):
        app.task(**policy)(work)


def test_a_generator_is_no_task(app: Errands) -> None:
    """To call one runs nothing of it, and its jobs would be done without having run."""

    def plain() -> Iterator[int]:
        yield 1

    async def coroutine() -> AsyncIterator[int]:
        yield 1

    for generator in (plain, coroutine):
        with pytest.raises(TypeError, match=r"is a generator, .* drop its yield"):
            app.task(generator)


def test_a_method_may_be_a_task(app: Errands) -> None:
    """A bound one knows its object."""

    class Mailer:
        def send(self, to: str) -> str:
            return to

    mailer = Mailer()
    app.task(name="send")(mailer.send)
    assert "ann" == mailer.send("ann")

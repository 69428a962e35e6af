"""What goes into a job comes out of it: arguments and results as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel

from errands._codec import Codec
from errands.errors import NotSerializable

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


class Person(BaseModel):
    name: str
    born: date
    score: float | None = None


class Loose(BaseModel):
    extra: dict[str, Any]


class Point(msgspec.Struct):
    x: float
    y: float | None = None


class Pair(NamedTuple):
    number: int
    when: datetime


class Row(TypedDict):
    number: int
    price: Decimal


@dataclass
class Spot:
    x: float
    y: float | None = None


@dataclass
class Bag:
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Family:
    people: list[Person]
    home: Path | None = None
    spots: dict[str, Spot] = field(default_factory=dict)


ANN = Person(name="Ann", born=date(2000, 1, 2))


def taking(kind: Any) -> Callable[..., Any]:
    """A function of one parameter that is annotated with `kind`."""

    def function(value: Any) -> Any:
        return value

    function.__annotations__ = {"value": kind}
    return function


def returning(kind: Any) -> Callable[..., Any]:
    """A function whose return annotation is `kind`."""

    def function() -> Any:
        return None

    function.__annotations__ = {"return": kind}
    return function


def there_and_back(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `function` returns when it is called with what a store would give back."""
    codec = Codec(function, "mail")
    args_again, kwargs_again = codec.load(codec.dump(args, kwargs))
    return function(*args_again, **kwargs_again)


KINDS: list[tuple[Any, Any]] = [
    (str, "ü ☃ \n \x00 '\""),
    (int, 2**70),
    (float, 0.1),
    (bool, True),
    (datetime, MOMENT),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, 6)),  # noqa: DTZ001  # a naive one stays naive
    (date, date(2026, 1, 2)),
    (time, time(1, 2, 3)),
    (timedelta, timedelta(days=1, microseconds=2)),
    (UUID, ID),
    (Decimal, Decimal("1.10")),
    (bytes, b"\x00\xff"),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (Word, Word.YES),
    (Literal["a", "b"], "a"),
    (Path, Path("a/b")),
    (PurePosixPath, PurePosixPath("/a")),
    (Spot, Spot(1.5, None)),
    (Point, Point(1.5, 2.5)),
    (Person, ANN),
    (Pair, Pair(1, MOMENT)),
    (Row, {"number": 1, "price": Decimal("2.50")}),
    (Family, Family([ANN], Path("home"), {"a": Spot(1.0)})),
    (list[datetime], [MOMENT]),
    (list[Person], [ANN, ANN]),
    (list[bytes], [b"a", b""]),
    (dict[str, list[Path]], {"a": [Path("b"), Path("c")]}),
    (dict[str, dict[str, Decimal]], {"a": {"b": Decimal("1.0")}}),
    (dict[int, str], {1: "a"}),
    (dict[UUID, int], {ID: 1}),
    (dict[Colour, int], {Colour.BLUE: 1}),
    (set[int], {1, 2}),
    (frozenset[UUID], frozenset({ID})),
    (tuple[int, datetime], (1, MOMENT)),
    (tuple[Spot, ...], (Spot(1.0), Spot(2.0))),
    (Person | None, None),
    (Person | None, ANN),
    (list[Spot | None], [None, Spot(1.0)]),
    (Path | None, Path("x")),
    (Any, {"a": [1, 1.5, "b", None, True, {"c": []}]}),
    (object, {"a": [1, 1.5, "b", None, True]}),
    (list, [1, "a", None]),
    (dict, {"a": [1]}),
    (dict[str, Any], {"a": [1]}),
    (dict[str, object], {"a": [1]}),
]


@pytest.mark.parametrize(("kind", "value"), KINDS, ids=lambda case: str(case)[:40])
def test_an_argument_comes_back_as_its_annotation_says(kind: Any, value: Any) -> None:
    """With its type, also within lists and dictionaries."""
    again = there_and_back(taking(kind), value)

    assert value == again
    assert type(value) is type(again)


@pytest.mark.parametrize(("kind", "value"), KINDS, ids=lambda case: str(case)[:40])
def test_a_result_comes_back_as_the_return_annotation_says(kind: Any, value: Any) -> None:
    """A result knows all that an argument knows."""
    codec = Codec(returning(kind), "mail")
    again = codec.load_result(codec.dump_result(value))

    assert value == again
    assert type(value) is type(again)


def test_nested_values_keep_their_types() -> None:
    """A model within a dataclass, a path within that, a dataclass in a dictionary."""
    again = there_and_back(taking(Family), Family([ANN], Path("home"), {"a": Spot(1.0)}))

    assert (Person, date) == (type(again.people[0]), type(again.people[0].born))
    assert isinstance(again.home, Path)
    assert isinstance(again.spots["a"], Spot)


# Signatures


def test_every_kind_of_parameter_comes_back_in_its_place() -> None:
    """Positional-only, plain, many, keyword-only and named ones."""

    def function(
        a: int, b: date, /, c: Path, *many: datetime, d: Decimal = Decimal(1), **named: UUID
    ) -> tuple[Any, ...]:
        return a, b, c, many, d, named

    expected = (1, date(2026, 1, 1), Path("p"), (MOMENT, MOMENT), Decimal("2.5"), {"x": ID})
    day = date(2026, 1, 1)
    actual = there_and_back(function, 1, day, Path("p"), MOMENT, MOMENT, d=Decimal("2.5"), x=ID)
    assert expected == actual
    assert (1, day, Path("p"), (), Decimal(1), {}) == there_and_back(function, 1, day, c=Path("p"))


def test_a_default_is_the_functions_own() -> None:
    """What was not passed is not stored, so that a new default counts for old jobs."""

    def function(a: int, b: Path = Path("old"), *, c: int = 3) -> Any:
        return a, b, c

    assert (1, Path("old"), 3) == there_and_back(function, 1)
    assert (1, Path("old"), 4) == there_and_back(function, 1, c=4)
    assert {"a": 1} == json.loads(Codec(function, "mail").dump((1,), {}))


def test_a_default_of_another_type_than_the_annotation_is_left_alone() -> None:
    """As in `size: int = None`, which many write."""

    def function(size: int = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013  # as it is written
        return size

    assert None is there_and_back(function)
    assert 3 == there_and_back(function, 3)


def test_positional_only_parameters_may_be_left_out_from_behind() -> None:
    """And what follows by keyword still arrives."""

    def function(a: int = 1, b: int = 2, /, *, c: int = 3) -> Any:
        return a, b, c

    assert (1, 2, 3) == there_and_back(function)
    assert (5, 2, 3) == there_and_back(function, 5)
    assert (5, 2, 9) == there_and_back(function, 5, c=9)


def test_a_parameter_in_the_middle_may_be_left_out() -> None:
    """Next to `*args`-less positional-only ones the rest goes by keyword."""

    def function(a: int, /, b: int = 2, c: int = 3) -> Any:
        return a, b, c

    assert (1, 2, 9) == there_and_back(function, 1, c=9)


def test_named_arguments_may_have_the_name_of_a_positional_only_one() -> None:
    """Python allows `f(1, a=2)` for `def f(a, /, **named)`."""

    def function(a: int, /, **named: int) -> Any:
        return a, named

    assert (1, {"a": 2}) == there_and_back(function, 1, a=2)


@pytest.mark.parametrize("name", ["self", "cls", "id", "type", "match", "_private", "name", "tag"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    """Also names that a class of ours might use itself."""
    scope: dict[str, Any] = {}
    exec(f"def function({name}): return {name}", scope)  # the name varies

    assert 1 == there_and_back(scope["function"], 1)
    assert 1 == there_and_back(scope["function"], **{name: 1})


SOURCE = """
from datetime import datetime

def make():
    from dataclasses import dataclass

    @dataclass
    class Local:
        when: datetime

    def function(local: Local, when: datetime) -> Local:
        assert isinstance(local, Local)
        return local

    return function, Local
"""


@pytest.mark.parametrize("first", ["", "from __future__ import annotations\n"])
def test_annotations_as_text_are_read_too(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the future import, also those that name a class which is local to a function."""
    module = ModuleType("made_here")
    monkeypatch.setitem(sys.modules, "made_here", module)
    exec(compile(first + SOURCE, "made_here.py", "exec", dont_inherit=True), vars(module))
    function, kind = module.make()

    assert kind(MOMENT) == there_and_back(function, kind(MOMENT), MOMENT)
    codec = Codec(function, "mail")
    assert kind(MOMENT) == codec.load_result(codec.dump_result(kind(MOMENT)))


def test_an_annotation_that_cannot_be_resolved_counts_as_none() -> None:
    """Plain JSON still goes through it; anything else is refused, with its name."""

    def function(value: OnlyForTheTypeChecker) -> Any:  # type: ignore[name-defined]  # noqa: F821  # the case
        return value

    assert [1] == there_and_back(function, [1])
    with pytest.raises(NotSerializable, match=r"mail: value=.*datetime would come back as str"):
        there_and_back(function, MOMENT)


# What is refused

NANS: list[tuple[Any, Any]] = [
    (Any, math.nan),
    (object, math.inf),
    (float, math.nan),
    (float, -math.inf),
    (float | None, math.inf),
    (str | None, math.nan),
    (list, [1, [math.nan]]),
    (list[float], [math.nan]),
    (list[float | None], [1.0, math.nan]),
    (dict, {"a": {"b": [math.inf]}}),
    (dict[str, float | None], {"a": math.nan}),
    (set[float | None], {math.nan}),
    (tuple[float | None, ...], (math.nan,)),
    (Spot, Spot(math.nan)),
    (Spot, Spot(1.0, math.nan)),
    (list[Spot], [Spot(1.0, math.inf)]),
    (dict[str, Spot], {"a": Spot(1.0, math.nan)}),
    (Point, Point(1.0, math.nan)),
    (Person, Person(name="a", born=date(2000, 1, 1), score=math.nan)),
    (Family, Family([Person(name="a", born=date(2000, 1, 1), score=math.inf)])),
    (Bag, Bag({"a": [math.nan]})),
]


@pytest.mark.parametrize(("kind", "value"), NANS, ids=lambda case: str(case)[:40])
def test_numbers_that_json_has_not_are_refused(kind: Any, value: Any) -> None:
    """NaN and the infinities would come back as null."""
    with pytest.raises(NotSerializable, match=r"^mail: value="):
        Codec(taking(kind), "mail").dump((value,), {})


def test_numbers_that_json_has_not_are_refused_among_many() -> None:
    """In `*args` and `**kwargs`, too."""

    def function(*many: Any, **named: Any) -> None: ...

    with pytest.raises(NotSerializable, match="many="):
        Codec(function, "mail").dump((1, math.nan), {})
    with pytest.raises(NotSerializable, match="named="):
        Codec(function, "mail").dump((), {"x": [math.inf]})


RICH: list[Any] = [
    MOMENT, date(2026, 1, 1), time(1, 2), timedelta(1), ID, Decimal("1.5"), b"raw", Colour.RED,
    (1, 2), {1, 2}, frozenset({1}), Path("p"), Spot(1.0), Point(1.0), ANN, {1: "a"},
    {Colour.RED: 1}, {ID: 1}, object(), 1j, range(3), Ellipsis, lambda: None, int,
]  # fmt: skip  # a table


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": [v]}])
@pytest.mark.parametrize("rich", RICH, ids=lambda value: str(value)[:20])
def test_rich_values_are_refused_without_an_annotation(
    rich: Any, wrap: Callable[[Any], Any]
) -> None:
    """They would come back as text or as lists; the message says which parameter it is."""

    def function(first, value): ...  # type: ignore[no-untyped-def]  # the case

    with pytest.raises(NotSerializable, match=r"^mail: value=.*annotate the parameter"):
        Codec(function, "mail").dump((1, wrap(rich)), {})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (list, [MOMENT]),
        (dict, {1: 2}),
        (dict, {"a": (1,)}),
        (list[Any], [{1: 2}]),
        (dict[str, Any], {"a": MOMENT}),
        (dict[str, Any], {1: 2}),
        (tuple[Any, ...], (MOMENT,)),
        (Bag, Bag({"a": MOMENT})),
        (Bag, Bag({"a": (1, 2)})),
        (Loose, Loose(extra={"a": MOMENT})),
    ],
    ids=lambda case: str(case)[:40],
)
def test_rich_values_are_refused_within_loose_annotations(kind: Any, value: Any) -> None:
    """`list`, `dict` and `Any` say nothing of what is inside, wherever they stand."""
    with pytest.raises(NotSerializable, match=r"^mail: value="):
        Codec(taking(kind), "mail").dump((value,), {})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "1"),
        (int, 1.5),
        (str, 1),
        (str, None),
        (bool, 1),
        (list[int], ["a"]),
        (datetime, "tomorrow"),
        (datetime, 1),
        (datetime, date(2026, 1, 1)),
        (UUID, "x"),
        (Path, 1),
        (Colour, "green"),
        (Spot, {"y": 1.0}),
        (Person, Spot(1.0)),
        (int, MOMENT),
    ],
    ids=lambda case: str(case)[:40],
)
def test_a_value_of_the_wrong_type_is_refused(kind: Any, value: Any) -> None:
    """When it is added, and not when it is run."""
    with pytest.raises(NotSerializable, match=r"^mail: value=") as refusal:
        Codec(taking(kind), "mail").dump((value,), {})
    assert isinstance(refusal.value, TypeError)


@pytest.mark.parametrize("value", [b"raw", MOMENT, date(2026, 1, 1), ID, Decimal("1.5")])
def test_a_rich_value_is_no_text(value: Any) -> None:
    """For `str` JSON would silently make one of it, and of bytes something else altogether."""
    with pytest.raises(NotSerializable, match=r"^mail: value="):
        Codec(taking(str), "mail").dump((value,), {})


def test_a_number_is_no_key_where_text_is_expected() -> None:
    """JSON would make text of it."""
    with pytest.raises(NotSerializable, match=r"^mail: value="):
        Codec(taking(dict[str, int]), "mail").dump(({1: 2},), {})


def test_the_parameter_of_a_wrong_value_is_named_among_many() -> None:
    """Not the first one, but the one that is wrong."""

    def function(to: str, size: int, *, when: datetime) -> None: ...

    codec = Codec(function, "mail")
    for args, kwargs, name in (
        ((1, 1), {"when": MOMENT}, "to=1"),
        (("a", "x"), {"when": MOMENT}, "size='x'"),
        (("a", 1), {"when": "soon"}, "when='soon'"),
        (("a", 1), {"when": object()}, "when=<object"),
    ):
        with pytest.raises(NotSerializable, match=f"^mail: {name}"):
            codec.dump(args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "missing a required argument: 'to'"),
        (("a", 1, 2), {}, "too many positional arguments"),
        (("a",), {"colour": 1}, "unexpected keyword argument 'colour'"),
        (("a",), {"to": "b"}, "multiple values for argument 'to'"),
    ],
)
def test_arguments_that_do_not_fit_the_signature_are_refused(
    args: tuple[Any, ...], kwargs: dict[str, Any], why: str
) -> None:
    """The message shows the signature and says what is wrong."""

    def function(to: str, size: int = 1) -> None: ...

    with pytest.raises(TypeError, match="to: 'str', size: 'int' = 1") as refusal:
        Codec(function, "mail").dump(args, kwargs)
    assert why in str(refusal.value)
    assert "mail" in str(refusal.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    """It has no end."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(NotSerializable, match=r"^mail: value="):
        Codec(taking(Any), "mail").dump((endless,), {})


def test_text_that_cannot_be_encoded_is_refused() -> None:
    """A lone surrogate, as a file name may have, is no UTF-8."""
    with pytest.raises(NotSerializable, match=r"^mail: value="):
        Codec(taking(str), "mail").dump(("\ud800",), {})


@pytest.mark.parametrize("value", [math.nan, "\ud800", MOMENT, (1, 2), [ID]])
def test_what_is_refused_is_so_after_a_plain_value(value: Any) -> None:
    """Plain values that came back once are not looked at again; all others are."""
    codec = Codec(taking(Any), "mail")
    for plain in ("x", 1, True, 2**70, "x"):
        assert ([], {"value": plain}) == codec.load(codec.dump((plain,), {}))

    with pytest.raises(NotSerializable, match=r"^mail: value="):
        codec.dump((value,), {})


def test_plain_values_may_be_left_out_and_named_in_turn() -> None:
    """However they are given, they are the same arguments."""

    def function(path: str, size: int = 1, *, loud: bool = False) -> None: ...

    codec = Codec(function, "mail")
    for _ in range(2):
        assert '{"path":"a"}' == codec.dump(("a",), {})
        assert '{"path":"a","size":2}' == codec.dump(("a", 2), {})
        assert '{"path":"a","loud":true}' == codec.dump(("a",), {"loud": True})
        with pytest.raises(NotSerializable, match="size="):
            codec.dump(("a", "b"), {})
        with pytest.raises(TypeError, match="too many"):
            codec.dump(("a", 2, True), {})


def test_a_long_value_is_cut_short_in_the_message() -> None:
    """A log line is not to hold a megabyte."""
    with pytest.raises(NotSerializable) as refusal:
        Codec(taking(int), "mail").dump(("x" * 100_000,), {})
    assert 500 > len(str(refusal.value))


def test_an_annotation_that_no_value_can_be_read_by_is_named() -> None:
    """A union of two that look the same in JSON cannot be told apart."""
    with pytest.raises(TypeError, match=r"mail.*union"):
        Codec(taking(datetime | str), "mail")


# Reading


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        ('{"to":1}', ["mail", "to", "Expected `str`"]),
        ("{}", ["mail", "`to`"]),
        ('{"to":"a","colour":1}', ["mail", "colour"]),
        ('{"to":"a","size":"x"}', ["mail", "size"]),
        ("not json", ["mail", "arguments cannot be read"]),
        ("[]", ["mail", "arguments cannot be read"]),
        ("", ["mail", "arguments cannot be read"]),
    ],
)
def test_a_payload_that_cannot_be_read_names_the_parameter(payload: str, names: list[str]) -> None:
    """The job may be older or newer than the function."""

    def function(to: str, size: int = 1) -> None: ...

    with pytest.raises(NotSerializable) as refusal:
        Codec(function, "mail").load(payload)
    assert [] == [name for name in names if name not in str(refusal.value)]


def test_a_field_that_a_model_forbids_names_the_parameter() -> None:
    """Pydantic's own words are passed on."""
    with pytest.raises(NotSerializable, match=r"(?s)mail.*born.*\$\.value"):
        Codec(taking(Person), "mail").load('{"value":{"name":"a"}}')


# Results


def test_nothing_comes_back_as_nothing() -> None:
    """`None` needs no JSON."""
    codec = Codec(returning(None), "mail")

    assert None is codec.dump_result(None)
    assert None is codec.load_result(None)


@pytest.mark.parametrize("result", [object(), 1j, math.nan, [math.inf], {"a": Spot(1.0, math.nan)}])
def test_a_result_that_json_does_not_know_is_refused(result: Any) -> None:
    """The message names the task."""
    with pytest.raises(NotSerializable, match="the result of mail cannot be kept"):
        Codec(returning(Any), "mail").dump_result(result)


def test_a_result_without_annotation_comes_back_as_json() -> None:
    """A caller who did not say what it is gets what JSON made of it."""

    def function(): ...  # type: ignore[no-untyped-def]  # the case

    codec = Codec(function, "mail")
    assert {"a": [1, 2]} == codec.load_result(codec.dump_result({"a": (1, 2)}))


def test_a_result_that_is_not_what_it_is_annotated_as_says_so() -> None:
    """The function lied, or was changed since."""
    with pytest.raises(NotSerializable, match=r"result of mail.*Expected `int`"):
        Codec(returning(int), "mail").load_result('"x"')

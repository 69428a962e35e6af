"""Arguments and results as JSON: one typed msgspec codec for each task signature.

What JSON cannot say is said by the signature: a parameter that is annotated as `datetime`,
`UUID`, `Decimal`, `bytes`, an enum, a dataclass, a path or a pydantic model comes back as
one. What could come back as something else is refused when the job is added.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import msgspec

from ._loss import is_loosely_typed, lost, not_finite
from ._plain import shown
from .errors import NotSerializable

KEYWORD = inspect.Parameter.KEYWORD_ONLY
MANY = inspect.Parameter.VAR_POSITIONAL
NAMED = inspect.Parameter.VAR_KEYWORD
POSITIONAL = inspect.Parameter.POSITIONAL_ONLY

ANYTHING = (Any, object, inspect.Parameter.empty)
EXACT = (str, int, bool)  # with which JSON does as Python does
ADVICE = "Pass what JSON knows, such as an id, or annotate the parameter with its type."


class Codec:
    """Writes and reads the arguments and the result of one function."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        """Build the codec from the function's signature.

        Args:
            function: Whose annotations say what comes out of JSON.
            name: The task's, for messages.

        Raises:
            TypeError: if an annotation is none that a value could be read by.
        """
        self._name = name
        self._signature = inspect.signature(function)
        self._parameters = list(self._signature.parameters.values())
        hints = _hints(function)
        self._types = {p.name: hints.get(p.name, Any) for p in self._parameters}
        self._loose = [p.name for p in self._parameters if is_loosely_typed(self._types[p.name])]
        self._struct = self._build()
        self._decoder = msgspec.json.Decoder(self._struct, dec_hook=_rich)
        self._plain = not any(p.kind in (POSITIONAL, MANY, NAMED) for p in self._parameters)
        self._positional = [p.name for p in self._parameters if p.kind is not KEYWORD]
        self._needed = {p.name for p in self._parameters if p.default is p.empty}
        self._result = hints.get("return", Any)
        self._sure: set[tuple[type, ...]] = set()  # of arguments that nothing is lost of

    def dump(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The arguments as the text of a JSON object, by the names of their parameters.

        Raises:
            TypeError: if the function cannot be called with them.
            NotSerializable: naming the parameter that could not come back as it went in.
        """
        kinds = tuple(map(type, args))
        is_sure = kinds in self._sure and not kwargs
        named = zip(self._positional, args, strict=False)
        bound = dict(named) if is_sure else self._bound(args, kwargs)
        try:
            payload = ENCODER.encode(bound)
            if is_sure:
                return payload.decode()
            decoded = self._decoder.decode(payload)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._refused(bound, error) from None
        for name, value in bound.items():
            if loss := self._loss(name, value, getattr(decoded, name)):
                raise self._refusal(name, value, loss)
        if self._plain and not kwargs and all(map(self._is_sure, self._positional, kinds)):
            self._sure.add(kinds)
        return payload.decode()

    def load(self, payload: str) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with.

        Raises:
            NotSerializable: naming the parameter that this code cannot read; the job may be
                older or newer than the function.
        """
        try:
            decoded = self._decoder.decode(payload)
        except (TypeError, ValueError) as error:
            raise NotSerializable(f"{self._name}: arguments cannot be read: {error}") from None
        given = {f: v for f in self._types if (v := getattr(decoded, f)) is not msgspec.UNSET}
        if self._plain:
            return [], given
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in self._parameters:
            if parameter.name not in given:
                continue
            if parameter.kind is NAMED:
                kwargs |= given[parameter.name]
            elif parameter.kind is MANY:
                args += given[parameter.name]
            elif parameter.kind is KEYWORD or len(args) < self._index(parameter):
                kwargs[parameter.name] = given[parameter.name]  # one before it was left out
            else:
                args.append(given[parameter.name])
        return args, kwargs

    def argument(self, payload: str, name: str) -> str:
        """One of the stored arguments as JSON text; its default, if it was left out.

        Raises:
            NotSerializable: if the default cannot be written as JSON.
        """
        given = ARGUMENTS.decode(payload).get(name)
        if given is not None:
            return bytes(given).decode()
        default = self._signature.parameters[name].default
        try:
            return "null" if default is inspect.Parameter.empty else _text(default)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._refusal(name, default, str(error)) from None

    def dump_result(self, value: object) -> str | None:
        """A result as JSON text; `None` stays `None`.

        Raises:
            NotSerializable: naming the type that JSON does not know.
        """
        if value is None:
            return None
        where = f"the result of {self._name} cannot be kept"
        try:
            text = ENCODER.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise NotSerializable(f"{where}: {error}") from None
        if b"null" in text and (number := not_finite(value)) is not None:  # as JSON would have it
            raise NotSerializable(
                f"the result of {self._name} cannot be kept: JSON has no {number}"
            )
        return text.decode()

    def load_result(self, text: str | None) -> Any:
        """A result as the function's return annotation says, or as plain JSON without one.

        Raises:
            NotSerializable: if it is not what the annotation says.
        """
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=self._result, dec_hook=_rich)
        except (TypeError, ValueError) as error:
            message = f"the result of {self._name} is not what it is annotated as: {error}"
            raise NotSerializable(message) from None

    def _build(self) -> type[msgspec.Struct]:
        def field(parameter: inspect.Parameter) -> tuple[str, Any, Any]:
            kind = self._types[parameter.name]
            kind = list[kind] if parameter.kind is MANY else kind  # type: ignore[valid-type]  # a type made at run time
            kind = dict[str, kind] if parameter.kind is NAMED else kind  # type: ignore[valid-type]  # as above
            needed = parameter.default is parameter.empty and parameter.kind not in (MANY, NAMED)
            kind = kind if needed else kind | msgspec.UnsetType if kind is not Any else Any
            default = {} if needed else {"default": msgspec.UNSET}
            return parameter.name, kind, msgspec.field(name=parameter.name, **default)

        try:
            struct = msgspec.defstruct(
                "Arguments",
                [field(p) for p in self._parameters],
                forbid_unknown_fields=True,
                kw_only=True,
            )
            msgspec.json.Decoder(struct, dec_hook=_rich)
        except (TypeError, NotImplementedError) as error:
            raise TypeError(f"{self._name}{self._signature}: {error}") from None
        return struct

    def _index(self, parameter: inspect.Parameter) -> int:
        return self._parameters.index(parameter)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, as `Signature.bind` has it, which takes ten times as long."""
        if self._plain and len(args) <= len(self._positional):
            bound = dict(zip(self._positional, args, strict=False))
            if bound.keys().isdisjoint(kwargs):
                bound |= kwargs
                if self._needed <= bound.keys() <= self._types.keys():
                    return bound
        try:
            return self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self._name}{self._signature}: {error}") from None

    def _is_sure(self, name: str, kind: type) -> bool:
        """Whether whatever is of this kind comes back as it went in, so that none is looked at."""
        return kind in EXACT and self._types[name] in (kind, *ANYTHING)

    def _loss(self, name: str, before: Any, after: Any) -> str | None:
        many = self._signature.parameters[name].kind is MANY  # a tuple by its nature
        return lost(list(before) if many else before, after, name in self._loose)

    def _refused(self, bound: Mapping[str, Any], error: Exception) -> NotSerializable:
        """Find out which argument it was: encoding stops at the first one, without a name."""
        for name, value in bound.items():
            try:
                ENCODER.encode(value)
            except (TypeError, ValueError, OverflowError, RecursionError) as cause:
                return self._refusal(name, value, str(cause))
        name = next((n for n in bound if re.search(rf"\$\.{re.escape(n)}\b", str(error))), "")
        return self._refusal(name, bound.get(name), f"it does not fit {self._signature}: {error}")

    def _refusal(self, name: str, value: object, reason: str) -> NotSerializable:
        return NotSerializable(f"{self._name}: {name}={shown(value)}: {reason}. {ADVICE}")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations that can be resolved. One that cannot counts as none at all."""
    function = inspect.unwrap(function)
    function = function if hasattr(function, "__annotations__") else type(function).__call__
    hints: dict[str, Any] = {}
    names = {**getattr(function, "__globals__", {}), **_closure(function)}
    for name, hint in getattr(function, "__annotations__", {}).items():
        try:
            hints[name] = (
                eval(hint, names) if isinstance(hint, str) else hint
            )  # the module's own annotation
        except Exception:  # noqa: BLE001  # a name that only the type checker sees; values stay plain JSON
            hints[name] = Any
    return hints


def _closure(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return inspect.getclosurevars(function).nonlocals
    except TypeError:
        return {}


def _plain(value: Any) -> Any:
    """What msgspec does not know: pydantic models, by their shape, and paths."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"JSON knows no {type(value).__name__}")


def _rich(kind: Any, value: Any) -> Any:
    if kind is object:
        return value
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return kind(value)
    raise TypeError(f"{kind!r} cannot be read from JSON")


def _text(value: object) -> str:
    return ENCODER.encode(value).decode()


ENCODER = msgspec.json.Encoder(enc_hook=_plain)
ARGUMENTS = msgspec.json.Decoder(dict[str, msgspec.Raw])

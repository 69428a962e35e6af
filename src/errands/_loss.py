"""A loss: what a value is no longer when it has been through JSON."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

LOOSE = (Any, object, inspect.Parameter.empty, list, dict, tuple, set, frozenset)
SCALARS = (str, int, float, bool, type(None))


def lost(before: Any, after: Any, is_loose: bool) -> str | None:
    """What a value lost on its way through JSON, in words, or `None`.

    Args:
        is_loose: The annotation does not say it all, so that containers may have changed, too.
    """
    if _is_equal(before, after):
        return None
    if isinstance(before, float) and not math.isfinite(before):
        return f"JSON has no {before}"
    changed = isinstance(after, SCALARS) and not isinstance(before, SCALARS)
    if is_loose and not changed:
        changed = isinstance(after, list) and not isinstance(before, list)
        changed = changed or (isinstance(after, dict) and not isinstance(before, Mapping))
    if changed:
        return f"a {type(before).__name__} would come back as {type(after).__name__}"
    if isinstance(before, Mapping) and isinstance(after, Mapping) and before.keys() != after.keys():
        return "its keys would come back as text"
    there = _parts(after)
    pairs = ((part, there[at]) for at, part in _parts(before).items() if at in there)
    return next((loss for pair in pairs if (loss := lost(*pair, is_loose))), None)


def not_finite(value: Any) -> float | None:
    """A number in the value that JSON does not have, such as `inf`; `None` if there is none."""
    if isinstance(value, float):
        return None if math.isfinite(value) else value
    return next((n for part in _parts(value).values() if (n := not_finite(part)) is not None), None)


def is_loosely_typed(kind: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether values under this annotation come back, at some place, as whatever JSON made."""
    if kind in LOOSE:
        return True
    if get_origin(kind) is Literal or kind in seen:
        return False
    inner = [*get_args(kind), *(_hints_of(kind) if isinstance(kind, type) else ())]
    return any(is_loosely_typed(k, seen | {kind}) for k in inner)


def _is_equal(before: Any, after: Any) -> bool:
    """Whether it came back as it went in; a type whose values cannot be compared never did."""
    try:
        return type(before) is type(after) and bool(before == after)
    except Exception:  # noqa: BLE001  # whatever their `__eq__` does
        return False


def _parts(value: Any) -> Mapping[Any, Any]:
    """What a container, a dataclass, a struct or a model is made of, by name or place."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    if isinstance(value, (set, frozenset)):
        return dict(enumerate(sorted(value, key=repr)))
    if is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    return vars(value) if hasattr(value, "model_dump") else {}


def _hints_of(kind: type) -> list[Any]:
    if kind.__module__ == "builtins":
        return []
    try:
        return list(get_type_hints(kind).values())
    except (NameError, TypeError):  # a name that only the type checker sees
        return []

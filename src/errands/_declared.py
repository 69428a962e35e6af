"""The schedules that the code of this process declares."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._function import is_same
from ._schedule import Schedule
from ._spec import Spec
from ._task import Task, Tasks
from .errors import DuplicateSchedule, PayloadTooLarge


@dataclass(frozen=True)
class Declaration:
    """What stands above one function: when it is added, and with which arguments."""

    function: Callable[..., Any]
    spec: Spec
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Declarations(dict[str, Declaration]):
    """Declared schedules, by name."""

    def declare(self, name: str | None, task: Task, new: Declaration) -> None:
        """Take a schedule down. The same one declared again replaces itself, as tasks do.

        Raises:
            TypeError: if the function cannot be called with the arguments.
            DuplicateSchedule: if another schedule has this name.
        """
        name = f"{task.name}: {new.spec}" if name is None else name
        if not name:
            raise ValueError(f"{task.name}: schedule(name={name!r}): a name is text, not empty")
        require_arguments(task, new)
        before = self.get(name)
        is_again = before is None or before == new
        if before is not None and before.function is not new.function:
            is_again = is_same(before.function, new.function)  # by another import, or a factory
        if not is_again:
            raise DuplicateSchedule(
                f"two schedules are named {name!r}: give one of them another, "
                "@errands.schedule(…, name=…)"
            )
        self[name] = new

    def rows(self, tasks: Tasks, now: datetime, max_payload: int) -> list[Schedule]:
        """The schedules as they are stored first.

        Raises:
            NotSerializable: if an argument cannot be kept.
            PayloadTooLarge: if the arguments take more than `max_payload` bytes.
        """
        return [_row(name, each, tasks, now, max_payload) for name, each in self.items()]


def require_spec(spec: object, where: str) -> None:
    """Refuse what says no time.

    Raises:
        TypeError: saying `where`, and what to write.
    """
    if not isinstance(spec, Spec):
        shown = getattr(spec, "__qualname__", repr(spec))
        raise TypeError(
            f"{where}({shown}): expected every(…) or cron('…'), as in {where}(every(minutes=5))"
        )


def require_arguments(task: Task, new: Declaration) -> None:
    """Refuse arguments that the function cannot be called with.

    Its annotations are read later, when all of their names are there.

    Raises:
        TypeError: naming the one.
    """
    signature = inspect.signature(new.function)
    try:
        signature.bind(*new.args, **new.kwargs)
    except TypeError as error:
        raise TypeError(
            f"{task.name}{signature}: {error}. Its schedule passes the arguments: "
            f"@errands.schedule({new.spec.kind}, …)"
        ) from None


def payload_of(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any], limit: int) -> str:
    """The arguments of each job of a schedule, as they are stored.

    Raises:
        TypeError: if the function cannot be called with them.
        NotSerializable: if one of them cannot be kept.
        PayloadTooLarge: if they take more than `limit` bytes; 0 is none.
    """
    payload = task.codec.dump(args, kwargs)
    if limit and (size := len(payload.encode())) > limit:
        raise PayloadTooLarge(task.name, size, limit)
    return payload


def _row(name: str, each: Declaration, tasks: Tasks, now: datetime, limit: int) -> Schedule:
    task = tasks.of(each.function) or tasks[name]
    payload, spec = payload_of(task, each.args, each.kwargs, limit), each.spec.text
    return Schedule(
        name=name,
        task=task.name,
        spec=spec,
        payload=payload,
        declared=json.dumps([task.name, spec, payload], ensure_ascii=False),
        next_tick=each.spec.next_after(now),
        known_at=now,
    )

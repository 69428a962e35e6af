"""Runs what is compared in turns, each turn in a fresh process."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Samples = dict[str, list[T]]

LONGEST = 300.0  # seconds that one turn may take
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SCALE = float(os.environ.get("SCALE", "1"))


def scaled(number: int) -> int:
    """So many, times `$SCALE`."""
    return max(1, round(number * SCALE))


def interleaved(contenders: Mapping[str, Callable[[Path], T]], rounds: int = ROUNDS) -> Samples[T]:
    """What each contender answers, in rounds of one turn each.

    Args:
        contenders: Functions at the top of their module, or partials of such. Each is called
            in a fresh process, with an empty folder that is removed after it.
    """
    samples: Samples[T] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            with tempfile.TemporaryDirectory(prefix="errands-bench-") as folder:
                samples[name].append(apart(contender, Path(folder)))
    return samples


def apart(function: Callable[..., T], *args: object) -> T:
    """What the function answers in a process of its own.

    Raises:
        RuntimeError: if the process ended without an answer, or gave none in time.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, args))
    process.start()
    theirs.close()
    try:
        if not ours.poll(LONGEST):
            raise RuntimeError(f"{function} gave no answer in {LONGEST:g} s")
        answer: T = ours.recv()
    except EOFError:
        raise RuntimeError(f"{function} ended without an answer") from None
    finally:
        process.join(5)
        if process.is_alive():
            process.kill()
        process.join()
    return answer


def _answer(pipe: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    pipe.send(function(*args))

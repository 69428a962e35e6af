"""Tallies as rows, and back, in every SQL store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from .._history import Key, Sketch, Tally
from ._rows import decode, instant, ms

COLUMNS = ("step", "at", "queue", "task", "counts", "wait", "run")
NAME = "errands_history"


def row_of(tally: Tally) -> tuple[int | str, ...]:
    """A tally, in the order of `COLUMNS`."""
    return (*key_of(tally.key), _text(tally.counts), _flat(tally.wait), _flat(tally.run))


def key_of(key: Key) -> tuple[int, int, str, str]:
    """The key of a tally, in the order of `COLUMNS`."""
    at, step, queue, task = key
    return round(step.total_seconds()), ms(at), queue, task


def tally_of(row: Sequence[Any]) -> Tally:
    """The tally of a row of `COLUMNS`."""
    step, at, queue, task, counts, wait, run = row
    return Tally(
        at=instant(at),
        step=timedelta(seconds=step),
        queue=queue,
        task=task,
        counts=decode(counts),
        wait=_sketch(wait),
        run=_sketch(run),
    )


def _text(counts: Mapping[str, int]) -> str:
    return msgspec.json.encode(dict(counts)).decode()


def _flat(sketch: Sketch) -> str:
    """The first bucket, and then how many are in each from there on: a row is to be small."""
    if not sketch.counts:
        return ""
    first, last = min(sketch.counts), max(sketch.counts)
    numbers = (sketch.counts.get(bucket) or "" for bucket in range(first, last + 1))
    return f"{first},{','.join(map(str, numbers))}"


def _sketch(text: str) -> Sketch:
    if not text:
        return Sketch()
    first, *numbers = text.split(",")
    return Sketch({int(first) + n: int(number) for n, number in enumerate(numbers) if number})

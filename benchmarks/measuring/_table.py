"""Prints a benchmark's answer: the machine, what was measured, and what was promised."""

from __future__ import annotations

import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from ._rounds import Samples

LOOK = 0.5  # seconds for which we look whether others are at work
QUIET = 0.3  # cores that others may use


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number of each contender.

    Attributes:
        unit: What stands at its head.
        form: How a number is written, as `format` has it.
    """

    unit: str
    samples: Samples[float]
    form: str = ",.0f"


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A ratio, or a number, that is owed.

    Attributes:
        samples: One for each round.
        target: What its median has to reach; `None` where nothing is owed.
        at_most: Whether it is to stay below the target instead.
    """

    what: str
    samples: Sequence[float]
    target: float | None = None
    at_most: bool = False
    form: str = ".2f"

    @classmethod
    def ratio(
        cls,
        what: str,
        ours: Sequence[float],
        theirs: Sequence[float],
        target: float | None = None,
        *,
        at_most: bool = False,
    ) -> Promise:
        """Ours over theirs, round by round."""
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        return cls(what=what, samples=ratios, target=target, at_most=at_most)

    @property
    def verdict(self) -> str:
        """Whether it is kept."""
        if self.target is None:
            return ""
        median = statistics.median(self.samples)
        is_kept = median <= self.target if self.at_most else median >= self.target
        return "kept" if is_kept else "MISSED"


def heading(claim: str | None) -> None:
    """The first lines: what is claimed, and the machine.

    From here on the script ends properly on SIGTERM, and with it the servers that it starts.
    """
    signal.signal(signal.SIGTERM, _end)
    print((claim or "").partition("\n\n")[0].replace("\n", " "))
    print(
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}; a commit that is flushed takes "
        f"{_commit() * 1000:.2f} ms"
    )
    if (busy := _busy()) > QUIET:
        print(f"Others keep {busy:.1f} cores busy: expect wide ranges.")


def show(columns: Sequence[Column]) -> None:
    """A table with one row for each contender: the medians, and from where to where they went."""
    names = list(columns[0].samples)
    width = max(map(len, names))
    print()
    print(" " * width + "".join(f"{c.unit:>12}{'min..max':>20}" for c in columns))
    for name in names:
        print(f"{name:{width}}" + "".join(_cells(c.samples[name], c.form) for c in columns))


def verdicts(promises: Sequence[Promise]) -> None:
    """A table with one row for each ratio: what it is, and what it is to be."""
    width = max(len(promise.what) for promise in promises)
    print()
    print(f"{'':{width}}{'':>12}{'min..max':>20}    target")
    for promise in promises:
        sign = "at most" if promise.at_most else "at least"
        owed = "" if promise.target is None else f"{sign} {promise.target:g}"
        cells = _cells(promise.samples, promise.form)
        print(f"{promise.what:{width}}{cells}    {owed:14}{promise.verdict}".rstrip())
    print()
    sys.stdout.flush()


def percentile(numbers: Sequence[float], percent: float) -> float:
    """The number below which so many percent of the others are."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _cells(samples: Sequence[float], form: str) -> str:
    low, high = format(min(samples), form), format(max(samples), form)
    spread = f"{low}..{high}" if len(samples) > 1 else ""
    return f"{statistics.median(samples):>12{form}}{spread:>20}"


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)  # as a shell tells it; each `finally` has its turn


def _commit() -> float:
    """Seconds that one flushed commit of one row takes where the benchmarks keep their files."""
    with tempfile.TemporaryDirectory(prefix="errands-bench-") as folder:
        db = apsw.Connection(str(Path(folder) / "commit.db"))
        db.execute("pragma journal_mode = wal").fetchall()
        db.execute("pragma synchronous = full; create table t (x)")
        took = []
        for number in range(200):
            begin = time.perf_counter()
            db.execute("insert into t values (?)", (number,))
            took.append(time.perf_counter() - begin)
        db.close()
    return statistics.median(took)


def _busy() -> float:
    """How many cores are in use while we sleep."""
    idle, whole = _ticks()
    time.sleep(LOOK)
    idle_now, whole_now = _ticks()
    share = 1 - (idle_now - idle) / max(1, whole_now - whole)
    return share * (os.cpu_count() or 1)


def _ticks() -> tuple[int, int]:
    """Of all processors, since they were started: those that were idle, and all."""
    _, *ticks = Path("/proc/stat").read_text().partition("\n")[0].split()
    numbers = [int(tick) for tick in ticks[:8]]
    return numbers[3] + numbers[4], sum(numbers)

"""What the benchmarks share: how to measure on a machine that sleeps and is not alone.

A processor that sleeps needs up to 300 µs to wake, and how long drifts: so idle-class
spinners keep all of them awake. The machine's speed drifts, too: so what is compared runs in
turns, each turn in a fresh process, and what counts is the ratio within one turn.
"""

from ._awake import awake
from ._rounds import ROUNDS, Samples, apart, interleaved, scaled
from ._table import Column, Promise, heading, percentile, show, verdicts

__all__ = [
    "ROUNDS",
    "Column",
    "Promise",
    "Samples",
    "apart",
    "awake",
    "heading",
    "interleaved",
    "percentile",
    "scaled",
    "show",
    "verdicts",
]

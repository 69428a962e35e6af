"""What the benchmarks share: how to measure on a machine that sleeps and is not alone.

The machine's speed drifts: so what is compared runs in turns, each turn in a fresh process,
and what counts is the ratio within one turn. Spinners that keep the processors awake were
tried: where these are shared, they cost 4 ms at a time, and the ranges became ten times as wide.
"""

from ._rounds import ROUNDS, Samples, apart, interleaved, scaled
from ._table import Column, Promise, heading, percentile, show, verdicts

__all__ = [
    "ROUNDS",
    "Column",
    "Promise",
    "Samples",
    "apart",
    "heading",
    "interleaved",
    "percentile",
    "scaled",
    "show",
    "verdicts",
]

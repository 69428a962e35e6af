"""Endpoints: requests per second under 32 connections that are kept alive, and their p99.

Local: an endpoint that adds one local task, against the same with Starlette's own
BackgroundTasks; and against that where the framework also fills a parameter that it does not
know by heart, as it fills ours (in FastAPI by a dependency). Durable: one that adds a job,
flushed to SQLite before the response starts, against one that adds nothing and knows nothing
of Errands; where the process also runs the jobs, and where it leaves them to others. FastHTML
answers htmx requests: fragments, no pages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from measuring import (
    ROUNDS,
    Column,
    Promise,
    Samples,
    apart,
    heading,
    percentile,
    scaled,
    show,
    verdicts,
)
from measuring.load import Slice, loads
from measuring.server import serving

FRAMEWORKS = ("fastapi", "fasthtml")
KINDS = ("plain", "working", "adding")
NONE, LOCAL, HUEY = "adds none", "local, Starlette's", "durable, huey in a thread"
HANDED = "local, Starlette's, one more parameter"
OURS_NONE, OURS_LOCAL = "adds none, Errands installed", "local, Errands"
WORKING, ADDING = "durable, Errands, jobs run here", "durable, Errands, jobs run elsewhere"
ENDPOINTS = {  # neighbours are compared
    LOCAL: ("plain", "/local"),
    OURS_LOCAL: ("working", "/local"),
    HANDED: ("plain", "/handed"),
    NONE: ("plain", "/none"),
    OURS_NONE: ("working", "/none"),
    WORKING: ("working", "/durable"),
    ADDING: ("adding", "/durable"),
    HUEY: ("plain", "/durable"),
}
PASSES = 2  # in a round, in one order and then in the other
WARM_UP, SECONDS = 0.05, 0.2


def one_round(framework: str, rates: Samples[float], p99s: Samples[float]) -> None:
    """Start the servers anew, and put load on each endpoint twice."""
    with serving([f"sites.on_{framework}:{kind}" for kind in KINDS]) as ports:
        slices = [
            Slice(name, ports[f"sites.on_{framework}:{kind}"], path, WARM_UP, SECONDS)
            for name, (kind, path) in ENDPOINTS.items()
        ]
        found = apart(loads, (slices + slices[::-1]) * (scaled(PASSES) // 2 or 1))
    together: defaultdict[str, list[float]] = defaultdict(list)
    waits: defaultdict[str, list[float]] = defaultdict(list)
    for load in found:
        together[load.name].append(load.rate)
        waits[load.name] += load.waits
    for name in ENDPOINTS:
        rates[name].append(sum(together[name]) / len(together[name]))
        p99s[name].append(percentile(waits[name], 99) * 1000)


def promises(rates: Samples[float], p99s: Samples[float]) -> Sequence[Promise]:
    return [
        Promise.ratio("local: Errands / Starlette", rates[OURS_LOCAL], rates[LOCAL], 0.95),
        Promise.ratio(
            "local, p99: Errands / Starlette", p99s[OURS_LOCAL], p99s[LOCAL], 1.05, at_most=True
        ),
        Promise.ratio(
            "local: Errands / Starlette, one parameter", rates[OURS_LOCAL], rates[HANDED]
        ),
        Promise.ratio("durable, run elsewhere / adds none", rates[ADDING], rates[NONE], 0.5),
        Promise.ratio("durable, run here too / adds none", rates[WORKING], rates[NONE], 0.5),
        Promise.ratio("durable, huey / adds none", rates[HUEY], rates[NONE]),
        Promise.ratio("none, with Errands / without", rates[OURS_NONE], rates[NONE]),
    ]


def main() -> None:
    heading(__doc__)
    for framework in FRAMEWORKS:
        rates: Samples[float] = {name: [] for name in ENDPOINTS}
        p99s: Samples[float] = {name: [] for name in ENDPOINTS}
        for _ in range(ROUNDS):
            one_round(framework, rates, p99s)
        print(f"\n{framework}", end="")
        show(
            [
                Column(unit="requests/s", samples=rates),
                Column(unit="p99, ms", samples=p99s, form=".1f"),
            ]
        )
        verdicts(promises(rates, p99s))


if __name__ == "__main__":
    main()

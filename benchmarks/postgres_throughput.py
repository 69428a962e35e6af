"""Throughput on PostgreSQL: no-op async jobs per second that one process drains.

The jobs are there before; the clock runs from when a tenth of them has run to the last one.
Errands leases and fences each job and keeps its result and its history. pgqueuer does neither:
at its end a job is deleted, and its status logged; 10 is how many it fetches by default, 1000 is
where it is fastest. The peers on Redis are there for those who wonder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from measuring import ROUNDS, Column, Promise, Samples, apart, heading, scaled, show, verdicts
from measuring.contest import Peer, drains
from measuring.dbos_peer import Dbos
from measuring.ours import Ours
from measuring.pg_peers import PgQueuer, Procrastinate, Saq
from measuring.postgres import PostgresServer, database, postgres
from measuring.redis import redis
from measuring.redis_peers import Arq, Dramatiq, Taskiq

OURS, MANY_SLOTS = "Errands", "    with 500 slots"
DEFAULT, FASTEST = "pgqueuer", "    in batches of 1000"
ON_POSTGRES: Mapping[str, tuple[Callable[[], Peer], int]] = {
    OURS: (Ours, 20_000),
    MANY_SLOTS: (partial(Ours, 500), 20_000),
    DEFAULT: (PgQueuer, 10_000),
    FASTEST: (partial(PgQueuer, 1000), 20_000),
    "procrastinate": (Procrastinate, 1_500),
    "SAQ": (Saq, 1_500),
    "DBOS": (Dbos, 1_000),
}
ON_REDIS: Mapping[str, tuple[Callable[[], Peer], int]] = {
    "taskiq, Redis": (Taskiq, 4_000),
    "dramatiq, Redis": (Dramatiq, 4_000),
    "arq, Redis": (Arq, 2_000),
    "SAQ, Redis": (Saq, 3_000),
}


def one_round(server: PostgresServer, rates: Samples[float]) -> None:
    for name, (make, number) in ON_POSTGRES.items():
        with database(server) as url:
            rates.setdefault(name, []).append(apart(drains, url, make, scaled(number)))


def one_round_on_redis(rates: Samples[float]) -> None:
    for name, (make, number) in ON_REDIS.items():
        with redis() as url:
            if url is not None:
                rates.setdefault(name, []).append(apart(drains, url, make, scaled(number)))


def best(rates: Samples[float], names: Sequence[str]) -> list[float]:
    """Of each round, what the fastest of these did."""
    return [max(turn) for turn in zip(*(rates[name] for name in names), strict=True)]


def main() -> None:
    heading(__doc__)
    rates: Samples[float] = {}
    with postgres() as server:
        for _ in range(ROUNDS):
            one_round(server, rates)
            one_round_on_redis(rates)
    show([Column(unit="jobs/s", samples=rates)])
    promises = [
        Promise.ratio("Errands / pgqueuer at its fastest", rates[OURS], rates[FASTEST], 1),
        Promise.ratio("    the same, with 500 slots", rates[MANY_SLOTS], rates[FASTEST]),
        Promise.ratio("Errands / pgqueuer", rates[OURS], rates[DEFAULT], 3),
        *(
            Promise.ratio(f"Errands / {name}", rates[OURS], rates[name], 10)
            for name in ("procrastinate", "SAQ", "DBOS")
        ),
    ]
    if there := [name for name in ON_REDIS if name in rates]:
        fastest = best(rates, there)
        promises.append(Promise.ratio("Errands / the best on Redis", rates[OURS], fastest, 3))
    verdicts(promises)


if __name__ == "__main__":
    main()

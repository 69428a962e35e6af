"""Adding to PostgreSQL: jobs stored per second by 100 callers, each of which waits for its own.

Each caller has its answer once the job is flushed to the disk, and nothing is run meanwhile.
The peers have 10 connections. Those on Redis answer before the disk has anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from measuring import ROUNDS, Column, Promise, Samples, apart, heading, scaled, show, verdicts
from measuring.contest import Peer, adds
from measuring.dbos_peer import Dbos
from measuring.ours import Ours
from measuring.pg_peers import PgQueuer, Procrastinate, Saq
from measuring.postgres import database, postgres
from measuring.redis import redis
from measuring.redis_peers import Arq, Dramatiq, Taskiq
from postgres_throughput import best

OURS = "Errands"
ON_POSTGRES: Mapping[str, tuple[Callable[[], Peer], int]] = {
    OURS: (Ours, 20_000),
    "pgqueuer": (PgQueuer, 4_000),
    "procrastinate": (Procrastinate, 3_000),
    "SAQ": (Saq, 3_000),
    "DBOS": (Dbos, 1_000),
}
ON_REDIS: Mapping[str, tuple[Callable[[], Peer], int]] = {
    "taskiq, Redis": (Taskiq, 4_000),
    "dramatiq, Redis": (Dramatiq, 4_000),
    "arq, Redis": (Arq, 4_000),
    "SAQ, Redis": (Saq, 6_000),
}


def main() -> None:
    heading(__doc__)
    rates: Samples[float] = {}
    with postgres() as server:
        for _ in range(ROUNDS):
            for name, (make, number) in ON_POSTGRES.items():
                with database(server) as url:
                    rates.setdefault(name, []).append(apart(adds, url, make, scaled(number)))
            for name, (make, number) in ON_REDIS.items():
                with redis() as place:
                    if place is not None:
                        rate = apart(adds, place, make, scaled(number))
                        rates.setdefault(name, []).append(rate)
    show([Column(unit="adds/s", samples=rates)])
    theirs = best(rates, [name for name in ON_POSTGRES if name != OURS])
    promises = [Promise.ratio("Errands / the best on PostgreSQL", rates[OURS], theirs, 10)]
    if there := [name for name in ON_REDIS if name in rates]:
        fastest = best(rates, there)
        promises.append(Promise.ratio("Errands / the best on Redis", rates[OURS], fastest, 10))
    verdicts(promises)


if __name__ == "__main__":
    main()

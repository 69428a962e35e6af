"""Moving house: every job arrives as it was, once, and one that did not is named."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_driver import errands
from live_server import PATIENCE, environment

from errands import (
    Attempt,
    Heartbeat,
    Job,
    Outcome,
    Progress,
    Query,
    Schedule,
    State,
    every,
    move,
    new_id,
)
from errands._job import NEVER, WAITING
from errands.errors import StoreInUse, StoreUnavailable
from errands.stores import store_at

NOW = datetime.now(UTC).replace(microsecond=123_000)
HOUR = timedelta(hours=1)
MANY = 10_000

PAIRS = [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "sqlite")]


def job(**fields: Any) -> Job:
    """A job that is due, but for what `fields` say."""
    return replace(
        Job(
            id=new_id(NOW), task="t", payload='{"n":1}', added_at=NOW, due_at=NOW, free_at=NOW
        ),
        **fields,
    )  # fmt: skip  # a row


def one_of_each() -> list[Job]:
    """Jobs in every state, with every field somewhere."""
    claimed = job(key="k", queue="mail", priority=-3).claimed("w", NOW - HOUR, HOUR / 2)
    retried = claimed.failed("Traceback: 'boom' ☃\n\0", NOW, 0.5)
    return [
        job(due_at=NOW + HOUR, free_at=NOW + HOUR, priority=9),
        claimed.progressed(Progress(0.5, None, "half ü")),
        job().claimed("w", NOW, HOUR).done('{"x": [1.5, null, "\\u0000 😀"]}', NOW),
        replace(retried, id=new_id(NOW), key=None),
        replace(retried.claimed("v", NOW, HOUR).cancelled(NOW + HOUR), id=new_id(NOW)),
        job(key="k").claimed("w", NOW, HOUR).failed("no", NOW),
        job(history=tuple(Attempt(n, "w", NOW, NOW, Outcome.LOST, "why") for n in range(20))),
        job(payload='{"s":"' + "x" * 100_000 + '"}', task="ünï.cödé", queue='q "1"'),
    ]


async def add(url: str, jobs: Sequence[Job]) -> None:
    async with store_at(url) as store:
        await store.add(jobs)


async def stored(url: str) -> list[Job]:
    """The jobs of a small store, newest first."""
    async with store_at(url) as store:
        return await store.find(Query(limit=2 * MANY))


def newest_first(jobs: Iterable[Job]) -> list[Job]:
    return sorted(jobs, key=lambda each: each.id, reverse=True)


@pytest.fixture
def here(tmp_path: Path) -> str:
    """A store to move out of."""
    return f"sqlite:///{tmp_path}/here.db"


@pytest.fixture
def there(tmp_path: Path) -> str:
    """A store to move into."""
    return f"sqlite:///{tmp_path}/there.db"


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest, here: str, there: str) -> tuple[str, str]:
    """Both, of each kind."""
    kinds: tuple[str, str] = request.param
    urls = dict(zip(kinds, (here, there), strict=False))
    if "postgres" in kinds:
        urls["postgres"] = request.getfixturevalue("postgres_url")
    else:
        return here, there
    return urls[kinds[0]], urls[kinds[1]]


async def test_every_field_of_every_job_arrives(pair: tuple[str, str]) -> None:
    """Whatever its state; and the source keeps what it had."""
    jobs = one_of_each()
    await add(pair[0], jobs)
    done = await move(*pair)

    assert (True, len(jobs), 0, ()) == (done.is_equal, done.copied, done.skipped, done.differences)
    assert done.checksums[0] == done.checksums[1]
    assert newest_first(jobs) == await stored(pair[0]) == await stored(pair[1])


async def test_what_was_moved_goes_on_there(here: str, there: str) -> None:
    """A running job whose worker has gone is free when its lease is over."""
    running = job().claimed("w", NOW - HOUR, HOUR / 2)
    await add(here, [running])
    await move(here, there)

    async with store_at(there) as store:
        assert 0 == await store.rescue(NOW)
        assert [running] == await store.find(Query(states=[State.RUNNING]))
        assert {running.id} == await store.save([running.done(None, NOW)])


async def test_who_waits_for_others_waits_for_them_there(pair: tuple[str, str]) -> None:
    """Be they many pages older, or ended; whoever does not move again is not counted again."""
    here, there = pair
    chain = [job()]
    for _ in range(450):
        waits: dict[str, Any] = {"waits_for": (chain[-1].id,), "blocked_by": WAITING}
        chain.append(job(free_at=NEVER, **waits))
    free = job(waits_for=(chain[0].id,))
    await add(here, [*chain, free])
    async with store_at(here) as store:
        await store.save([chain[0].cancelled(NOW)])
    done = await move(here, there)

    assert (True, 452, 0, ()) == (done.is_equal, done.copied, done.skipped, done.differences)
    async with store_at(there) as store:
        assert 0 == await store.prune(NOW + HOUR, 10)  # those that are free may look at it
        await store.save([chain[1].freed(NOW).cancelled(NOW)])
        assert chain[2].freed(NOW) == await store.get(chain[2].id)
    again = await move(here, there)
    assert (0, 452) == (again.copied, again.skipped)


async def secret_of(url: str) -> bytes:
    async with store_at(url) as store:
        return await store.secret()


async def test_links_to_jobs_are_good_there(pair: tuple[str, str]) -> None:
    """Also where somebody has looked at the new store before: it had no job to link to."""
    await add(pair[0], [job()])
    before, other = await secret_of(pair[0]), await secret_of(pair[1])
    done = await move(*pair)

    assert before != other
    assert done.keeps_links
    assert before == await secret_of(pair[0]) == await secret_of(pair[1])


async def test_links_that_are_good_there_stay_so(here: str, there: str) -> None:
    """A store that has jobs keeps its secret; without one it takes that of the other."""
    await add(here, [job()])
    await add(there, [job()])
    assert (await move(here, there)).keeps_links

    third = f"{there}.third"
    await add(third, [job()])
    own = await secret_of(third)
    assert not (await move(here, third)).keeps_links
    assert own == await secret_of(third)
    said = await asyncio.to_thread(errands, "move", here, third)
    assert "links to jobs that were made before are not good there" in said.err


async def test_a_move_that_is_repeated_undoes_nothing(here: str, there: str) -> None:
    """What is alike is skipped; what has changed since is left, and named."""
    first, second = job(), job()
    await add(here, [first, second])
    await move(here, there)
    again = await move(here, there)
    async with store_at(there) as store:
        await store.save([first.cancelled(NOW)])
    late = await move(here, there)

    assert (True, 0, 2) == (again.is_equal, again.copied, again.skipped)
    assert (False, 0, 2) == (late.is_equal, late.copied, late.skipped)
    [difference] = late.differences
    assert difference.startswith(
        f"job {first.id} (t) is queued in the source, cancelled in the target; other: state"
    )
    assert [second, first.cancelled(NOW)] == await stored(there)


async def test_pages_meet_wherever_they_end(here: str, there: str) -> None:
    """More jobs than a page on both sides, some here, some there, some on both."""
    jobs = [job() for _ in range(1000)]
    await add(here, [each for number, each in enumerate(jobs) if number % 7])
    await add(there, [each for number, each in enumerate(jobs) if number % 3])
    done = await move(here, there)

    ours = [number for number in range(1000) if number % 7]
    assert len([n for n in ours if n % 3]) == done.skipped
    assert len([n for n in ours if not n % 3]) == done.copied
    extra = [jobs[n].id for n in range(0, 1000, 7) if n % 3]
    assert [f"job {each} (t) is in the target only" for each in extra[::-1]] == list(
        done.differences
    )
    assert not done.is_equal


async def test_a_key_that_is_taken_there_is_named(here: str, there: str) -> None:
    """One store keeps one unfinished job of a key."""
    mine, theirs = job(key="k"), job(key="k")
    await add(here, [mine])
    await add(there, [theirs])
    done = await move(here, there)

    assert not done.is_equal
    assert 0 == done.copied
    said = f"job {mine.id} (t) is not in the target: job {theirs.id} there has its key 'k'"
    assert said in done.differences


async def test_progress_is_told(here: str, there: str) -> None:
    """From the first page to the last job."""
    await add(here, [job() for _ in range(450)])
    told: list[tuple[int, int]] = []
    await move(here, there, tell=lambda done, total: told.append((done, total)))

    assert [(200, 450), (400, 450), (450, 450)] == told


# Refusals


@pytest.mark.parametrize("is_source", [True, False], ids=["source", "target"])
async def test_nothing_moves_while_a_worker_lives(here: str, there: str, is_source: bool) -> None:
    """On either side, unless forced; a worker that went, or was seen long ago, is no matter."""
    beat = Heartbeat(
        worker="w", host="h", pid=7, queues=None, slots=1, running=0, version="1",
        started_at=NOW, seen_at=NOW,
    )  # fmt: skip  # a row
    await add(here, [job()])
    async with store_at(here if is_source else there) as store:
        await store.beat(replace(beat, seen_at=await store.now()))
    with pytest.raises(StoreInUse, match=r"worker w is alive, process 7 on h\. Stop all"):
        await move(here, there)
    assert [] == await stored(there)
    assert (await move(here, there, force=True)).is_equal

    async with store_at(here if is_source else there) as store:
        await store.beat(replace(beat, seen_at=NOW - HOUR))
    assert (await move(here, there)).is_equal


async def test_nothing_moves_while_a_lease_runs(here: str, there: str) -> None:
    """Its worker may be one that tells nothing of itself."""
    running = job().claimed("web-7", NOW, HOUR)
    await add(here, [running, *(job() for _ in range(300))])
    with pytest.raises(StoreInUse, match=rf"web-7 holds job {running.id} \(t\) until"):
        await move(here, there)

    assert [] == await stored(there)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("memory:", "sqlite:///b.db", "jobs in memory end with their process"),
        ("sqlite:///a.db", "memory:", "jobs in memory end with their process"),
        ("sqlite:///a.db", "sqlite:///a.db", "the same store"),
        ("sqlite:///a.db", "redis://localhost", "no store for"),
        ("postgresql://u:secret@h/d", "postgresql://u:secret@h/d", r"u:\*\*\*@h/d.*the same"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, reason: str
) -> None:
    """Before anything is opened."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=reason):
        await move(source, target)
    assert [] == [*tmp_path.iterdir()]


async def test_a_source_that_is_not_there_is_not_made(tmp_path: Path, there: str) -> None:
    """A mistyped path is said, and nothing is left of it, nor of the target."""
    with pytest.raises(StoreUnavailable, match="there is no such file, and so nothing to move"):
        await move(f"sqlite:///{tmp_path}/mistyped.db", there)
    assert [] == [*tmp_path.iterdir()]


async def test_schedules_arrive_too(pair: tuple[str, str]) -> None:
    """With what was changed at run time, and where their ticks were."""
    first = schedule("a", is_paused=True, last_tick=NOW)
    changed = schedule("b", next_tick=NOW + HOUR, declared='["t"]')
    async with store_at(pair[0]) as store:
        await store.put_schedules([first, changed])
        await store.put_schedules([changed.known("w", NOW)])
    done = await move(*pair)
    again = await move(*pair)
    async with store_at(pair[1]) as store:
        arrived = await store.schedules()

    assert (True, 2, 2, 0) == (done.is_equal, done.schedules, done.schedules_copied, done.jobs)
    assert (True, 0) == (again.is_equal, again.schedules_copied)
    assert [first, replace(changed.known("w", NOW), version=1)] == arrived


async def test_schedules_that_differ_are_named(here: str, there: str) -> None:
    """Those of the target stay as they are."""
    async with store_at(here) as store:
        await store.put_schedules([schedule("a"), schedule("b")])
    async with store_at(there) as store:
        await store.put_schedules([schedule("b", task="other"), schedule("c")])
    done = await move(here, there)

    expected = ("schedule 'b' is another one there", "schedule 'c' is in the target only")
    assert (False, 1, expected) == (done.is_equal, done.schedules_copied, done.differences)


def schedule(name: str, **fields: Any) -> Schedule:
    spec = every(hours=1).text
    return replace(Schedule(name=name, task="t", spec=spec, payload="{}", known_at=NOW), **fields)


async def test_what_the_target_cannot_keep_is_said(here: str, postgres_url: str) -> None:
    """PostgreSQL has no text with a NUL in it."""
    await add(here, [job(queue="a\0b")])
    with pytest.raises(ValueError, match="PostgreSQL cannot keep this"):
        await move(here, postgres_url)


async def test_a_target_that_is_away_is_said(here: str) -> None:
    """By the store's own error."""
    await add(here, [job()])
    with pytest.raises(StoreUnavailable):
        await move(here, "postgresql://127.0.0.1:1/none")


# The command


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "errands", "move", *arguments]


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=10 * PATIENCE,
        env=environment(), check=False,
    )  # fmt: skip  # a row


@pytest.mark.slow
def test_a_move_that_was_killed_goes_on_where_it_was(here: str, postgres_url: str) -> None:
    """Ten thousand jobs; the second run copies the rest, and all are there once, as they were."""
    jobs = [job(key=f"k{number}", queue=f"q{number % 7}") for number in range(MANY)]
    asyncio.run(add(here, jobs))
    killed_at = killed_on_its_way(here, postgres_url)
    arrived = len(asyncio.run(stored(postgres_url)))
    second = ended(here, postgres_url)

    assert killed_at <= arrived < MANY
    assert (0, "") == (second.returncode, second.stderr)
    assert f"{MANY - arrived:,} jobs copied, {arrived:,} were there already" in second.stdout
    assert re.search(rf"equal: {MANY:,} jobs, SHA-256 \w{{64}}$", second.stdout, re.MULTILINE)
    assert newest_first(jobs) == asyncio.run(stored(postgres_url))


def killed_on_its_way(source: str, target: str) -> int:
    """Kill a move as soon as it shows how far it is, and answer with that."""
    terminal, its_end = pty.openpty()
    try:
        process = subprocess.Popen(
            command(source, target), stdout=subprocess.DEVNULL, stderr=its_end, env=environment()
        )
        shown = ""
        while not (found := re.search(r"jobs .* (\d+)/10000", shown)):
            shown += os.read(terminal, 1000).decode()
        process.kill()
        process.wait(PATIENCE)
    finally:
        os.close(terminal)
        os.close(its_end)
    return int(found[1])


@pytest.mark.slow
def test_stores_that_differ_end_it_with_a_status(here: str, there: str) -> None:
    """And with what differs, by job and by number."""
    first, second = job(), job()
    asyncio.run(add(here, [first]))
    asyncio.run(add(there, [second]))
    done = ended(here, there)

    assert (1, "1 jobs copied, 0 were there already\n") == (done.returncode, done.stdout)
    assert f"job {second.id} (t) is in the target only\n" in done.stderr
    assert "default queued: 1 in the source, 2 in the target\n" in done.stderr
    assert re.search(r"not equal: SHA-256 \w{64} in the source, \w{64} in the", done.stderr)


@pytest.mark.slow
def test_a_source_without_jobs_is_no_success(here: str, there: str) -> None:
    """Most likely it is another one that was meant."""
    asyncio.run(add(here, []))
    done = ended(here, there)

    assert 1 == done.returncode
    assert "there is no job in the source: is its URL right?\n" == done.stderr


@pytest.mark.slow
def test_a_refusal_is_a_line(here: str, there: str) -> None:
    """With what to do, and no traceback."""
    asyncio.run(add(here, [job().claimed("w", NOW, HOUR)]))
    done = ended(here, there)
    forced = ended("--force", here, there)

    assert (1, "") == (done.returncode, done.stdout)
    assert re.fullmatch(r"Error: sqlite:.*w holds job .*Stop that process.*\n", done.stderr)
    assert 0 == forced.returncode


@pytest.mark.slow
@pytest.mark.parametrize("name", ["move", "worker"])
def test_the_help_shows_its_examples_as_they_are_typed(name: str) -> None:
    """One on each line."""
    shown = subprocess.run(
        [sys.executable, "-m", "errands", name, "--help"], capture_output=True, text=True,
        env=environment(), check=True,
    ).stdout  # fmt: skip  # a row

    assert re.search(rf"^  Examples?:\n    errands {name} \S+:\S+", shown, re.MULTILINE)

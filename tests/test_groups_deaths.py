"""Nobody waits for ever, whenever a worker process dies: on each store that can be shared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from deaths import Anywhere
from server_driver import wait_until
from worker_driver import named

from errands import Errands, Job, State

APP = "apps_groups:errands"

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Anywhere:
    if request.param == "postgres":
        return Anywhere(tmp_path, str(request.getfixturevalue("postgres_url")))
    return Anywhere(tmp_path, f"sqlite:///{tmp_path}/errands.db")


def add(place: Anywhere, lines: int, length: int, queue: str | None = None) -> Job:
    """Keep lines of links, and one that waits for all of their ends, in this queue."""
    link = named("link")

    async def keep() -> Job:
        errands = Errands(place.url)
        errands.task(name="link")(link)
        async with errands:
            chains = [
                await errands.chain(*((link, f"{line}-{each}") for each in range(length)))
                for line in range(lines)
            ]
            ends = [chain[-1] for chain in chains]
            return await errands.options(waits_for=ends, queue=queue).add_task(link, "last")

    return asyncio.run(keep())


def state(place: Anywhere, text: str) -> State:
    return place.stored()[text].state


def require_order(jobs: dict[str, Job]) -> None:
    """All are done, each started after those that it waits for had ended."""
    assert {State.DONE} == {job.state for job in jobs.values()}
    by_id = {job.id: job for job in jobs.values()}
    for job in jobs.values():
        for parent in (by_id[each] for each in job.waits_for):
            assert parent.finished_at is not None
            assert job.started_at is not None
            assert parent.finished_at <= job.started_at


def test_a_death_between_an_end_and_what_it_frees_undoes_both(place: Anywhere) -> None:
    """The parent was not done then, and runs once more; its child runs once, and after it."""
    add(place, lines=1, length=1)
    with place.started(target=APP, DIES="1") as victim:
        victim.wait()
        died = place.stored()
        assert 1 == len(place.effects("dies"))
    with place.working(target=APP):
        wait_until(lambda: state(place, "last") is State.DONE, lambda: f"{place.stored()}")

    assert (State.RUNNING, State.QUEUED) == (died["0-0"].state, died["last"].state)
    assert died["last"].blocked_by is not None
    require_order(place.stored())
    assert (2, 1) == (len(place.effects("done", "0-0")), len(place.effects("done", "last")))
    assert "2" == place.stored()["last"].result


def test_a_death_after_an_end_leaves_its_children_free(place: Anywhere) -> None:
    """They run in the next process, that has not heard of their parents' ends."""
    add(place, lines=1, length=1, queue="other")
    with place.working("--queues", "default", target=APP) as victim:
        wait_until(lambda: state(place, "0-0") is State.DONE, lambda: f"{place.stored()}")
        victim.process.kill()
        victim.wait()
    assert (State.QUEUED, None) == (state(place, "last"), place.stored()["last"].blocked_by)
    with place.working(target=APP):
        wait_until(lambda: state(place, "last") is State.DONE, lambda: f"{place.stored()}")

    require_order(place.stored())


def test_lines_of_jobs_come_to_their_ends_though_workers_die(place: Anywhere) -> None:
    """Two processes share them; one of them is killed whenever so many jobs have run."""
    add(place, lines=20, length=4)
    with place.working(target=APP):
        for number in (10, 25, 40, 55):
            with place.working(target=APP) as victim:
                wait_until(
                    lambda: len(place.effects("done")) >= number,  # noqa: B023  # called in this turn
                    lambda: f"{number} had run: {len(place.effects('done'))}",  # noqa: B023  # as above
                )
                victim.process.kill()
        place.wait_until_all_ended(30)

    jobs = place.stored()
    assert 81 == len(jobs)
    require_order(jobs)
    assert "5" == jobs["last"].result
